import type { Clock } from '../../engine/filter.ts';

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
  take(key: string): number;
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
  // Insertion order is order of use: a used bucket is put at the end again.
  const buckets = new Map<string, Bucket>();
  const full = burst * token;
  let evicted = 0;

  function bucketOf(key: string, now: number): Bucket {
    const found = buckets.get(key);
    if (found !== undefined) {
      buckets.delete(key);
      buckets.set(key, found);
      return found;
    }
    if (buckets.size >= maxKeys) {
      const [oldest] = buckets.keys();
      if (oldest !== undefined) buckets.delete(oldest);
      evicted++;
    }
    const bucket = { level: full, at: now };
    buckets.set(key, bucket);
    return bucket;
  }

  return {
    take: (key) => {
      const now = clock.monotonic();
      const bucket = bucketOf(key, now);
      bucket.level = Math.min(full, bucket.level + (now - bucket.at) * ratePerSecond);
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
      return evicted;
    },
  };
}
