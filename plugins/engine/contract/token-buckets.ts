import type { Clock } from '../../../server/core/clock.ts';
import { createKeyedTable } from './keyed-table.ts';

/** Rate, size and number of the buckets. */
export interface TokenBucketOptions {
  /** Tokens that a bucket gains per second, until it is full. */
  readonly ratePerSecond: number;
  /** Tokens of a full bucket. */
  readonly burst: number;
  /** Most buckets; the one used longest ago makes room. */
  readonly maxKeys: number;
  readonly clock: Clock;
}

/** One token bucket per key. */
export interface TokenBuckets {
  /** Takes one token: 0 when there was one, else the ms until there is. `nowMs` is monotonic; default now. */
  take(key: string, nowMs?: number): number;
  /**
   * Takes the next token that nobody has taken, also one that is yet to come, and gives the ms until it is there; takes
   * none when that is longer than `mostMs`. Who waits has a token of its own, in the order of asking.
   */
  reserve(key: string, mostMs: number): number;
  /** Gives back a token that was reserved and is not wanted any more. */
  giveBack(key: string): void;
  readonly size: number;
  /** Buckets that had to make room. A bucket is full when its key comes again. */
  readonly evicted: number;
}

interface Bucket {
  /** In thousandths of a token, so that at whole ms and a whole rate all arithmetic is exact. */
  level: number;
  at: number;
}

const token = 1000;

/** Buckets that begin full and refill evenly, by the monotonic time of the clock. */
export function createTokenBuckets({ ratePerSecond, burst, maxKeys, clock }: TokenBucketOptions): TokenBuckets {
  const full = burst * token;
  const buckets = createKeyedTable<Bucket>({ maxKeys, create: () => ({ level: full, at: Number.NaN }) });

  function bucketAt(key: string, now: number): Bucket {
    const bucket = buckets.get(key);
    if (bucket.at < now) bucket.level = Math.min(full, bucket.level + (now - bucket.at) * ratePerSecond);
    bucket.at = now;
    return bucket;
  }

  /** Ms until the next token of the bucket is there. */
  const waitOf = ({ level }: Bucket) => (level >= token ? 0 : Math.ceil((token - level) / ratePerSecond));

  return {
    take: (key, now = clock.monotonic()) => {
      const bucket = bucketAt(key, now);
      const waitMs = waitOf(bucket);
      if (waitMs === 0) bucket.level -= token;
      return waitMs;
    },
    reserve: (key, mostMs) => {
      const bucket = bucketAt(key, clock.monotonic());
      const waitMs = waitOf(bucket);
      if (waitMs <= mostMs) bucket.level -= token;
      return waitMs;
    },
    giveBack: (key) => {
      const bucket = bucketAt(key, clock.monotonic());
      bucket.level = Math.min(full, bucket.level + token);
    },
    get size() {
      return buckets.size;
    },
    get evicted() {
      return buckets.evicted;
    },
  };
}
