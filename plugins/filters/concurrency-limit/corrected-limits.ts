import type { Random } from '../../engine/filter.ts';
import { createGuardedLimit, type GuardedLimitOptions } from './guarded-limit.ts';
import { clamp, type LimitAlgorithm } from './limit-algorithm.ts';
import { log10Step } from './original-vegas.ts';

interface CorrectedOptions extends Partial<Omit<GuardedLimitOptions, 'random'>> {
  readonly random: Random;
  /** Latency that is tolerated, as a multiple of the baseline; default 1.5 for Gradient, 2 for AIMD. */
  readonly tolerance?: number | undefined;
}

const bounds = { initial: 20, min: 4, max: 1000 };

/** Share of a lower limit that is taken over per window. */
const smoothing = 0.2;

/**
 * Gradient: shrinks by the ratio of tolerated to measured latency, grows by the square root (at least 4) only while
 * the latency is tolerated: the original adds its queue also while it shrinks, and settles too high by that much.
 */
export function createGradient(options: CorrectedOptions): LimitAlgorithm {
  const { tolerance = 1.5 } = options;
  return createGuardedLimit({ ...bounds, ...options }, (limit, rttMs, baselineMs) => {
    const gradient = clamp((tolerance * baselineMs) / rttMs, 0.5, 1);
    if (gradient === 1) return limit + Math.max(4, Math.sqrt(limit));
    return limit * (1 - smoothing) + limit * gradient * smoothing;
  });
}

/**
 * Vegas: holds the estimated queue between 3 and 6 steps of log10(limit). Where more than half of the calls queue it
 * shrinks by a tenth: step by step the original takes minutes from a high limit.
 */
export function createVegas(options: CorrectedOptions): LimitAlgorithm {
  return createGuardedLimit({ ...bounds, ...options }, (limit, rttMs, baselineMs) => {
    const step = log10Step(limit);
    const queue = Math.ceil(limit * (1 - baselineMs / rttMs));
    if (queue <= step) return limit + 6 * step;
    if (queue < 3 * step) return limit + step;
    if (queue <= 6 * step) return limit;
    return queue > limit / 2 ? limit * 0.9 : limit - step;
  });
}

/** Additive increase, multiplicative decrease: latency beyond the tolerance is congestion, not only a time-out. */
export function createAimd(options: CorrectedOptions): LimitAlgorithm {
  const { tolerance = 2 } = options;
  return createGuardedLimit({ ...bounds, ...options }, (limit, rttMs, baselineMs) =>
    rttMs > tolerance * baselineMs ? limit * 0.9 : limit + 1,
  );
}
