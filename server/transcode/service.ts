import type { JsonObject, MessageInitShape } from '@bufbuild/protobuf';
import { Job_State, type JobEventSchema, type JobSchema } from '../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import {
  type RungProgressSchema,
  type Transcode,
  type TranscodeSchema,
  Upload_State,
  type UploadSchema,
  type VerificationSchema,
} from '../../proto/gen/showrunner/transcode/v1/transcode_pb.ts';
import {
  TranscodeService,
  type UploadHeader,
  type UploadSourceRequest,
} from '../../proto/gen/showrunner/transcode/v1/transcode_service_pb.ts';
import type { Clock } from '../core/clock.ts';
import { invalidField } from '../core/errors.ts';
import { readResourceName, slugId } from '../rpc/edge/resource-name.ts';
import { toDuration, toTimestamp } from '../rpc/edge/wkt-time.ts';
import { type ServiceRegistration, serviceOf } from '../rpc/handler.ts';
import type { ObjectStore } from '../stores/objects/object-store.ts';
import { sourceNotFound, transcodeNotFound } from './errors.ts';
import { type FoundVerification, readVerification } from './read-verification.ts';
import {
  type ProgressPlan,
  planKeyOf,
  type RungProgressReport,
  rungProgress,
  type TranscodePart,
} from './rung-progress.ts';
import type { UploadStart, UploadState, Uploads } from './uploads.ts';
import { withPulse } from './with-pulse.ts';

type JobMessage = MessageInitShape<typeof JobSchema>;

/** What transcoding needs of the jobs area; ids are bare. */
export interface TranscodeJobs {
  create(
    spec: { kind: string; params: JsonObject; labels: Readonly<Record<string, string>>; priority: number },
    options: { requestId: string; owner: string },
  ): Promise<{ job: JobMessage; existed: boolean }>;
  /** Throws JOB_NOT_FOUND. */
  get(id: string): Promise<JobMessage>;
  /** Throws JOB_NOT_FOUND. */
  cancel(id: string): Promise<JobMessage>;
  watch(id: string, after: number, signal: AbortSignal): AsyncIterable<MessageInitShape<typeof JobEventSchema>>;
  /** Its parts by now, in any order. Throws JOB_NOT_FOUND. */
  parts(id: string): Promise<readonly TranscodePart[]>;
}

/** What the service hands calls on to. */
export interface TranscodeServiceDeps {
  readonly uploads: Uploads;
  readonly objects: ObjectStore;
  readonly jobs: TranscodeJobs;
  readonly clock: Clock;
}

/** How far rungs are is read anew at most this often by a watch. */
const rungsEveryMs = 500;
/** And told so often while no part ends, if it has changed. */
const pulseMs = 2_000;

const jobId = /^[a-z0-9]{1,63}$/;
const digest = /^[0-9a-f]{64}$/;

/** TranscodeService of showrunner.transcode.v1: uploads, and transcode jobs under their own names. */
export function createTranscodeService({ uploads, objects, jobs, clock }: TranscodeServiceDeps): ServiceRegistration {
  /** The id of a job that is a transcode. */
  const find = async (name: string) => {
    const [id] = readResourceName('name', name, ['transcodes'], jobId);
    const job = await jobs.get(id).catch((error: unknown) => {
      throw (error as { reason?: unknown }).reason === 'JOB_NOT_FOUND' ? transcodeNotFound(name) : error;
    });
    if (job.kind !== 'transcode') throw transcodeNotFound(name);
    return { id, job };
  };
  /** How far each rung is; empty before its chunks are queued, and once its plan was removed from the store. */
  const rungsOf = async (id: string, signal: AbortSignal) => {
    const parts = await jobs.parts(id);
    const planKey = planKeyOf(parts);
    if (planKey === undefined || (await objects.stat(planKey)) === undefined) return [];
    const plan = JSON.parse(Buffer.from(await objects.read(planKey, { signal })).toString()) as ProgressPlan;
    return rungProgress(plan, parts, clock.now()).map(toRungMessage);
  };

  return serviceOf(TranscodeService, {
    uploadSource: async (requests, { signal }) => {
      const messages = requests[Symbol.asyncIterator]();
      const start = readHeader((await messages.next()).value);
      const { upload, existed } = await uploads.receive(start, dataOf(messages), signal);
      return { upload: toUploadMessage(upload), existed };
    },
    getUpload: async ({ name }) => {
      const [sha256] = readResourceName('name', name, ['uploads'], digest);
      return { upload: toUploadMessage(await uploads.get(sha256)) };
    },
    createTranscode: async ({ transcode, requestId }, { principal }) => {
      if (transcode === undefined) throw invalidField('transcode', 'must be set');
      const spec = readSpec(transcode);
      if ((await objects.stat(transcode.sourceKey)) === undefined) throw sourceNotFound(transcode.sourceKey);
      const { job, existed } = await jobs.create(spec, { requestId, owner: principal?.id ?? '' });
      return { transcode: toTranscodeMessage(job), existed };
    },
    getTranscode: async ({ name }, { signal }) => {
      const { id, job } = await find(name);
      const isRunning = job.state === Job_State.RUNNING || job.state === Job_State.QUEUED;
      return { transcode: toTranscodeMessage(job, isRunning ? await rungsOf(id, signal) : []) };
    },
    cancelTranscode: async ({ name }) => ({
      transcode: toTranscodeMessage(await jobs.cancel((await find(name)).id)),
    }),
    watchTranscode: async function* ({ name, afterSequence }, { signal }) {
      const after = Number(afterSequence);
      if (!Number.isSafeInteger(after)) throw invalidField('after_sequence', 'is out of range');
      const { id } = await find(name);
      let read = { rungs: [] as Awaited<ReturnType<typeof rungsOf>>, atMs: Number.NEGATIVE_INFINITY };
      let stage = '';
      for await (const event of withPulse(jobs.watch(id, after, signal), pulseMs, clock, signal)) {
        if (event === undefined) {
          if (stage !== 'encode') continue;
          const before = framesOf(read.rungs);
          read = { rungs: await rungsOf(id, signal), atMs: clock.now() };
          if (framesOf(read.rungs) !== before) yield { rungs: read.rungs };
          continue;
        }
        const progress = event.event?.case === 'progress' ? event.event.value : undefined;
        stage = progress?.stage ?? stage;
        const isEncoding = progress?.stage === 'encode';
        // A long title has many parts, and a watch that resumes gets many events at once.
        const isOld = clock.now() - read.atMs >= rungsEveryMs;
        if (isEncoding && isOld) read = { rungs: await rungsOf(id, signal), atMs: clock.now() };
        yield { event, rungs: isEncoding ? read.rungs : [] };
      }
    },
    getVerification: async ({ encodeSet }, { signal }) => {
      const [title, version] = readResourceName('encode_set', encodeSet, ['titles', 'encodeSets'], slugId);
      const found = await readVerification(objects, title, version, signal);
      return { verification: toVerificationMessage(encodeSet, found) };
    },
  });
}

function readHeader(first: UploadSourceRequest | undefined): UploadStart {
  if (first?.part.case !== 'header') throw invalidField('header', 'must be the first message of the stream');
  const { sha256, sizeBytes, offsetBytes }: UploadHeader = first.part.value;
  if (!digest.test(sha256)) throw invalidField('header.sha256', 'must be 64 lower-case hex digits');
  const size = readBytes('header.size_bytes', sizeBytes);
  if (size === 0) throw invalidField('header.size_bytes', 'must be at least 1');
  return { sha256, sizeBytes: size, offset: readBytes('header.offset_bytes', offsetBytes) };
}

function readBytes(field: string, value: bigint): number {
  if (value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER)) throw invalidField(field, 'is out of range');
  return Number(value);
}

async function* dataOf(messages: AsyncIterator<UploadSourceRequest>): AsyncGenerator<Uint8Array, undefined> {
  for (;;) {
    const { done, value } = await messages.next();
    if (done) return undefined;
    if (value.part.case !== 'data') throw invalidField('data', 'must be set in every message after the header');
    yield value.part.value;
  }
}

function readSpec({ title, sourceKey, params = {}, labels, priority }: Transcode) {
  readResourceName('transcode.title', title, ['titles'], slugId);
  if (sourceKey === '') throw invalidField('transcode.source_key', 'must be set');
  for (const name of ['titleId', 'sourceKey']) {
    if (name in params) throw invalidField(`transcode.params.${name}`, 'has a field of its own');
  }
  return { kind: 'transcode', params: { ...params, titleId: title, sourceKey }, labels, priority };
}

function toUploadMessage(upload: UploadState): MessageInitShape<typeof UploadSchema> {
  const { sha256, sizeBytes, receivedBytes, sourceKey, createMs, expireMs } = upload;
  return {
    name: `uploads/${sha256}`,
    sizeBytes: BigInt(sizeBytes),
    receivedBytes: BigInt(receivedBytes),
    state: sourceKey === undefined ? Upload_State.RECEIVING : Upload_State.COMPLETE,
    sourceKey: sourceKey ?? '',
    ...(createMs === undefined ? {} : { createTime: toTimestamp(createMs) }),
    ...(expireMs === undefined ? {} : { expireTime: toTimestamp(expireMs) }),
  };
}

function toRungMessage(report: RungProgressReport): MessageInitShape<typeof RungProgressSchema> {
  const { rung, frames, totalFrames, framesPerSecond, remainingMs } = report;
  return {
    rung,
    frames: BigInt(frames),
    totalFrames: BigInt(totalFrames),
    framesPerSecond,
    ...(remainingMs === undefined ? {} : { remainingTime: toDuration(remainingMs) }),
  };
}

function framesOf(rungs: readonly MessageInitShape<typeof RungProgressSchema>[]): string {
  return rungs.map(({ frames }) => frames).join();
}

function toTranscodeMessage(
  job: JobMessage,
  rungs: MessageInitShape<typeof RungProgressSchema>[] = [],
): MessageInitShape<typeof TranscodeSchema> {
  const { titleId, sourceKey, ...params } = (job.params ?? {}) as JsonObject;
  const { state, progress, error, result, createTime, endTime } = job;
  return {
    name: (job.name ?? '').replace(/^jobs/, 'transcodes'),
    job: job.name ?? '',
    title: String(titleId ?? ''),
    sourceKey: String(sourceKey ?? ''),
    params,
    labels: { ...job.labels },
    priority: job.priority ?? 0,
    rungs,
    encodeSet: result === undefined ? '' : `${titleId}/encodeSets/${result['version']}`,
    ...(state === undefined ? {} : { state }),
    ...(progress === undefined ? {} : { progress }),
    ...(error === undefined ? {} : { error }),
    ...(result === undefined ? {} : { result }),
    ...(createTime === undefined ? {} : { createTime }),
    ...(endTime === undefined ? {} : { endTime }),
  };
}

function toVerificationMessage(
  encodeSet: string,
  { verification, reportKey }: FoundVerification,
): MessageInitShape<typeof VerificationSchema> {
  return {
    encodeSet,
    ok: verification.ok,
    checks: verification.checks.map(({ name, ok, detail }) => ({ name, ok, detail })),
    tracks: verification.tracks.map((track) => ({
      id: track.id,
      samples: BigInt(track.samples),
      durationTicks: BigInt(track.durationTicks),
      segments: track.segments,
      windowPeakBps: BigInt(track.windowPeakBps),
      declaredPeakBps: BigInt(track.declaredPeakBps),
    })),
    reportObjectKey: reportKey,
    warnings: [...(verification.warnings ?? [])],
  };
}
