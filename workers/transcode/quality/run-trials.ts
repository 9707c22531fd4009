import { Code } from '../../../server/core/codes.ts';
import { AppError } from '../../../server/core/errors.ts';
import type { JobContext } from '../../queue/job-kind.ts';
import type { TranscodePlan } from '../plan/plan.ts';
import { toNumber } from '../rational.ts';
import { type Metric, ssimDb } from './metric.ts';
import type { TrialResult } from './trial-kind.ts';

/** A rung over all samples. */
export type TrialPoint = {
  readonly id: string;
  readonly kbps: number;
  /** SSIM in dB or VMAF. */
  readonly score: number;
};

/** Outcome of one round of trials; points are empty when it failed. */
export type TrialRound = {
  readonly points: readonly TrialPoint[];
  readonly cpuSeconds: number;
  /** Why it failed; empty when it did not. */
  readonly failure: string;
};

/** Failures that say something of the source or the platform, and so would meet the encode itself too. */
const fatalCodes: ReadonlySet<number> = new Set([
  Code.INVALID_ARGUMENT,
  Code.NOT_FOUND,
  Code.DATA_LOSS,
  Code.RESOURCE_EXHAUSTED,
  Code.CANCELLED,
]);

function pooled(plan: TranscodePlan, metric: Metric, results: readonly TrialResult[]): TrialPoint[] {
  return plan.rungs.map(({ id }) => {
    const own = results.flatMap(({ scores }) => scores.filter((score) => score.id === id));
    const frames = own.reduce((sum, score) => sum + score.frames, 0);
    const bytes = own.reduce((sum, score) => sum + score.bytes, 0);
    const mean = own.reduce((sum, score) => sum + score.mean * score.frames, 0) / frames;
    const kbps = (bytes * 8 * toNumber(plan.rate)) / frames / 1000;
    return { id, kbps, score: metric === 'ssim' ? ssimDb(mean) : mean };
  });
}

/**
 * One round of trials as child jobs, a sample each. The outcome is kept as a step of the job, a failure too: the
 * ladder then falls back once and for all, however often the job runs again. Throws what the encode itself would
 * meet, and whatever ends this attempt.
 */
export function runTrials(
  context: JobContext,
  name: string,
  planKey: string,
  plan: TranscodePlan,
  metric: Metric,
): Promise<TrialRound> {
  return context.step<TrialRound>(name, async () => {
    const children = plan.chunks.map((sample, index) => ({
      kind: 'trial-encode',
      params: { plan: planKey, sample: index, metric },
      key: `sample-${index}`,
      label: `try ${plan.rungs.length} rungs on frames ${sample.start}-${sample.end - 1} (${metric})`,
    }));
    try {
      const results = await context.children<TrialResult>(name, children);
      const cpuSeconds = results.reduce((sum, result) => sum + result.cpuSeconds, 0);
      return { points: pooled(plan, metric, results), cpuSeconds, failure: '' };
    } catch (error) {
      // Parked, cancelled or out of its lease: this attempt is over, not the trials.
      if (context.signal.aborted || !(error instanceof AppError) || fatalCodes.has(error.code)) throw error;
      context.log.warn('trials failed', { round: name, error });
      return { points: [], cpuSeconds: 0, failure: `${error.reason}: ${error.message}` };
    }
  });
}
