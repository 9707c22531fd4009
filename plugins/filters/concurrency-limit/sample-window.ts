import type { LimitSample } from './limit-algorithm.ts';

interface SampleWindowOptions {
  /** Samples that a window needs; default 10. */
  readonly minSamples?: number;
  /** Shorter latencies are no samples, in ms; default 0.1. */
  readonly minRttMs?: number;
  /** A window lasts twice its lowest latency within these bounds, in ms; default 1000 both. */
  readonly minWindowMs?: number;
  readonly maxWindowMs?: number;
}

/** Gathers single calls into windows: algorithms fed with single calls follow every outlier. */
export interface SampleWindow {
  /** Adds the call that ended at `endMs` (monotonic); gives the window when this call completes it. */
  add(endMs: number, rttMs: number, inFlight: number, isDropped: boolean): LimitSample | undefined;
}

/** Windows as in Netflix's concurrency-limits (WindowedLimit, AverageSampleWindow). */
export function createSampleWindow(options: SampleWindowOptions = {}): SampleWindow {
  const { minSamples = 10, minRttMs = 0.1, minWindowMs = 1000, maxWindowMs = 1000 } = options;
  let nextAtMs = 0;
  let samples = 0;
  let sumMs = 0;
  let lowestMs = Number.POSITIVE_INFINITY;
  let mostInFlight = 0;
  let isAnyDropped = false;
  return {
    add: (endMs, rttMs, inFlight, isDropped) => {
      if (rttMs < minRttMs) return undefined;
      samples++;
      sumMs += rttMs;
      lowestMs = Math.min(lowestMs, rttMs);
      mostInFlight = Math.max(mostInFlight, inFlight);
      isAnyDropped ||= isDropped;
      if (endMs <= nextAtMs || samples < minSamples) return undefined;
      nextAtMs = endMs + Math.min(Math.max(2 * lowestMs, minWindowMs), maxWindowMs);
      const window = { rttMs: sumMs / samples, inFlight: mostInFlight, isDropped: isAnyDropped };
      samples = 0;
      sumMs = 0;
      lowestMs = Number.POSITIVE_INFINITY;
      mostInFlight = 0;
      isAnyDropped = false;
      return window;
    },
  };
}
