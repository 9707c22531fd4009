/** What one step of a ramp showed. */
export interface RampStep {
  /** Share of the traffic that was admitted, percent. */
  readonly percent: number;
  /** Calls per second that were admitted, and that were answered well. */
  readonly admittedPerSecond: number;
  readonly goodPerSecond: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  /** Failed share of the ended calls, percent. */
  readonly errorPercent: number;
}

/** When a step counts as beyond the knee. */
export interface KneeRules {
  /** A step is beyond the knee when its 95th percentile is more than so many times that of the lowest step. */
  readonly latencyTolerance: number;
  /** … or more than so many percent of its calls fail. */
  readonly maxErrorPercent: number;
  /** … or less than this share of the calls that were added since the step before were answered. */
  readonly minGain: number;
}

/** What got worse at the knee. */
export type KneeCause = 'errors' | 'latency' | 'throughput';

/** Smaller rises of the admitted rate say nothing about what was gained by them. */
const leastRise = 1.05;

/** Why a step is beyond the knee; undefined when it is not. `before` are the good steps, in order. */
export function findKnee(step: RampStep, before: readonly RampStep[], rules: KneeRules): KneeCause | undefined {
  if (step.errorPercent > rules.maxErrorPercent) return 'errors';
  const last = before.at(-1);
  if (last === undefined) return undefined;
  const lowestMs = Math.min(...before.map(({ p95Ms }) => p95Ms));
  if (step.p95Ms > rules.latencyTolerance * lowestMs) return 'latency';
  if (step.admittedPerSecond < leastRise * last.admittedPerSecond) return undefined;
  const gain = (step.goodPerSecond - last.goodPerSecond) / (step.admittedPerSecond - last.admittedPerSecond);
  return gain < rules.minGain ? 'throughput' : undefined;
}
