import { type Clock, createKeyedTable } from '../../engine/filter.ts';

export interface LatencyMediansOptions {
  readonly maxKeys: number;
  /** No median below so many latencies. */
  readonly minSamples: number;
  /** No median when the latest latency is older, ms. */
  readonly maxAgeMs: number;
  readonly clock: Clock;
}

/** The median of the latest latencies per key. */
export interface LatencyMedians {
  add(key: string, latencyMs: number): void;
  /** Undefined when too little is known, or what is known is too old. */
  find(key: string): number | undefined;
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

export function createLatencyMedians({ maxKeys, minSamples, maxAgeMs, clock }: LatencyMediansOptions): LatencyMedians {
  const table = createKeyedTable<Latencies>({
    maxKeys,
    create: () => ({ ring: new Float64Array(kept), count: 0, median: 0, atMs: 0 }),
  });
  const enough = Math.min(minSamples, kept);
  return {
    add: (key, latencyMs) => {
      const own = table.get(key);
      own.ring[own.count % kept] = latencyMs;
      own.count++;
      own.atMs = clock.monotonic();
      if (own.count !== enough && own.count % refreshEvery !== 0) return;
      const sorted = own.ring.slice(0, Math.min(own.count, kept)).sort();
      own.median = sorted[(sorted.length - 1) >> 1] ?? 0;
    },
    find: (key) => {
      const own = table.peek(key);
      if (own === undefined || own.count < enough || clock.monotonic() - own.atMs > maxAgeMs) return undefined;
      return own.median;
    },
    get evicted() {
      return table.evicted;
    },
  };
}
