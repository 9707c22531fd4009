import { clamp, type LimitAlgorithm, type LimitBounds } from './limit-algorithm.ts';

interface OriginalAimdOptions extends Partial<LimitBounds> {
  /** Factor after a drop; default 0.9. */
  readonly backoff?: number;
  /** A latency above counts as a drop, in ms; default 5000. */
  readonly timeoutMs?: number;
}

/** Additive increase, multiplicative decrease as in Netflix's concurrency-limits (AIMDLimit), kept for comparison. */
export function createOriginalAimd(options: OriginalAimdOptions = {}): LimitAlgorithm {
  const { initial = 20, min = 20, max = 200, backoff = 0.9, timeoutMs = 5000 } = options;
  let limit = initial;
  return {
    get limit() {
      return limit;
    },
    get settledLimit() {
      return limit;
    },
    update: ({ rttMs, inFlight, isDropped }) => {
      if (isDropped || rttMs > timeoutMs) limit = Math.floor(limit * backoff);
      else if (inFlight * 2 >= limit) limit++;
      limit = clamp(limit, min, max);
    },
  };
}
