import type { Random } from '../../engine/filter.ts';
import { clamp, type LimitAlgorithm } from './limit-algorithm.ts';

interface OriginalVegasOptions {
  readonly initial?: number;
  readonly max?: number;
  /** Share of a new limit that is taken over; default 1. */
  readonly smoothing?: number;
  /** A probe comes after `jitter · multiplier · limit` windows; default 30, Infinity = never. */
  readonly probeMultiplier?: number;
  readonly random: Random;
}

/** At least 1. */
export function log10Step(limit: number): number {
  return Math.max(1, Math.floor(Math.log10(limit)));
}

/**
 * Vegas as in Netflix's concurrency-limits (VegasLimit), kept for comparison. Its probe takes whatever latency comes
 * next for the unloaded one, also under overload, and one lucky sample stays the baseline until the next probe.
 */
export function createOriginalVegas(options: OriginalVegasOptions): LimitAlgorithm {
  const { initial = 20, max = 1000, smoothing = 1, probeMultiplier = 30, random } = options;
  let exact = initial;
  let unloadedMs = 0;
  let sinceProbe = 0;
  const drawJitter = () => 0.5 + random.next() / 2;
  let jitter = drawJitter();

  function next(rttMs: number, inFlight: number, isDropped: boolean): number {
    const step = log10Step(exact);
    if (isDropped) return exact - step;
    if (inFlight * 2 < exact) return exact;
    const queue = Math.ceil(exact * (1 - unloadedMs / rttMs));
    if (queue <= step) return exact + 6 * step;
    if (queue < 3 * step) return exact + step;
    return queue > 6 * step ? exact - step : exact;
  }

  return {
    get limit() {
      return Math.floor(exact);
    },
    get settledLimit() {
      return Math.floor(exact);
    },
    update: ({ rttMs, inFlight, isDropped }) => {
      sinceProbe++;
      if (jitter * probeMultiplier * exact <= sinceProbe) {
        jitter = drawJitter();
        sinceProbe = 0;
        unloadedMs = rttMs;
        return;
      }
      if (unloadedMs === 0 || rttMs < unloadedMs) {
        unloadedMs = rttMs;
        return;
      }
      const wanted = clamp(next(rttMs, inFlight, isDropped), 1, max);
      exact = (1 - smoothing) * exact + smoothing * wanted;
    },
  };
}
