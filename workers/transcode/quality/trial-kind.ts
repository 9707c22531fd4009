import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { jsonDigest } from '../../../server/core/canonical-json.ts';
import { invalidField } from '../../../server/core/errors.ts';
import type { JobContext, JobKind } from '../../queue/job-kind.ts';
import { type ChunkOutput, rungOutput } from '../encode/chunk-command.ts';
import { encodeOutputs, encodeTimeoutMs } from '../encode/encode-outputs.ts';
import { encodeRejected, encoderMismatch } from '../errors.ts';
import { readSamples } from '../mp4/read-fragments.ts';
import { parseTrialParams, type TrialParams } from '../params.ts';
import type { DisplaySize } from '../plan/ladder.ts';
import type { PlannedChunk, TranscodePlan } from '../plan/plan.ts';
import { loadPlan, sourcePath } from '../plan/plan-store.ts';
import { findJson } from '../stored-json.ts';
import { runtimeFor, type TranscodeDeps } from '../transcode-deps.ts';
import { metricBuild } from './metric.ts';
import { scorePictures } from './score-pictures.ts';
import { referenceSize } from './trial-plan.ts';

/** What one rung made of one sample. */
export type TrialScore = {
  readonly id: string;
  /** Coded pictures alone, without boxes. */
  readonly bytes: number;
  readonly frames: number;
  /** Mean of the sample: SSIM 0..1 of luma, or VMAF 0..100. */
  readonly mean: number;
};

/** What all rungs of a trial made of one sample. */
export type TrialResult = {
  readonly scores: readonly TrialScore[];
  /** 0 where the scores were there already. */
  readonly cpuSeconds: number;
};

/** Options of the picture that others are compared with: lossless, so that it may go through another build. */
const losslessArguments: readonly string[] = [
  ...['-c:v', 'libx264', '-preset', 'ultrafast', '-qp', '0', '-threads:v', '1'],
  ...['-movflags', '+frag_keyframe+empty_moov+default_base_moof', '-f', 'mp4'],
];

/** The reference pictures of a chunk as an output of its encode. */
export function referenceOutput(plan: TranscodePlan, size: DisplaySize, path: string): ChunkOutput {
  const rate = ['-r', `${plan.rate.num}/${plan.rate.den}`];
  return { size, arguments: [...rate, ...losslessArguments], path };
}

/** Bytes of raw pictures: what no lossless file of them exceeds by more than the room added. */
export function rawBytes(size: DisplaySize, { start, end }: PlannedChunk): number {
  return size.width * size.height * 1.5 * (end - start) + 16 * 1024 ** 2;
}

async function sizeOf(path: string, frames: number, signal: AbortSignal): Promise<number> {
  const samples = readSamples(await readFile(path, { signal }));
  if (samples.length !== frames) throw encodeRejected('trial', [`${samples.length} frames, ${frames} planned`]);
  return samples.reduce((sum, sample) => sum + sample.data.length, 0);
}

async function measure(deps: TranscodeDeps, context: JobContext, plan: TranscodePlan, params: TrialParams) {
  const { signal, workDir } = context;
  const sample = plan.chunks[params.sample];
  if (!sample) throw invalidField('sample', `the plan has ${plan.chunks.length} samples`);
  const runtime = await runtimeFor(deps, context);
  const { build } = runtime.binaries;
  if (build !== plan.encoderBuild) throw encoderMismatch(plan.encoderBuild, build);
  const binaries = await metricBuild(deps, runtime.binaries, params.metric);
  const size = referenceSize(plan.video.display);
  const reference = join(workDir, 'reference.mp4');
  const paths = plan.rungs.map((rung) => join(workDir, `${rung.id}.mp4`));
  const encoded = await encodeOutputs(runtime, halfOf(context, 0), {
    plan,
    chunk: sample,
    source: await sourcePath(deps.objects, plan, signal),
    outputs: [
      referenceOutput(plan, size, reference),
      ...plan.rungs.map((rung, index) => rungOutput(plan, rung, paths[index] ?? '')),
    ],
    maxFileBytes: rawBytes(size, sample),
    label: `${plan.rungs.length} trials`,
  });
  const frames = sample.end - sample.start;
  const scoring = halfOf(context, 0.5);
  const { scores, cpuSeconds } = await scorePictures(
    { ...runtime, binaries },
    {
      ...{ metric: params.metric, reference, distorted: paths, size, rate: plan.rate, frames },
      onProgress: (fraction) => scoring.progress({ fraction, stage: 'score' }),
    },
  );
  const bytes = await Promise.all(paths.map((path) => sizeOf(path, frames, signal)));
  const found = plan.rungs.map((rung, index) => {
    return { id: rung.id, bytes: bytes[index] ?? 0, frames, mean: scores[index]?.mean ?? 0 };
  });
  return { scores: found, cpuSeconds: encoded.cpuSeconds + cpuSeconds };
}

/** The job's context with progress that fills one half of it. */
function halfOf(context: JobContext, from: 0 | 0.5): JobContext {
  return {
    ...context,
    progress: (report) => context.progress({ ...report, fraction: from + report.fraction / 2 }),
  };
}

async function runTrial(deps: TranscodeDeps, context: JobContext, params: TrialParams): Promise<TrialResult> {
  const plan = await loadPlan(deps.objects, params.plan, context.signal);
  const key = `transcode/trials/${jsonDigest({ recipe: 1, ...params })}.json`;
  const known = await findJson<TrialScore[]>(deps.objects, key, context.signal);
  if (known) return { scores: known, cpuSeconds: 0 };
  const { scores, cpuSeconds } = await measure(deps, context, plan, params);
  // Not put once: two metric builds may differ in the last digit, and either answer is good.
  await deps.objects.put(key, Buffer.from(JSON.stringify(scores)), { contentType: 'application/json' });
  return { scores, cpuSeconds };
}

/**
 * Job kind `trial-encode`: every rung of a trial plan on one sample of the title, in one process, and how each looks
 * beside the source at the size it is shown. Nothing but the scores is kept.
 */
export function createTrialKind(deps: TranscodeDeps): JobKind<TrialParams, TrialResult> {
  return {
    name: 'trial-encode',
    queueClass: 'analyse',
    timeoutMs: 2 * encodeTimeoutMs,
    maxRetries: 2,
    parseParams: parseTrialParams,
    run: (context, params) => runTrial(deps, context, params),
  };
}
