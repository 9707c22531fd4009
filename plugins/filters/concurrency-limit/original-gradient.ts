import { clamp, type LimitAlgorithm, type LimitBounds } from './limit-algorithm.ts';

interface OriginalGradientOptions extends Partial<LimitBounds> {
  /** Share of a new limit that is taken over; default 0.2. */
  readonly smoothing?: number;
  /** Calls that may queue; default 4. */
  readonly queue?: number;
  /** Latency that is tolerated, as a multiple of the long-term one; default 1.5. */
  readonly tolerance?: number;
  /** Windows of the long-term mean; default 600. */
  readonly longWindow?: number;
}

const warmUp = 10;

/**
 * Gradient2 as in Netflix's concurrency-limits (Gradient2Limit), kept for comparison. The long-term mean follows an
 * overload that lasts, so the limit drifts up again under it, and drops are ignored.
 */
export function createOriginalGradient(options: OriginalGradientOptions = {}): LimitAlgorithm {
  const { initial = 20, min = 20, max = 200, smoothing = 0.2, queue = 4, tolerance = 1.5, longWindow = 600 } = options;
  const weight = 2 / (longWindow + 1);
  let exact = initial;
  let longMs = 0;
  let seen = 0;
  let sum = 0;

  function addLong(rttMs: number): void {
    if (seen < warmUp) {
      seen++;
      sum += rttMs;
      longMs = sum / seen;
    } else longMs = longMs * (1 - weight) + rttMs * weight;
  }

  return {
    get limit() {
      return Math.floor(exact);
    },
    get settledLimit() {
      return Math.floor(exact);
    },
    update: ({ rttMs, inFlight }) => {
      addLong(rttMs);
      const long = longMs;
      if (long / rttMs > 2) longMs *= 0.95;
      if (inFlight < exact / 2) return;
      const gradient = clamp((tolerance * long) / rttMs, 0.5, 1);
      const wanted = exact * gradient + queue;
      exact = clamp(exact * (1 - smoothing) + wanted * smoothing, min, max);
    },
  };
}
