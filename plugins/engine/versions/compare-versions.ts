import { formatNs } from '../load/run-times.ts';

/** When a new version counts as worse than the one it is compared with. */
export interface TrialLimits {
  /** Calls of each side before any judgement; default 100. */
  readonly minCalls: number;
  /** Standard errors by which the error rate must be higher (two-proportion test); default 3.3. */
  readonly maxZ: number;
  /** Errors of the new version before its rate is judged; default 5. */
  readonly minErrors: number;
  /** Least difference of the error rates, 0-1; default 0.01. */
  readonly minErrorDifference: number;
  /** Ratio of the median times; default 2. */
  readonly maxLatencyRatio: number;
  /** Least difference of the median times, in ns; default 100,000. */
  readonly minLatencyDifferenceNs: number;
}

/** When a canary is taken back; of equally good versions fewer than 1 % are (test/filters/trials.test.ts). */
export const defaultTrialLimits: TrialLimits = {
  minCalls: 100,
  maxZ: 3.3,
  minErrors: 5,
  minErrorDifference: 0.01,
  maxLatencyRatio: 2,
  minLatencyDifferenceNs: 100_000,
};

interface ErrorCount {
  readonly calls: number;
  readonly errors: number;
}

/** The outcome of one comparison, with its numbers in words. */
export interface Comparison {
  readonly isWorse: boolean;
  readonly text: string;
}

const number = new Intl.NumberFormat('en-US');

function shareText({ calls, errors }: ErrorCount): string {
  const share = calls === 0 ? '' : ` (${((100 * errors) / calls).toFixed(1)} %)`;
  return `${number.format(errors)} of ${number.format(calls)}${share}`;
}

/** z of the two-proportion test with pooled variance: how far the new rate is above the old, in standard errors. */
export function proportionZ(candidate: ErrorCount, baseline: ErrorCount): number {
  const pooled = (candidate.errors + baseline.errors) / (candidate.calls + baseline.calls);
  const variance = pooled * (1 - pooled) * (1 / candidate.calls + 1 / baseline.calls);
  const difference = candidate.errors / candidate.calls - baseline.errors / baseline.calls;
  if (variance > 0) return difference / Math.sqrt(variance);
  return difference === 0 ? 0 : Math.sign(difference) * Number.POSITIVE_INFINITY;
}

/** Error rates; `what` names the errors. */
export function compareErrors(
  what: string,
  candidate: ErrorCount,
  baseline: ErrorCount,
  limits: TrialLimits,
): Comparison {
  const text = `${what}: ${shareText(candidate)} against ${shareText(baseline)}`;
  if (candidate.calls < limits.minCalls || baseline.calls < limits.minCalls) {
    return { isWorse: false, text: `${text}, fewer than ${limits.minCalls} calls on a side` };
  }
  const z = proportionZ(candidate, baseline);
  const difference = candidate.errors / candidate.calls - baseline.errors / baseline.calls;
  const isWorse = z > limits.maxZ && candidate.errors >= limits.minErrors && difference >= limits.minErrorDifference;
  return { isWorse, text: `${text}, z = ${z.toFixed(1)}${isWorse ? ` over ${limits.maxZ}` : ''}` };
}

interface MedianTime {
  readonly runs: number;
  readonly medianNs: number | undefined;
}

/** Median run times of the filter. */
export function compareLatency(candidate: MedianTime, baseline: MedianTime, limits: TrialLimits): Comparison {
  const { medianNs: mine } = candidate;
  const { medianNs: theirs } = baseline;
  if (mine === undefined || theirs === undefined) return { isWorse: false, text: 'median time: not enough runs' };
  const ratio = mine / Math.max(1, theirs);
  const text = `median time: ${formatNs(mine)} against ${formatNs(theirs)} (${ratio.toFixed(2)}x`;
  const isMeasured = candidate.runs >= limits.minCalls && baseline.runs >= limits.minCalls;
  const isWorse = isMeasured && ratio > limits.maxLatencyRatio && mine - theirs >= limits.minLatencyDifferenceNs;
  return { isWorse, text: `${text}${isWorse ? ` over ${limits.maxLatencyRatio}x` : ''})` };
}
