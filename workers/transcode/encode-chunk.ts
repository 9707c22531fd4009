import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { jsonDigest } from '../../server/core/canonical-json.ts';
import { invalidField } from '../../server/core/errors.ts';
import type { ObjectStore } from '../../server/stores/objects/object-store.ts';
import type { JobContext, JobKind } from '../queue/job-kind.ts';
import { chunkArguments, chunkFilters, encoderThreads } from './chunk-command.ts';
import { encodeRejected, encoderMismatch } from './errors.ts';
import { judgeEncode } from './judge-encode.ts';
import { makeInitSegment } from './mp4/init-segment.ts';
import { readSamples } from './mp4/read-fragments.ts';
import { type ChunkParams, parseChunkParams } from './params.ts';
import type { PlannedChunk, TranscodePlan } from './plan.ts';
import { loadPlan, sourcePath } from './plan-store.ts';
import { toNumber } from './rational.ts';
import { type FfmpegRuntime, runFfmpeg } from './run-ffmpeg.ts';
import { findJson, putJsonOnce } from './stored-json.ts';
import { runtimeFor, type TranscodeDeps } from './transcode-deps.ts';
import { chunkFaults } from './verify-chunk.ts';

/** One encoded rung of one chunk in the object store. */
export type ChunkRung = {
  readonly id: string;
  readonly key: string;
  readonly bytes: number;
  readonly sha256: string;
  /** Of the init segment: equal over all chunks of a rung, or the chunks cannot be joined. */
  readonly initSha256: string;
  /** Presentation minus decode time of the first frame: how far the encoder reorders. */
  readonly delayTicks: number;
};

/** Commit record of a chunk: written last, so whoever reads it finds every file of it. */
export type ChunkRecord = {
  readonly start: number;
  readonly end: number;
  readonly encoderBuild: string;
  /** Decoder complaints that only the seek explains. */
  readonly excusedErrors: number;
  readonly rungs: readonly ChunkRung[];
};

/** Folder of a chunk: a digest of all that decides its bytes. */
export function chunkFolder(plan: TranscodePlan, chunk: PlannedChunk): string {
  const content = {
    recipe: 2,
    source: plan.source.sha256,
    filters: chunkFilters(plan, chunk),
    chunk,
    clock: [plan.rate, plan.timescale, plan.gopFrames],
    rungs: plan.rungs,
    encoder: [plan.encoderBuild, encoderThreads],
  };
  return `transcode/chunks/${jsonDigest(content)}`;
}

/** The record of a chunk that was encoded before, if all of its files are still there. */
async function findChunk(objects: ObjectStore, folder: string, signal: AbortSignal): Promise<ChunkRecord | undefined> {
  const record = await findJson<ChunkRecord>(objects, `${folder}/commit.json`, signal);
  if (!record) return undefined;
  for (const rung of record.rungs) if ((await objects.stat(rung.key))?.sha256 !== rung.sha256) return undefined;
  return record;
}

interface ChunkWork {
  readonly plan: TranscodePlan;
  readonly chunk: PlannedChunk;
  readonly source: string;
  readonly paths: readonly string[];
}

/** Bytes a correct rung file cannot reach: the cap over its length and buffer, four times over, and room for boxes. */
function maxChunkBytes(plan: TranscodePlan, chunk: PlannedChunk): number {
  const seconds = (chunk.end - chunk.start) / toNumber(plan.rate);
  const kilobits = Math.max(...plan.rungs.map((rung) => rung.maxrateKbps * seconds + rung.bufsizeKbps));
  return Math.ceil(kilobits * 125 * 4) + 16 * 1024 ** 2;
}

async function encodeOnce(runtime: FfmpegRuntime, context: JobContext, work: ChunkWork, seek: boolean) {
  const { plan, chunk } = work;
  const frames = chunk.end - chunk.start;
  const limits = { ...runtime.limits, maxFileBytes: maxChunkBytes(plan, chunk) };
  const end = await runFfmpeg(
    { ...runtime, limits },
    {
      args: chunkArguments(plan, chunk, work.source, work.paths, seek),
      timeoutMs: encodeTimeoutMs,
      // No frame comes out while frames before the chunk are decoded and thrown away.
      noProgressMs: 60_000 + (seek ? 0 : chunk.start * 50),
      onProgress: ({ frames: done, fps }) =>
        context.progress({
          fraction: Math.min(1, done / frames),
          stage: 'encode',
          detail: { frames: done, total_frames: frames, fps },
        }),
    },
  );
  const name = `frames ${chunk.start}-${chunk.end - 1}`;
  return judgeEncode(name, end, seek, plan.source.demuxer === 'mov' || plan.source.demuxer === 'matroska');
}

/**
 * Encodes with a seek; when the decoder complains of more than a seek explains, once more from the source's start,
 * where only a broken source complains. INVALID_ARGUMENT SOURCE_UNREADABLE.
 */
async function encodeRungs(runtime: FfmpegRuntime, context: JobContext, work: ChunkWork): Promise<number> {
  const seek = work.chunk.seekSeconds !== null;
  const first = await encodeOnce(runtime, context, work, seek);
  if (!first.error) return first.excused;
  if (!seek) throw first.error;
  context.log.info('encoding again without a seek', { chunk_start: work.chunk.start, cause: first.error.message });
  const second = await encodeOnce(runtime, context, work, false);
  if (second.error) throw second.error;
  return 0;
}

async function storeRung(objects: ObjectStore, work: ChunkWork, index: number, folder: string, signal: AbortSignal) {
  const { plan, chunk } = work;
  const rung = plan.rungs[index];
  const path = work.paths[index];
  if (!rung || path === undefined) throw encodeRejected(`rung ${index}`, ['it is not in the plan']);
  const data = await readFile(path, { signal });
  const frames = chunk.end - chunk.start;
  const samples = readSamples(data);
  const faults = chunkFaults(samples, { ...plan, frames });
  if (faults.length > 0) throw encodeRejected(`${rung.id} of frames ${chunk.start}-${chunk.end - 1}`, faults);
  const initSha256 = createHash('sha256').update(makeInitSegment(data, 0)).digest('hex');
  const key = `${folder}/${rung.id}.mp4`;
  const info = await objects.putFile(key, path, { contentType: 'video/mp4', signal });
  const delayTicks = samples[0]?.offsetTicks ?? 0;
  return { id: rung.id, key, bytes: info.bytes, sha256: info.sha256, initSha256, delayTicks };
}

const encodeTimeoutMs = 3_600_000;

async function runChunk(deps: TranscodeDeps, context: JobContext, params: ChunkParams): Promise<ChunkRecord> {
  const { objects } = deps;
  const { signal } = context;
  const plan = await loadPlan(objects, params.plan, signal);
  const chunk = plan.chunks[params.chunk];
  if (!chunk) throw invalidField('chunk', `the plan has ${plan.chunks.length} chunks`);
  const folder = chunkFolder(plan, chunk);
  const known = await findChunk(objects, folder, signal);
  if (known) return known;
  const runtime = await runtimeFor(deps, context);
  const { build } = runtime.binaries;
  if (build !== plan.encoderBuild) throw encoderMismatch(plan.encoderBuild, build);
  const paths = plan.rungs.map((rung) => join(context.workDir, `${rung.id}.mp4`));
  const work: ChunkWork = { plan, chunk, paths, source: await sourcePath(objects, plan, signal) };
  const excusedErrors = await encodeRungs(runtime, context, work);
  const rungs: ChunkRung[] = [];
  for (const index of plan.rungs.keys()) rungs.push(await storeRung(objects, work, index, folder, signal));
  const record: ChunkRecord = { start: chunk.start, end: chunk.end, encoderBuild: build, excusedErrors, rungs };
  await putJsonOnce(objects, `${folder}/commit.json`, record, signal);
  return record;
}

/**
 * Job kind `encode-chunk`: every rung of one chunk in one ffmpeg process, checked frame by frame, stored under a key
 * made from its content's causes. A second run finds the commit record and does nothing.
 */
export function createEncodeChunkKind(deps: TranscodeDeps): JobKind<ChunkParams, ChunkRecord> {
  return {
    name: 'encode-chunk',
    queueClass: 'encode',
    timeoutMs: 2 * encodeTimeoutMs,
    maxRetries: 3,
    parseParams: parseChunkParams,
    run: (context, params) => runChunk(deps, context, params),
  };
}
