import { jsonDigest } from '../../server/core/canonical-json.ts';
import type { ObjectStore } from '../../server/stores/objects/object-store.ts';
import type { JobContext, JobKind } from '../queue/job-kind.ts';
import { collectEncodes, type EncodeResult, encodeJobs } from './child-jobs.ts';
import { encoderFor } from './codecs/video-codec.ts';
import { codecUnavailable, sourceMissing } from './errors.ts';
import type { ThumbnailRecord } from './images/make-thumbnails-kind.ts';
import { parseTranscodeParams, type TranscodeParams } from './params.ts';
import type { CodecChoice } from './plan/ladder.ts';
import { planTranscode, type TranscodePlan } from './plan/plan.ts';
import type { AudioChoice } from './plan/plan-audio.ts';
import { loadPlan, savePlan } from './plan/plan-store.ts';
import { type CostReport, costReport, keepCost, reportKey } from './publish/cost-report.ts';
import type { EncodeSet, TranscodeResult } from './publish/encode-set.ts';
import { packagerVersion, packageTitle } from './publish/package.ts';
import { commitName } from './publish/publish-track.ts';
import type { VerificationReport } from './publish/verify-title.ts';
import { chooseLadder, type LadderPreparation, prepareLadder } from './quality/choose-ladder.ts';
import { findVmafBuild } from './quality/metric.ts';
import { probeSource } from './source/probe.ts';
import { defaultSourceLimits, type SourceProbe } from './source/source-probe.ts';
import { findJson } from './stored-json.ts';
import { runtimeFor, type TranscodeDeps } from './transcode-deps.ts';

type Inspected = {
  /** Key of the plan before its ladder is chosen. */
  readonly plan: string;
  readonly codecs: readonly CodecChoice[];
  readonly ladder: LadderPreparation;
};

/** Looks into the source, refuses what cannot become a title, and stores the plan. */
async function inspect(deps: TranscodeDeps, context: JobContext, params: TranscodeParams): Promise<Inspected> {
  const { objects } = deps;
  const { signal } = context;
  context.progress({ fraction: 0, stage: 'inspect' });
  const info = await objects.stat(params.sourceKey);
  if (!info) throw sourceMissing(params.sourceKey);
  const runtime = await runtimeFor(deps, context);
  const { build, encoders } = runtime.binaries;
  const codecs = (params.codecs ?? ['h264']).map((codec) => ({ codec, encoder: encoderFor(codec, encoders) }));
  const path = await objects.localPath(params.sourceKey, signal);
  const probe = await probeSource(runtime, path, deps.sourceLimits ?? defaultSourceLimits);
  const choices = withHdr(codecs, params, probe, encoders);
  const plan = planTranscode({
    probe,
    sourceKey: params.sourceKey,
    sourceSha256: info.sha256,
    encoderBuild: build,
    ladder: params.ladder,
    codecs: choices,
    audio: audioChoice(params, encoders),
    keepsHdr: params.hdr === 'keep',
  });
  const metric = (await findVmafBuild(deps, runtime.binaries)) ? 'vmaf' : 'ssim';
  const ladder = prepareLadder({ plan, video: probe.video, params, codecs: choices, metric });
  return { plan: await savePlan(objects, plan, signal), codecs: choices, ladder };
}

/** The codecs, with HEVC in the source's range where a job keeps it. CODEC_UNAVAILABLE. */
function withHdr(
  codecs: readonly CodecChoice[],
  params: TranscodeParams,
  { video }: SourceProbe,
  available: ReadonlySet<string>,
): CodecChoice[] {
  if (params.hdr !== 'keep' || !video.hdr) return [...codecs];
  const others = codecs.filter(({ codec }) => codec !== 'hevc');
  return [...others, { codec: 'hevc', encoder: encoderFor('hevc', available), hdr: video.hdr }];
}

/** CODEC_UNAVAILABLE for Opus in a build without it. */
export function audioChoice(params: TranscodeParams, available: ReadonlySet<string>): AudioChoice {
  const { audioCodecs = ['aac'], loudnessLufs = -23 } = params;
  const opus = audioCodecs.includes('opus');
  if (opus && !available.has('libopus')) throw codecUnavailable('opus', ['libopus']);
  return { opus, loudnessLufs: loudnessLufs === 0 ? null : loudnessLufs };
}

async function resultOf(
  objects: ObjectStore,
  set: EncodeSet,
  encodeSetKey: string,
  signal: AbortSignal,
): Promise<TranscodeResult> {
  const verification = await findJson<VerificationReport>(objects, set.verificationObjectKey, signal);
  if (!verification) throw sourceMissing(set.verificationObjectKey);
  const { title, version, frameCount, frameRate, durationSeconds, totalBytes, hlsObjectKey, dashObjectKey, files } =
    set;
  const { ladderObjectKey } = set;
  const place = { title, version, encodeSetKey, hlsObjectKey, dashObjectKey, ladderObjectKey };
  const measures = { frameCount, frameRate, durationSeconds, totalBytes, objectCount: set.objects.length };
  const cost = (await findJson<CostReport>(objects, reportKey(title, version, 'cost'), signal)) ?? null;
  return { ...place, ...measures, files, warnings: verification.warnings, verification, cost };
}

async function encodeChildren(context: JobContext, planKey: string, plan: TranscodePlan) {
  context.progress({ fraction: 0.05, stage: 'encode', detail: { frames: 0, total_frames: plan.frameCount } });
  const jobs = encodeJobs(planKey, plan);
  const children = jobs.map(({ chunk: _chunk, ...job }) => job);
  const results = await context.children<EncodeResult>('encode', children);
  return collectEncodes(plan, jobs, results);
}

/** The final plan: rungs by trials or from the fixed ladder, explained. */
async function decideLadder(deps: TranscodeDeps, context: JobContext, inspected: Inspected) {
  if (inspected.ladder.samples.length > 0) context.progress({ fraction: 0.02, stage: 'analyse' });
  const draft = await loadPlan(deps.objects, inspected.plan, context.signal);
  return chooseLadder(deps.objects, context, draft, inspected.codecs, inspected.ladder);
}

async function runTranscode(deps: TranscodeDeps, context: JobContext, params: TranscodeParams) {
  const { objects } = deps;
  const { signal } = context;
  const inspected = await context.step<Inspected>('inspect', () => inspect(deps, context, params));
  const ladder = await decideLadder(deps, context, inspected);
  const plan = await loadPlan(objects, ladder.plan, signal);
  const version = `v${jsonDigest({ plan: ladder.plan, packager: packagerVersion }).slice(0, 16)}`;
  const folder = `${params.titleId}/${version}`;
  const encodeSetKey = `${folder}/${commitName}`;
  let set = await findJson<EncodeSet>(objects, encodeSetKey, signal);
  if (!set) {
    const encodes = await encodeChildren(context, ladder.plan, plan);
    const cost = costReport(plan, encodes.chunks, ladder.cpuSeconds);
    await keepCost(objects, reportKey(params.titleId, version, 'cost'), cost, signal);
    const onProgress = (fraction: number) =>
      context.progress({ fraction: 0.9 + fraction * 0.1, stage: 'package', detail: { frames: plan.frameCount } });
    const place = { planKey: ladder.plan, title: params.titleId, version, folder };
    const [thumbnails] = await context.children<ThumbnailRecord>('images', [
      { kind: 'make-thumbnails', params: { plan: ladder.plan }, key: 'thumbnails', label: 'make thumbnails' },
    ]);
    if (!thumbnails) throw sourceMissing('thumbnails');
    context.progress({ fraction: 0.9, stage: 'package', detail: { frames: plan.frameCount } });
    set = await packageTitle(objects, { ...place, ...encodes, thumbnails, plan, signal, onProgress });
  }
  context.progress({ fraction: 1, stage: 'done', detail: { frames: plan.frameCount } });
  return resultOf(objects, set, encodeSetKey, signal);
}

/**
 * Job kind `transcode`: from any source object to a verified, playable title version. Parameters: TranscodeParams.
 * Probe and plan, trials for a ladder of its own, then child jobs for audio and for each chunk and codec, then
 * stitch, verify, package, publish.
 */
export function createTranscodeKind(deps: TranscodeDeps): JobKind<TranscodeParams, TranscodeResult> {
  return {
    name: 'transcode',
    queueClass: 'transcode',
    timeoutMs: 24 * 3_600_000,
    maxRetries: 3,
    parseParams: parseTranscodeParams,
    run: (context, params) => runTranscode(deps, context, params),
  };
}
