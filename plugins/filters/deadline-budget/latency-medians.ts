import { type Clock, createKeyedTable } from '../../engine/filter.ts';

interface LatencyMediansOptions {
  readonly maxKeys: number;
  /** No median below so many latencies. */
  readonly minSamples: number;
  /** No median when the latest latency is older, ms. */
  readonly maxAgeMs: number;
  readonly clock: Clock;
}

/** The median of the latest latencies per key. */
export interface LatencyMedians {
  add(key: string, latencyMs: number, nowMs?: number): void;
  /** Undefined when too little is known, or what is known is too old. */
  find(key: string, nowMs?: number): number | undefined;
  readonly evicted: number;
}

/** Odd, so that the median is one of them. */
const kept = 63;
/** A median is found anew after so many latencies. */
const refreshEvery = 8;

interface Latencies {
  readonly ring: Float64Array;
  count: number;
  median: number;
  atMs: number;
}

const scratch = new Float64Array(kept);

/** The lower median of the first `count` values, by selection in place: sorting them all costs several times as much. */
function medianOf(values: Float64Array, count: number): number {
  for (let i = 0; i < count; i++) scratch[i] = values[i] ?? 0;
  const middle = (count - 1) >> 1;
  for (let low = 0, high = count - 1; low < high; ) {
    const pivot = scratch[(low + high) >> 1] ?? 0;
    let i = low;
    let j = high;
    while (i <= j) {
      while ((scratch[i] ?? 0) < pivot) i++;
      while ((scratch[j] ?? 0) > pivot) j--;
      if (i > j) break;
      const moved = scratch[i] ?? 0;
      scratch[i++] = scratch[j] ?? 0;
      scratch[j--] = moved;
    }
    if (middle <= j) high = j;
    else if (middle >= i) low = i;
    else break;
  }
  return scratch[middle] ?? 0;
}

/** Medians of the latest 63 latencies of each key. */
export function createLatencyMedians({ maxKeys, minSamples, maxAgeMs, clock }: LatencyMediansOptions): LatencyMedians {
  const table = createKeyedTable<Latencies>({
    maxKeys,
    create: () => ({ ring: new Float64Array(kept), count: 0, median: 0, atMs: 0 }),
  });
  const enough = Math.min(minSamples, kept);
  return {
    add: (key, latencyMs, nowMs = clock.monotonic()) => {
      const own = table.get(key);
      own.ring[own.count % kept] = latencyMs;
      own.count++;
      own.atMs = nowMs;
      if (own.count !== enough && own.count % refreshEvery !== 0) return;
      own.median = medianOf(own.ring, Math.min(own.count, kept));
    },
    find: (key, nowMs = clock.monotonic()) => {
      const own = table.peek(key);
      if (own === undefined || own.count < enough || nowMs - own.atMs > maxAgeMs) return undefined;
      return own.median;
    },
    get evicted() {
      return table.evicted;
    },
  };
}
