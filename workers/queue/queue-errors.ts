import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';

/** Redis cannot be reached at this moment; what was stored is sent later. */
export function queueUnavailable(cause?: unknown): AppError {
  return new AppError({
    code: Code.UNAVAILABLE,
    reason: 'QUEUE_UNAVAILABLE',
    message: 'the job queue cannot be reached at this moment',
    retryAfterMs: 1000,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** The Redis belongs to another server: to that of another state folder, or of a copy of ours. */
export function redisInUse(owner: string, key: string, isCopy: boolean): AppError {
  const remedy = isCopy
    ? 'it lives, and its state folder and this one are copies of each other'
    : `if that server is gone for good, delete the key "${key}" there`;
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'REDIS_IN_USE',
    message:
      `the Redis that SHOWRUNNER_REDIS_URL names belongs to the server of ${owner}, and two would take each other's jobs: ` +
      `give this one a database of its own, e.g. redis://host/1 (${remedy})`,
    metadata: { owner, key },
  });
}

/** No worker of this build knows the kind. */
export function jobKindUnknown(kind: string, known: readonly string[]): AppError {
  return new AppError({
    code: Code.INVALID_ARGUMENT,
    reason: 'JOB_KIND_UNKNOWN',
    message: `no job kind "${kind}"; known: ${known.join(', ')}`,
    metadata: { kind },
  });
}

/** Signal reason and error of a job that was cancelled. */
export function jobCancelled(): AppError {
  return new AppError({ code: Code.CANCELLED, reason: 'JOB_CANCELLED', message: 'the job was cancelled' });
}

/** Signal reason and error of an attempt over its time limit. */
export function jobTimedOut(timeoutMs: number): AppError {
  return new AppError({
    code: Code.DEADLINE_EXCEEDED,
    reason: 'JOB_TIMED_OUT',
    message: `the attempt ran over its limit of ${timeoutMs} ms`,
    metadata: { timeout_ms: String(timeoutMs) },
  });
}

/** Signal reason of an attempt whose fencing token is no longer the newest, or whose lease ran out. */
export function leaseLost(): AppError {
  return new AppError({
    code: Code.ABORTED,
    reason: 'JOB_LEASE_LOST',
    message: 'another attempt of this job has taken over',
  });
}

/** Signal reason of an attempt whose worker shuts down: the job runs again elsewhere. */
export function workerStopping(): AppError {
  return new AppError({ code: Code.UNAVAILABLE, reason: 'WORKER_STOPPING', message: 'the worker is shutting down' });
}

/** Signal reason of an attempt that waits for its children: it runs again when they have ended. */
export function jobParked(): AppError {
  return new AppError({
    code: Code.ABORTED,
    reason: 'JOB_PARKED',
    message: 'the job waits for its children; it runs again when they have ended',
  });
}

/** The job's workers were lost more often than the kind allows. */
export function workerLost(times: number): AppError {
  return new AppError({
    code: Code.UNAVAILABLE,
    reason: 'WORKER_LOST',
    message: `${times} worker(s) of this job were lost while it ran`,
    metadata: { times: String(times) },
  });
}

/** A scheduled job got no worker within the time its schedule allows. */
export function startedTooLate(): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'STARTED_TOO_LATE',
    message: 'no worker was free within the time that the schedule allows',
  });
}

/** A value stored with the job is over its bound. */
export function jobValueTooLarge(what: string, bytes: number, maxBytes: number): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'JOB_VALUE_TOO_LARGE',
    message: `${what} has ${bytes} bytes, at most ${maxBytes} are stored: keep large data in the object store`,
    metadata: { what, bytes: String(bytes), max_bytes: String(maxBytes) },
  });
}

/** Child keys, group and step names become part of ids. */
export function jobNameInvalid(what: string, value: string): AppError {
  return new AppError({
    code: Code.INVALID_ARGUMENT,
    reason: 'JOB_NAME_INVALID',
    message: `${what} "${value}": expected 1-64 characters of [A-Za-z0-9_-], each once`,
    metadata: { what, value },
  });
}
