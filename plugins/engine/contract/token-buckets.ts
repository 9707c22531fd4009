import type { Clock } from '../../../server/core/clock.ts';
import { createKeyedTable } from './keyed-table.ts';

export interface TokenBucketOptions {
  readonly ratePerSecond: number;
  /** Tokens of a full bucket. */
  readonly burst: number;
  /** Most buckets; the one used longest ago makes room. */
  readonly maxKeys: number;
  readonly clock: Clock;
}

/** One token bucket per key. */
export interface TokenBuckets {
  /** Takes one token: 0 when there was one, else the ms until there is. */
  take(key: string, nowMs?: number): number;
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

export function createTokenBuckets({ ratePerSecond, burst, maxKeys, clock }: TokenBucketOptions): TokenBuckets {
  const full = burst * token;
  const buckets = createKeyedTable<Bucket>({ maxKeys, create: () => ({ level: full, at: Number.NaN }) });

  return {
    take: (key, now = clock.monotonic()) => {
      const bucket = buckets.get(key);
      if (bucket.at < now) bucket.level = Math.min(full, bucket.level + (now - bucket.at) * ratePerSecond);
      bucket.at = now;
      if (bucket.level >= token) {
        bucket.level -= token;
        return 0;
      }
      return Math.ceil((token - bucket.level) / ratePerSecond);
    },
    get size() {
      return buckets.size;
    },
    get evicted() {
      return buckets.evicted;
    },
  };
}
