import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { encoderFor } from './codecs/video-codec.ts';
import { encoderMismatch } from './errors.ts';
import type { PlanParams, ScoreParams, TranscodeParams, TrialParams } from './params.ts';
import { loadPlan } from './plan/plan-store.ts';
import { metricBuild } from './quality/metric.ts';
import { audioChoice } from './transcode.ts';
import { binariesFor, type TranscodeDeps } from './transcode-deps.ts';

/** Plans whose build is remembered: the titles that are made at once. */
const mostPlans = 100;
/** How long the store may take to give a plan, in ms. */
const readTimeoutMs = 10_000;

/**
 * Tells why the ffmpeg of this worker cannot do a job, undefined when it can: see JobKind.whyUnfit. Rejects with what is
 * no fault of the worker.
 */
export interface Fitness {
  /** A title: has it an encoder of every codec that the job may need? */
  forTitle(params: TranscodeParams): Promise<AppError | undefined>;
  /** A part of a title: is it the build that the title was planned for, and has it the metric of a trial? */
  forPart(params: PlanParams & Partial<Pick<TrialParams, 'metric'>>): Promise<AppError | undefined>;
  /** A judgement: is there a build with the metric? */
  forScore(params: ScoreParams): Promise<AppError | undefined>;
}

/** Remembers the builds of 100 plans, so that the parts of a title cost one read of its plan. */
export function createFitness(deps: TranscodeDeps): Fitness {
  // A plan never changes, and all parts of a title ask for the same.
  const builds = new Map<string, string>();
  const plannedBuild = async (key: string): Promise<string> => {
    const known =
      builds.get(key) ?? (await loadPlan(deps.objects, key, AbortSignal.timeout(readTimeoutMs))).encoderBuild;
    builds.delete(key);
    builds.set(key, known);
    for (const oldest of builds.keys()) {
      if (builds.size <= mostPlans) break;
      builds.delete(oldest);
    }
    return known;
  };
  return {
    forTitle: (params) =>
      lackOf(async () => {
        const { encoders } = await binariesFor(deps);
        // Whether the source is HDR is not known yet: a build without HEVC leaves it to one that has it.
        const codecs = [...(params.codecs ?? ['h264' as const]), ...(params.hdr === 'keep' ? ['hevc' as const] : [])];
        for (const codec of codecs) encoderFor(codec, encoders);
        audioChoice(params, encoders);
      }),
    forPart: ({ plan, metric }) =>
      lackOf(async () => {
        const binaries = await binariesFor(deps);
        const planned = await plannedBuild(plan);
        if (binaries.build !== planned) throw encoderMismatch(planned, binaries.build);
        if (metric !== undefined) await metricBuild(deps, binaries, metric);
      }),
    forScore: ({ metric }) =>
      lackOf(async () => {
        const binaries = await binariesFor(deps);
        if (metric !== undefined) await metricBuild(deps, binaries, metric);
      }),
  };
}

/** What the worker lacks is a failed precondition. */
async function lackOf(check: () => Promise<void>): Promise<AppError | undefined> {
  try {
    await check();
    return undefined;
  } catch (error) {
    if (error instanceof AppError && error.code === Code.FAILED_PRECONDITION) return error;
    throw error;
  }
}
