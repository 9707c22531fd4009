import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { invalidField } from '../../../server/core/errors.ts';
import type { JobContext, JobKind } from '../../queue/job-kind.ts';
import { codecTraits, type VideoCodec } from '../codecs/video-codec.ts';
import { encodeRejected, encoderMismatch } from '../errors.ts';
import type { FfmpegRuntime } from '../ffmpeg/run-ffmpeg.ts';
import { readTrackInfo } from '../mp4/init-segment.ts';
import { readSamples } from '../mp4/read-fragments.ts';
import { type ChunkParams, parseChunkParams } from '../params.ts';
import type { Rung } from '../plan/ladder.ts';
import type { PlannedChunk, TranscodePlan } from '../plan/plan.ts';
import { loadPlan, sourcePath } from '../plan/plan-store.ts';
import { bucketPeakKilobits } from '../publish/rate-bucket.ts';
import { runtimeFor, type TranscodeDeps } from '../transcode-deps.ts';
import { rungOutput } from './chunk-command.ts';
import { type EncodeCost, encodeOutputs, encodeTimeoutMs, mostBytes } from './encode-outputs.ts';
import { type EncodedRung, findRung, type RungRecord, rungFolder, storeRung } from './rung-store.ts';
import { chunkFaults, headerFaults } from './verify-chunk.ts';

/** One encoded rung of one chunk in the object store. */
export type ChunkRung = RungRecord & {
  readonly id: string;
  /** Its part of the processor time, by pixels; 0 where it was there already. */
  readonly cpuSeconds: number;
  readonly reused: boolean;
};

/** Result of an encode of a chunk: its rungs of one codec, in the plan's order. */
export type ChunkRecord = {
  readonly start: number;
  readonly end: number;
  readonly rungs: readonly ChunkRung[];
};

/** An encode may break its cap by this much: boxes and rounding. */
const capTolerance = 1.05;
/** Encodes of a rung that breaks its cap, each under a tighter one. */
const tighterAttempts = 4;
/**
 * Further encodes of VP9, and how coarse they are: on pure noise (the snow of an old television) libvpx takes many
 * times its cap while it may choose its quantizers. Coarse snow is better than a title that fails.
 */
const coarsestVp9 = [60, 63];

interface ChunkWork {
  readonly runtime: FfmpegRuntime;
  readonly context: JobContext;
  readonly plan: TranscodePlan;
  readonly chunk: PlannedChunk;
  readonly source: string;
}

function chunkName({ start, end }: PlannedChunk): string {
  return `frames ${start}-${end - 1}`;
}

async function encode(work: ChunkWork, rungs: readonly Rung[], paths: readonly string[]): Promise<EncodeCost> {
  const { runtime, context, plan, chunk, source } = work;
  return encodeOutputs(runtime, context, {
    ...{ plan, chunk, source },
    outputs: rungs.map((rung, index) => rungOutput(plan, rung, paths[index] ?? '')),
    maxFileBytes: mostBytes(plan, chunk, Math.max(...rungs.map((rung) => rung.maxrateKbps))),
    label: rungs.map((rung) => rung.id).join(' '),
  });
}

async function inspect(work: ChunkWork, rung: Rung, path: string) {
  const { plan, chunk, context } = work;
  const data = await readFile(path, { signal: context.signal });
  const samples = readSamples(data);
  const expected = { ...plan, frames: chunk.end - chunk.start, codec: rung.codec };
  const faults = [...chunkFaults(samples, expected), ...headerFaults(readTrackInfo(data), rung)];
  return { data, samples, faults };
}

async function check(work: ChunkWork, rung: Rung, path: string) {
  const { data, samples, faults } = await inspect(work, rung, path);
  if (faults.length > 0) throw encodeRejected(`${rung.id} of ${chunkName(work.chunk)}`, faults);
  return { data, samples };
}

/**
 * Encodes rungs together. Where the first, whose pictures are those of all, lacks some after a seek, all are encoded
 * once more from the source's start: its keyframes are no places to begin at (a stream that is refreshed bit by bit).
 */
async function encodeWhole(work: ChunkWork, rungs: readonly Rung[], paths: readonly string[]) {
  const cost = await encode(work, rungs, paths);
  const [rung] = rungs;
  if (work.chunk.seekSeconds === null || rung === undefined) return { work, cost };
  const { faults } = await inspect(work, rung, paths[0] ?? '');
  if (faults.length === 0) return { work, cost };
  work.context.log.info('encoding again without a seek', { chunk_start: work.chunk.start, cause: faults[0] });
  const whole = { ...work, chunk: { ...work.chunk, seekSeconds: null } };
  const again = await encode(whole, rungs, paths);
  return { work: whole, cost: { ...again, cpuSeconds: cost.cpuSeconds + again.cpuSeconds } };
}

/** A rung with a lower cap; encoders without a buffer model get a coarser aim too, which their headers do not show. */
function tighter(rung: Rung, attempt: number): Rung {
  const part = 0.8 ** attempt;
  const coarser = rung.codec === 'vp9' || rung.codec === 'av1' ? 8 * attempt : 0;
  const leastQuantizer = coarsestVp9[attempt - tighterAttempts];
  return {
    ...rung,
    ...(leastQuantizer === undefined ? {} : { leastQuantizer }),
    crf: Math.max(leastQuantizer ?? 0, Math.min(codecTraits(rung.codec).maxCrf, rung.crf + coarser)),
    maxrateKbps: Math.round(rung.maxrateKbps * part),
    bufsizeKbps: Math.round(rung.bufsizeKbps * part),
  };
}

/**
 * Holds an encode to its cap: one that takes more than maxrate and buffer allow, in any stretch, is made again with
 * less. As each chunk keeps to it alone, a stretch over a join takes at most one buffer more.
 * INTERNAL ENCODE_REJECTED when even that does not help.
 */
async function withinCap(work: ChunkWork, rung: Rung, path: string, cost: EncodeCost) {
  let { excusedErrors } = cost;
  let cpuSeconds = 0;
  let used = rung;
  const mostAttempts = tighterAttempts + (rung.codec === 'vp9' ? coarsestVp9.length : 0);
  for (let attempt = 1; ; attempt++) {
    const { data, samples } = await check(work, rung, path);
    const peak = bucketPeakKilobits(samples, work.plan.timescale, rung.maxrateKbps);
    const encoded: EncodedRung = { data, samples, excusedErrors, maxrateKbps: used.maxrateKbps };
    if (peak <= rung.bufsizeKbps * capTolerance) return { encoded, cpuSeconds };
    const what = `${rung.id} of ${chunkName(work.chunk)}`;
    const fault = `${Math.round(peak)} kb gather over ${rung.maxrateKbps} kb/s, the buffer holds ${rung.bufsizeKbps}`;
    if (attempt === mostAttempts) throw encodeRejected(what, [fault]);
    used = tighter(rung, attempt);
    work.context.log.warn('encoding again under a tighter cap', { what, fault, maxrate_kbps: used.maxrateKbps });
    const again = await encode(work, [used], [path]);
    excusedErrors = again.excusedErrors;
    cpuSeconds += again.cpuSeconds;
  }
}

async function encodeMissing(deps: TranscodeDeps, work: ChunkWork, rungs: readonly Rung[]): Promise<ChunkRung[]> {
  const { plan, chunk, context } = work;
  const paths = rungs.map((rung) => join(context.workDir, `${rung.id}.mp4`));
  const { work: used, cost } = await encodeWhole(work, rungs, paths);
  const pixels = rungs.reduce((sum, rung) => sum + rung.width * rung.height, 0);
  const made: ChunkRung[] = [];
  for (const [index, rung] of rungs.entries()) {
    const { encoded, cpuSeconds } = await withinCap(used, rung, paths[index] ?? '', cost);
    const record = await storeRung(deps.objects, rungFolder(plan, chunk, rung), encoded, context.signal);
    const share = (cost.cpuSeconds * rung.width * rung.height) / pixels;
    made.push({ ...record, id: rung.id, cpuSeconds: share + cpuSeconds, reused: false });
  }
  return made;
}

async function runChunk(
  deps: TranscodeDeps,
  context: JobContext,
  params: ChunkParams,
  codec: VideoCodec,
): Promise<ChunkRecord> {
  const { objects } = deps;
  const { signal } = context;
  const plan = await loadPlan(objects, params.plan, signal);
  const chunk = plan.chunks[params.chunk];
  if (!chunk) throw invalidField('chunk', `the plan has ${plan.chunks.length} chunks`);
  const rungs = plan.rungs.filter((rung) => rung.codec === codec);
  const done = new Map<string, ChunkRung>();
  for (const rung of rungs) {
    const record = await findRung(objects, rungFolder(plan, chunk, rung), signal);
    if (record) done.set(rung.id, { ...record, id: rung.id, cpuSeconds: 0, reused: true });
  }
  const missing = rungs.filter((rung) => !done.has(rung.id));
  if (missing.length > 0) {
    const runtime = await runtimeFor(deps, context);
    const { build } = runtime.binaries;
    if (build !== plan.encoderBuild) throw encoderMismatch(plan.encoderBuild, build);
    const source = await sourcePath(objects, plan, signal);
    for (const rung of await encodeMissing(deps, { runtime, context, plan, chunk, source }, missing)) {
      done.set(rung.id, rung);
    }
  }
  return { start: chunk.start, end: chunk.end, rungs: rungs.flatMap((rung) => done.get(rung.id) ?? []) };
}

/**
 * Job kind `encode-chunk` (H.264) or `encode-chunk-{codec}`: every rung of one codec of one chunk in one ffmpeg
 * process, checked frame by frame, each stored under a key made from its content's causes. A rung whose record is
 * there is not encoded again. Kinds differ by codec so that each codec has its own queue class: slots per worker
 * (and 0 where a build lacks the encoder) are then set by codec.
 */
export function createEncodeChunkKind(deps: TranscodeDeps, codec: VideoCodec): JobKind<ChunkParams, ChunkRecord> {
  const { kind, queueClass } = codecTraits(codec);
  return {
    name: kind,
    queueClass,
    timeoutMs: 2 * encodeTimeoutMs,
    maxRetries: 3,
    parseParams: parseChunkParams,
    run: (context, params) => runChunk(deps, context, params, codec),
  };
}
