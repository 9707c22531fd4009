/** Run times of a filter in buckets of a quarter of a power of two: at most 12 % off, 1 kB, a few ns per entry. */
export interface RunTimes {
  add(ns: number): void;
  readonly count: number;
  /** The time that this share of the runs does not exceed, in ns; undefined without any. */
  quantile(share: number): number | undefined;
  /** The times as they are now. */
  copy(): RunTimes;
  /** Times added after `earlier` was copied. */
  since(earlier: RunTimes): RunTimes;
}

const perPower = 4;
/** 2^32 ns are 4.3 s; longer times fall into the last bucket. */
const buckets = 32 * perPower;

function bucketOf(ns: number): number {
  const whole = ns >= 0xffff_ffff ? 0xffff_ffff : ns < perPower ? perPower : Math.trunc(ns);
  const power = 31 - Math.clz32(whole);
  return (power - 2) * perPower + ((whole >>> (power - 2)) & 3);
}

/** Middle of a bucket, in ns. */
function middleOf(bucket: number): number {
  const power = Math.floor(bucket / perPower) + 2;
  return 2 ** power * (1 + ((bucket % perPower) + 0.5) / perPower);
}

/** Empty by default; else goes on from these counts per bucket, `total` together. */
export function createRunTimes(counts: Float64Array = new Float64Array(buckets), total = 0): RunTimes {
  let count = total;
  const times: RunTimes & { readonly counts: Float64Array } = {
    counts,
    add: (ns) => {
      const bucket = bucketOf(ns);
      counts[bucket] = (counts[bucket] ?? 0) + 1;
      count++;
    },
    get count() {
      return count;
    },
    quantile: (share) => {
      if (count === 0) return undefined;
      let left = Math.max(1, Math.ceil(share * count));
      for (let bucket = 0; bucket < buckets; bucket++) {
        left -= counts[bucket] ?? 0;
        if (left <= 0) return middleOf(bucket);
      }
      return middleOf(buckets - 1);
    },
    copy: () => createRunTimes(counts.slice(), count),
    since: (earlier) => {
      const before = (earlier as typeof times).counts;
      return createRunTimes(
        counts.map((value, bucket) => value - (before[bucket] ?? 0)),
        count - earlier.count,
      );
    },
  };
  return times;
}

/** A time in ns for people: `850 ns`, `2.6 µs`, `1.2 ms`. */
export function formatNs(ns: number): string {
  if (ns < 1000) return `${Math.round(ns)} ns`;
  return ns < 1e6 ? `${(ns / 1e3).toPrecision(2)} µs` : `${(ns / 1e6).toPrecision(2)} ms`;
}
