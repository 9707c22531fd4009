import type { Random } from '../../engine/filter.ts';
import { clamp, type LimitAlgorithm, type LimitBounds } from './limit-algorithm.ts';
import { createRttBaseline, type RttBaselineOptions } from './rtt-baseline.ts';

/** Bounds of a limit, and how its baseline is measured. */
export interface GuardedLimitOptions extends LimitBounds, Omit<RttBaselineOptions, 'random'> {
  readonly random: Random;
}

/** The rule of one algorithm: the next limit from the present one, for a window that was busy and dropped nothing. */
export type LimitStep = (limit: number, rttMs: number, baselineMs: number) => number;

/** After a window with drops. */
const dropFactor = 0.9;
/** At the start the limit grows by a quarter per window: step by step it takes minutes to the size of a large server. */
const startFactor = 1.25;

/**
 * A probe never cuts the limit to less than three tenths: to measure must not become an outage of its own. More than
 * that would not empty the queues of a limit that tolerates three times the baseline, the most that can be set.
 */
const [leastProbe, mostProbe] = [0.3, 0.9];

/**
 * What the corrected algorithms have in common: a baseline that overload cannot raise, probes, drops that count, and
 * no growth while the limit is not what holds calls back.
 *
 * A probe lowers the limit to nine tenths of what is served without queueing (`limit · baseline / latency`, Little's
 * law): a milder cut would find queues that are still there and lift the baseline a little each time, a deeper one
 * refuses calls that could be served. Where latency is no higher than the baseline there is nothing to probe.
 */
export function createGuardedLimit(options: GuardedLimitOptions, step: LimitStep): LimitAlgorithm {
  const { initial, min, max } = options;
  const baseline = createRttBaseline(options);
  let exact = initial;
  let probeShare = 1;
  /** Until the first window that does not let it grow. */
  let isStarting = true;

  function advance(rttMs: number): void {
    const wanted = step(exact, rttMs, baseline.rttMs);
    isStarting &&= wanted > exact;
    exact = clamp(isStarting ? Math.max(wanted, exact * startFactor) : wanted, min, max);
  }

  return {
    get limit() {
      return Math.max(1, Math.floor(baseline.isProbing ? exact * probeShare : exact));
    },
    get settledLimit() {
      return Math.floor(exact);
    },
    update: ({ rttMs, inFlight, isDropped }) => {
      const wasProbing = baseline.isProbing;
      const share = clamp((mostProbe * baseline.rttMs) / rttMs, leastProbe, mostProbe);
      if (!wasProbing) probeShare = share;
      baseline.observe(rttMs, inFlight <= exact * share);
      if (isDropped) {
        isStarting = false;
        exact = clamp(exact * dropFactor, min, max);
      } else if (!wasProbing && !baseline.isLearning && inFlight * 2 >= Math.floor(exact)) {
        advance(rttMs);
      }
    },
  };
}
