import type { JsonObject, MessageInitShape } from '@bufbuild/protobuf';
import {
  Job_State,
  type JobAttemptSchema,
  JobError_Class,
  type JobErrorSchema,
  type JobEventSchema,
  type JobProgressSchema,
  type JobSchema,
  type JobStageSchema,
  type JobUsageSchema,
  SlaMiss_Promise,
  type SlaMissSchema,
} from '../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import type { JobProgress } from '../../workers/queue/job-kind.ts';
import type { JobFailure } from '../../workers/queue/job-outcome.ts';
import type { Usage } from '../../workers/queue/usage-meter.ts';
import { jsonDigest } from '../core/canonical-json.ts';
import { traceIdOf } from '../core/telemetry/trace-parent.ts';
import { toDuration, toTimestamp } from '../rpc/edge/wkt-time.ts';
import { artifactsOf } from './insight/artifacts.ts';
import type {
  AttemptRecord,
  JobEventBody,
  JobEventRecord,
  JobRecord,
  JobState,
  SlaPromise,
  StageRecord,
} from './job-record.ts';
import { untilOf } from './sla/sla-watch.ts';

const states: Readonly<Record<JobState, Job_State>> = {
  queued: Job_State.QUEUED,
  running: Job_State.RUNNING,
  succeeded: Job_State.SUCCEEDED,
  failed: Job_State.FAILED,
  cancelled: Job_State.CANCELLED,
  timed_out: Job_State.TIMED_OUT,
  skipped: Job_State.SKIPPED,
};

const classes: Readonly<Record<JobFailure['class'], JobError_Class>> = {
  user: JobError_Class.USER,
  platform: JobError_Class.PLATFORM,
  timeout: JobError_Class.TIMEOUT,
  killed: JobError_Class.KILLED,
};

/** The stored state of a message's state; undefined for one that this build does not know. */
export function findState(state: Job_State): JobState | undefined {
  return (Object.keys(states) as JobState[]).find((name) => states[name] === state);
}

/** A job as callers see it. While its result is being published it counts as running and shows none. */
export function toJobMessage(job: JobRecord): MessageInitShape<typeof JobSchema> {
  const shown = job.state === 'succeeded' ? job.result : undefined;
  return {
    name: `jobs/${job.id}`,
    kind: job.kind,
    params: toObject(job.params),
    labels: { ...job.labels },
    priority: job.priority,
    state: states[job.state],
    attempts: job.attempts.map(toAttemptMessage),
    createTime: toTimestamp(job.createMs),
    schedule: job.schedule === undefined ? '' : `schedules/${job.schedule}`,
    parent: job.parent === undefined ? '' : `jobs/${job.parent}`,
    traceId: traceIdOf(job.traceparent),
    owner: job.owner ?? '',
    template: job.template === undefined ? '' : `templates/${job.template}`,
    tags: [...(job.tags ?? [])],
    heldBy: job.heldBy ?? '',
    node: job.node?.id ?? '',
    restartOf: job.restartOf === undefined ? '' : `jobs/${job.restartOf}`,
    ...(shown === undefined ? {} : { result: toObject(shown) }),
    ...(job.error === undefined ? {} : { error: toErrorMessage(job.error) }),
    slaMisses: (job.slaMissed ?? []).map((promise) => toSlaMissMessage(promise, untilOf(job, promise))),
    inputSha256: jsonDigest({ kind: job.kind, params: job.params }),
    sourceSha256: sourceOf(shown),
    artifacts: artifactsOf(shown),
    stages: (job.stages ?? []).map(toStageMessage),
    ...(job.usage === undefined ? {} : { usage: toUsageMessage(job.usage) }),
    ...(job.mustStartMs === undefined ? {} : { mustStartTime: toTimestamp(job.mustStartMs) }),
    ...(job.mustFinishMs === undefined ? {} : { mustFinishTime: toTimestamp(job.mustFinishMs) }),
    ...progressOf(job),
    ...(job.startMs === undefined ? {} : { startTime: toTimestamp(job.startMs) }),
    ...(job.endMs === undefined ? {} : { endTime: toTimestamp(job.endMs) }),
  };
}

/** An event of a job as watchers see it. */
export function toEventMessage({ sequence, atMs, body }: JobEventRecord): MessageInitShape<typeof JobEventSchema> {
  return {
    sequence: BigInt(sequence),
    time: toTimestamp(atMs),
    event: toEventCase(body),
  };
}

function toEventCase(body: JobEventBody): NonNullable<MessageInitShape<typeof JobEventSchema>['event']> {
  if ('state' in body) return { case: 'state', value: states[body.state] };
  if ('progress' in body) return { case: 'progress', value: toProgressMessage(body.progress) };
  if ('attempt' in body) return { case: 'attempt', value: toAttemptMessage(body.attempt) };
  return { case: 'slaMiss', value: toSlaMissMessage(body.slaMissed, body.untilMs) };
}

function toSlaMissMessage(promise: SlaPromise, untilMs: number): MessageInitShape<typeof SlaMissSchema> {
  const value = promise === 'start' ? SlaMiss_Promise.START : SlaMiss_Promise.FINISH;
  return { promise: value, untilTime: toTimestamp(untilMs) };
}

/** What a part does stands in its progress until it reports some itself. */
function progressOf({ progress, label = '' }: JobRecord): { progress?: MessageInitShape<typeof JobProgressSchema> } {
  if (progress !== undefined)
    return { progress: toProgressMessage({ ...progress, message: progress.message ?? label }) };
  return label === '' ? {} : { progress: { message: label } };
}

function toProgressMessage(progress: JobProgress): MessageInitShape<typeof JobProgressSchema> {
  const detail = Object.entries(progress.detail ?? {}).map(([key, value]) => [key, String(value)]);
  return {
    fraction: progress.fraction,
    stage: progress.stage,
    message: progress.message ?? '',
    detail: Object.fromEntries(detail),
  };
}

function toAttemptMessage(attempt: AttemptRecord): MessageInitShape<typeof JobAttemptSchema> {
  return {
    number: attempt.number,
    worker: attempt.worker,
    startTime: toTimestamp(attempt.startMs),
    endReason: attempt.endReason ?? '',
    fence: BigInt(attempt.fence),
    ...(attempt.usage === undefined ? {} : { usage: toUsageMessage(attempt.usage) }),
    ...(attempt.endMs === undefined ? {} : { endTime: toTimestamp(attempt.endMs) }),
  };
}

/** The contract's name of a stored state. */
export function toJobState(state: JobState): Job_State {
  return states[state];
}

/** Why a job did not succeed, as callers see it. */
export function toErrorMessage(error: JobFailure): MessageInitShape<typeof JobErrorSchema> {
  const { code, reason, message, metadata } = error;
  return { class: classes[error.class], code, reason, message, metadata: { ...metadata } };
}

/** What an attempt, or all of a job, has used, as callers see it. */
export function toUsageMessage(usage: Usage): MessageInitShape<typeof JobUsageSchema> {
  const { cpuMs, wallMs, peakRssBytes } = usage;
  return { cpu: toDuration(cpuMs), wall: toDuration(wallMs), peakRssBytes: BigInt(Math.round(peakRssBytes)) };
}

function toStageMessage({ stage, startMs, endMs }: StageRecord): MessageInitShape<typeof JobStageSchema> {
  return {
    stage,
    startTime: toTimestamp(startMs),
    ...(endMs === undefined ? {} : { endTime: toTimestamp(endMs) }),
  };
}

/** Kinds that run a source tell its digest in their result. */
function sourceOf(result: JobRecord['result']): string {
  const digest = typeof result === 'object' && result !== null ? Reflect.get(result, 'sourceSha256') : undefined;
  return typeof digest === 'string' ? digest : '';
}

/** Struct fields hold objects: any other JSON value becomes `{ value: … }`. */
function toObject(value: JobRecord['params']): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  return { value: value as JsonObject[string] };
}
