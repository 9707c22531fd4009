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

/** Too many runs of one scope wait for others. */
export function tooManyRunsWait(scope: string, most: number): AppError {
  return new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'TOO_MANY_RUNS_WAIT',
    message: `${most} runs of ${scope} wait already`,
    metadata: { scope, most: String(most) },
    retryAfterMs: 5_000,
  });
}

/** A run that its strategy does not let run. */
export function runDropped(reason: 'RUN_IN_PROGRESS' | 'RUN_SUPERSEDED'): AppError {
  const inProgress = reason === 'RUN_IN_PROGRESS';
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason,
    message: inProgress ? 'another run waits or runs already' : 'a newer run took its place',
  });
}

/** Only a job that has ended can be run again. */
export function jobNotEnded(job: string): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'JOB_NOT_ENDED',
    message: `${job} has not ended yet`,
    metadata: { job },
  });
}

/** The name is taken by a resource with other contents. */
export function resourceExists(kind: 'template' | 'workflow', name: string): AppError {
  return new AppError({
    code: Code.ALREADY_EXISTS,
    reason: kind === 'template' ? 'TEMPLATE_EXISTS' : 'WORKFLOW_EXISTS',
    message: `${name} exists with other contents`,
    metadata: { name },
  });
}

const changed = { template: 'TEMPLATE_CHANGED', workflow: 'WORKFLOW_CHANGED', webhook: 'WEBHOOK_CHANGED' } as const;

/** The resource was changed by somebody else. */
export function resourceChanged(kind: keyof typeof changed, name: string, revision: number): AppError {
  return new AppError({
    code: Code.ABORTED,
    reason: changed[kind],
    message: `${name} has revision ${revision} meanwhile: read it again`,
    metadata: { name, revision: String(revision) },
  });
}

/** Limits are kept in memory, so they are few. */
export function tooManyLimits(most: number): AppError {
  return new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'TOO_MANY_LIMITS',
    message: `at most ${most} limits can be set`,
    metadata: { most: String(most) },
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

/** A reference `${…}` that is no path. */
export function referenceInvalid(field: string, reference: string): AppError {
  return fieldFault('REFERENCE_INVALID', field, `"\${${reference}}" must hold a path such as node.result.key[0]`, {
    reference,
  });
}

/** A reference to something that is not there. */
export function referenceUnknown(field: string, reference: string): AppError {
  return fieldFault('REFERENCE_UNKNOWN', field, `"\${${reference}}" refers to nothing that is there`, { reference });
}

/** A condition that cannot be read. */
export function conditionInvalid(field: string, description: string): AppError {
  return fieldFault('CONDITION_INVALID', field, description, {});
}

function fieldFault(reason: string, field: string, description: string, metadata: Record<string, string>): AppError {
  return new AppError({
    code: Code.INVALID_ARGUMENT,
    reason,
    message: `${field}: ${description}`,
    metadata: { field, ...metadata },
    fields: [{ field, description }],
  });
}

/** The webhook's name is taken. */
export function webhookExists(name: string): AppError {
  return new AppError({
    code: Code.ALREADY_EXISTS,
    reason: 'WEBHOOK_EXISTS',
    message: `${name} exists already`,
    metadata: { name },
  });
}

/** Webhooks call only where the settings allow it. */
export function webhookUrlRefused(url: string, origins: readonly string[]): AppError {
  const allowed = origins.length === 0 ? 'none are' : `allowed: ${origins.join(', ')}`;
  return new AppError({
    code: Code.INVALID_ARGUMENT,
    reason: 'WEBHOOK_URL_REFUSED',
    message: `"${url}" is not of an origin that SHOWRUNNER_JOB_WEBHOOK_ORIGINS names (${allowed})`,
    metadata: { url },
    fields: [{ field: 'webhook.url', description: `must be of an allowed origin; ${allowed}` }],
  });
}

/** Each notice is matched against every webhook, so they are few. */
export function tooManyWebhooks(most: number): AppError {
  return new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'TOO_MANY_WEBHOOKS',
    message: `at most ${most} webhooks can be set`,
    metadata: { most: String(most) },
  });
}

/** A node of a workflow cannot do its work: the caller's fault, as `field` or the message tells. */
export function workflowFault(
  reason: 'WORKFLOW_TOO_DEEP' | 'FOREACH_INVALID' | 'FOREACH_TOO_MANY_FAILED' | 'NODE_JOB_GONE',
  message: string,
): AppError {
  return new AppError({ code: Code.FAILED_PRECONDITION, reason, message });
}
