import { jsonDigest } from '../../server/core/canonical-json.ts';
import type { ObjectStore } from '../../server/stores/objects/object-store.ts';
import type { ChildJob, JobContext, JobKind } from '../queue/job-kind.ts';
import type { AudioRecord } from './encode-audio.ts';
import type { ChunkRecord } from './encode-chunk.ts';
import type { EncodeSet, TranscodeResult } from './encode-set.ts';
import { sourceMissing } from './errors.ts';
import { packagerVersion, packageTitle } from './package.ts';
import { parseTranscodeParams, type TranscodeParams } from './params.ts';
import { planTranscode, type TranscodePlan } from './plan.ts';
import { loadPlan, savePlan } from './plan-store.ts';
import { probeSource } from './probe.ts';
import { defaultSourceLimits } from './source-probe.ts';
import { findJson } from './stored-json.ts';
import { runtimeFor, type TranscodeDeps } from './transcode-deps.ts';
import type { TitleVerification } from './verify-title.ts';

type Inspected = { readonly plan: string; readonly warnings: readonly string[] };

/** Looks into the source, refuses what cannot become a title, and stores the plan. */
async function inspect(deps: TranscodeDeps, context: JobContext, params: TranscodeParams): Promise<Inspected> {
  const { objects } = deps;
  const { signal } = context;
  context.progress({ fraction: 0, stage: 'inspect' });
  const info = await objects.stat(params.sourceKey);
  if (!info) throw sourceMissing(params.sourceKey);
  const runtime = await runtimeFor(deps, context);
  const path = await objects.localPath(params.sourceKey, signal);
  const probe = await probeSource(runtime, path, deps.sourceLimits ?? defaultSourceLimits);
  const plan = planTranscode({
    probe,
    sourceKey: params.sourceKey,
    sourceSha256: info.sha256,
    encoderBuild: runtime.binaries.build,
    ladder: params.ladder,
  });
  return { plan: await savePlan(objects, plan, signal), warnings: probe.warnings.slice(0, 20) };
}

/** Audio first: it is the longest single job of a long title. */
function childJobs(planKey: string, plan: TranscodePlan): ChildJob[] {
  const audio: ChildJob[] = plan.audio
    ? [{ kind: 'encode-audio', params: { plan: planKey }, key: 'audio', label: 'encode audio' }]
    : [];
  const chunks = plan.chunks.map((chunk, index) => ({
    kind: 'encode-chunk',
    params: { plan: planKey, chunk: index },
    key: `chunk-${index}`,
    label: `encode frames ${chunk.start}-${chunk.end - 1}`,
  }));
  return [...audio, ...chunks];
}

async function resultOf(
  objects: ObjectStore,
  set: EncodeSet,
  encodeSetKey: string,
  warnings: readonly string[],
  signal: AbortSignal,
): Promise<TranscodeResult> {
  const verification = await findJson<TitleVerification>(objects, set.verificationObjectKey, signal);
  if (!verification) throw sourceMissing(set.verificationObjectKey);
  const { title, version, frameCount, frameRate, durationSeconds, totalBytes, hlsObjectKey, dashObjectKey, files } =
    set;
  const place = { title, version, encodeSetKey, hlsObjectKey, dashObjectKey };
  const measures = { frameCount, frameRate, durationSeconds, totalBytes, objectCount: set.objects.length };
  return { ...place, ...measures, files, warnings, verification };
}

async function encodeChildren(context: JobContext, planKey: string, plan: TranscodePlan) {
  context.progress({ fraction: 0.05, stage: 'encode', detail: { frames: 0, total_frames: plan.frameCount } });
  const results = await context.children<AudioRecord | ChunkRecord>('encode', childJobs(planKey, plan));
  const audio = plan.audio ? (results[0] as AudioRecord) : undefined;
  const chunks = results.slice(plan.audio ? 1 : 0) as readonly ChunkRecord[];
  context.progress({ fraction: 0.9, stage: 'package', detail: { frames: plan.frameCount } });
  return { audio, chunks };
}

async function runTranscode(deps: TranscodeDeps, context: JobContext, params: TranscodeParams) {
  const { objects } = deps;
  const { signal } = context;
  const inspected = await context.step<Inspected>('inspect', () => inspect(deps, context, params));
  const plan = await loadPlan(objects, inspected.plan, signal);
  const version = `v${jsonDigest({ plan: inspected.plan, packager: packagerVersion }).slice(0, 16)}`;
  const folder = `${params.titleId}/${version}`;
  const encodeSetKey = `${folder}/encode-set.json`;
  let set = await findJson<EncodeSet>(objects, encodeSetKey, signal);
  if (!set) {
    const { audio, chunks } = await encodeChildren(context, inspected.plan, plan);
    const onProgress = (fraction: number) =>
      context.progress({ fraction: 0.9 + fraction * 0.1, stage: 'package', detail: { frames: plan.frameCount } });
    const job = { plan, title: params.titleId, version, folder, chunks, audio, signal, onProgress };
    set = await packageTitle(objects, job);
  }
  context.progress({ fraction: 1, stage: 'done', detail: { frames: plan.frameCount } });
  return resultOf(objects, set, encodeSetKey, inspected.warnings, signal);
}

/**
 * Job kind `transcode`: from any source object to a verified, playable title version. Parameters: TranscodeParams.
 * Probe and plan, then one child job a chunk and one for audio, then stitch, verify, package, publish.
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
