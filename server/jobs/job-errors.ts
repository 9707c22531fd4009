import { Code } from '../core/codes.ts';
import { AppError } from '../core/errors.ts';

/** The request id stands for another job. */
export function requestIdReused(requestId: string, job: string): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'REQUEST_ID_REUSED',
    message: `request_id "${requestId}" was used for another job, ${job}`,
    metadata: { request_id: requestId, job },
  });
}

/** Too many jobs wait or run. */
export function tooManyJobs(most: number): AppError {
  return new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'TOO_MANY_JOBS',
    message: `${most} jobs wait or run already`,
    metadata: { most: String(most) },
    retryAfterMs: 5_000,
  });
}

/** The watcher asks for events that are no longer kept. */
export function eventsExpired(job: string, oldest: number): AppError {
  return new AppError({
    code: Code.OUT_OF_RANGE,
    reason: 'EVENTS_EXPIRED',
    message: `events of ${job} before ${oldest} are no longer kept; watch from ${oldest - 1} on`,
    metadata: { job, oldest: String(oldest) },
  });
}

/** The name is taken by a schedule with other contents. */
export function scheduleExists(name: string): AppError {
  return new AppError({
    code: Code.ALREADY_EXISTS,
    reason: 'SCHEDULE_EXISTS',
    message: `${name} exists with other contents`,
    metadata: { name },
  });
}

/** A job record is written by too many at once; nothing was changed. */
export function jobBusy(job: string): AppError {
  return new AppError({
    code: Code.ABORTED,
    reason: 'JOB_BUSY',
    message: `${job} is being changed by others; try again`,
    metadata: { job },
    retryAfterMs: 100,
  });
}
