import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JobContext, JobKind } from '../../queue/job-kind.ts';
import { chunkArguments } from '../encode/chunk-command.ts';
import { encodeTimeoutMs } from '../encode/encode-outputs.ts';
import { scoreFailed, sourceMissing } from '../errors.ts';
import { type FfmpegRuntime, runFfmpeg } from '../ffmpeg/run-ffmpeg.ts';
import { initName, segmentName } from '../manifest/media-track.ts';
import { parseScoreParams, type ScoreParams } from '../params.ts';
import type { DisplaySize } from '../plan/ladder.ts';
import type { PlannedChunk, TranscodePlan } from '../plan/plan.ts';
import { loadPlan, sourcePath } from '../plan/plan-store.ts';
import { reportKey } from '../publish/cost-report.ts';
import type { EncodeSet, EncodeSetFile } from '../publish/encode-set.ts';
import { toNumber } from '../rational.ts';
import { findJson } from '../stored-json.ts';
import { runtimeFor, type TranscodeDeps } from '../transcode-deps.ts';
import { findVmafBuild, type Metric, metricBuild, ssimDb } from './metric.ts';
import { scorePictures } from './score-pictures.ts';
import { rawBytes, referenceOutput } from './trial-kind.ts';
import { referenceSize } from './trial-plan.ts';

type RungQuality = {
  /** e.g. `video-720p`. */
  readonly id: string;
  readonly bitrateBps: number;
  /** SSIM in dB, or VMAF. */
  readonly score: number;
  /** Of the worst frame looked at, in the same scale. */
  readonly worst: number;
};

/** How a published version looks beside its source; stored as `quality.json`, replaced when scored again. */
export type QualityReport = {
  readonly format: 1;
  readonly title: string;
  readonly version: string;
  readonly metric: Metric;
  readonly metricBuild: string;
  /** Size at which pictures were compared. */
  readonly width: number;
  readonly height: number;
  /** Frames `[start, end)` that were compared. */
  readonly samples: readonly { readonly start: number; readonly end: number }[];
  readonly rungs: readonly RungQuality[];
  readonly cpuSeconds: number;
};

/** Titles up to this long are scored whole. */
const wholeSeconds = 60;
/** Segments of a longer title that are scored, evenly spread. */
const mostSegments = 24;

function segmentsToScore(plan: TranscodePlan): number[] {
  const all = [...plan.segments.keys()];
  if (plan.frameCount / toNumber(plan.rate) <= wholeSeconds || all.length <= mostSegments) return all;
  return Array.from({ length: mostSegments }, (_, layer) => Math.floor(((layer + 0.5) * all.length) / mostSegments));
}

interface Scoring {
  readonly deps: TranscodeDeps;
  readonly context: JobContext;
  readonly runtime: FfmpegRuntime;
  readonly scorer: FfmpegRuntime;
  readonly plan: TranscodePlan;
  readonly files: readonly EncodeSetFile[];
  readonly source: string;
  readonly size: DisplaySize;
  readonly metric: Metric;
}

/** A segment of a rung as a file of its own: the header and the segment's bytes. */
async function fetchSegment(scoring: Scoring, file: EncodeSetFile, index: number): Promise<string> {
  const { objects } = scoring.deps;
  const parts = await Promise.all(
    [initName, segmentName(index)].map((name) => objects.read(`${file.objectKey}${name}`, { maxBytes: 2 ** 30 })),
  );
  const path = join(scoring.context.workDir, `${file.id}.mp4`);
  await writeFile(path, Buffer.concat(parts), { signal: scoring.context.signal });
  return path;
}

/** The source's pictures of a range, lossless. */
async function makeReference(scoring: Scoring, range: PlannedChunk): Promise<{ path: string; cpuSeconds: number }> {
  const { runtime, plan, size, source, context } = scoring;
  const path = join(context.workDir, 'reference.mp4');
  const limits = { ...runtime.limits, maxFileBytes: rawBytes(size, range) };
  const args = chunkArguments(plan, range, source, [referenceOutput(plan, size, path)], true);
  const end = await runFfmpeg({ ...runtime, limits }, { args, timeoutMs: encodeTimeoutMs });
  if (end.exitCode !== 0) throw scoreFailed('the source', end.errorLines[0] ?? `exit code ${end.exitCode}`);
  return { path, cpuSeconds: end.cpuSeconds };
}

async function scoreSegment(scoring: Scoring, index: number) {
  const { plan, files, size, metric, scorer } = scoring;
  const { start, end } = plan.segments[index] ?? { start: 0, end: 0 };
  const chunk = plan.chunks.find((each) => start >= each.start && end <= each.end);
  const range = { start, end, seekSeconds: chunk?.seekSeconds ?? null, sourceBytes: 0 };
  const reference = await makeReference(scoring, range);
  const distorted: string[] = [];
  for (const file of files) distorted.push(await fetchSegment(scoring, file, index));
  const work = { metric, reference: reference.path, distorted, size, rate: plan.rate, frames: end - start };
  const { scores, cpuSeconds } = await scorePictures(scorer, work);
  return { start, end, scores, cpuSeconds: cpuSeconds + reference.cpuSeconds };
}

type Scored = Awaited<ReturnType<typeof scoreSegment>>;

function qualityOf(scoring: Scoring, segments: readonly Scored[]): RungQuality[] {
  const scaled = (mean: number) => (scoring.metric === 'ssim' ? ssimDb(mean) : mean);
  return scoring.files.map(({ id, bitrateBps }, index) => {
    let sum = 0;
    let frames = 0;
    let worst = Number.POSITIVE_INFINITY;
    for (const { start, end, scores } of segments) {
      sum += (scores[index]?.mean ?? 0) * (end - start);
      frames += end - start;
      worst = Math.min(worst, scores[index]?.worst ?? 0);
    }
    return { id, bitrateBps, score: scaled(sum / frames), worst: scaled(worst) };
  });
}

async function runScore(deps: TranscodeDeps, context: JobContext, params: ScoreParams): Promise<QualityReport> {
  const { objects } = deps;
  const { signal } = context;
  const set = await findJson<EncodeSet>(objects, params.encodeSetKey, signal);
  if (!set) throw sourceMissing(params.encodeSetKey);
  const plan = await loadPlan(objects, set.planObjectKey, signal);
  const runtime = await runtimeFor(deps, context);
  const metric = params.metric ?? ((await findVmafBuild(deps, runtime.binaries)) ? 'vmaf' : 'ssim');
  const binaries = await metricBuild(deps, runtime.binaries, metric);
  const size = referenceSize(plan.video.display);
  const source = await sourcePath(objects, plan, signal);
  // HDR rungs are beside no SDR reference.
  const apart = new Set(plan.rungs.flatMap(({ id, hdr }) => (hdr ? [`video-${id}`] : [])));
  const files = set.files.filter((file) => file.kind === 'video' && !apart.has(file.id));
  const scoring = { deps, context, runtime, scorer: { ...runtime, binaries }, plan, files, source, size, metric };
  const wanted = segmentsToScore(plan);
  const scored: Scored[] = [];
  for (const index of wanted) {
    scored.push(await scoreSegment(scoring, index));
    context.progress({ fraction: scored.length / wanted.length, stage: 'score' });
  }
  const { title, version } = set;
  const report: QualityReport = {
    ...{ format: 1, title, version, metric, metricBuild: binaries.build, ...size },
    samples: scored.map(({ start, end }) => ({ start, end })),
    rungs: qualityOf(scoring, scored),
    cpuSeconds: scored.reduce((sum, segment) => sum + segment.cpuSeconds, 0),
  };
  const body = Buffer.from(JSON.stringify(report));
  await objects.put(reportKey(title, version, 'quality'), body, { contentType: 'application/json', signal });
  return report;
}

/**
 * Job kind `score-title`: how each rung of a published version looks beside its source, frame against frame at the
 * source's size. Apart from encoding, so that scores can be had again, by another metric or build, without it.
 */
export function createScoreTitleKind(deps: TranscodeDeps): JobKind<ScoreParams, QualityReport> {
  return {
    name: 'score-title',
    // Not that of trials: a title that waits for its ladder is not to wait for the judgement of another.
    queueClass: 'score',
    timeoutMs: 4 * encodeTimeoutMs,
    maxRetries: 2,
    parseParams: parseScoreParams,
    run: (context, params) => runScore(deps, context, params),
  };
}
