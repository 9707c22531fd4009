import { Code } from '../../server/core/codes.ts';
import { AppError, type FieldViolation } from '../../server/core/errors.ts';

/** The filter threw, or returned what its type does not allow. */
export function filterFailed(filter: string, cause: unknown): AppError {
  const message = `filter ${filter} failed`;
  return new AppError({ code: Code.INTERNAL, reason: 'FILTER_FAILED', message, metadata: { filter }, cause });
}

/** A filter that fails closed gave no result in time. */
export function filterTimedOut(filter: string, timeoutMs: number): AppError {
  return new AppError({
    code: Code.UNAVAILABLE,
    reason: 'FILTER_TIMED_OUT',
    message: `filter ${filter} gave no result within ${timeoutMs} ms`,
    metadata: { filter, timeout_ms: String(timeoutMs) },
  });
}

/** A filter that fails closed ran `maxConcurrent` times already. */
export function filterOverloaded(filter: string, maxConcurrent: number): AppError {
  return new AppError({
    code: Code.UNAVAILABLE,
    reason: 'FILTER_OVERLOADED',
    message: `filter ${filter} already runs ${maxConcurrent} times at once`,
    metadata: { filter, max_concurrent: String(maxConcurrent) },
  });
}

/** A filter reads the whole request, and the request is larger than it allows. */
export function bodyTooLarge(filter: string, maxBytes: number): AppError {
  return new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'BODY_TOO_LARGE',
    message: `the request holds more than the ${maxBytes} bytes that filter ${filter} reads`,
    metadata: { filter, max_bytes: String(maxBytes) },
  });
}

/**
 * The worker thread of the filter ended while a run waited for it, or may not start again yet. Not an AppError: that
 * would be a verdict of the filter, and this is its failure.
 */
export function filterWorkerEnded(filter: string, why: string): Error {
  return new Error(`the worker of filter ${filter} is gone: ${why}`);
}

/** The call was cancelled or ran out of time while filters ran. */
export function callAborted(cause: unknown): AppError {
  if (cause instanceof AppError) return cause;
  return new AppError({
    code: Code.CANCELLED,
    reason: 'CALL_ABORTED',
    message: 'the call ended while its filters ran',
    cause,
  });
}

/** A call came after the engine was closed. */
export function engineClosed(): AppError {
  return new AppError({
    code: Code.UNAVAILABLE,
    reason: 'FILTERS_CLOSED',
    message: 'the filter engine is closed; the server is shutting down',
  });
}

/** The call outlived the set of filters it began with by too long: a new one runs on the set that serves now. */
export function filtersReplaced(afterMs: number): AppError {
  return new AppError({
    code: Code.UNAVAILABLE,
    reason: 'FILTERS_REPLACED',
    message: `the filters that this call runs on were replaced more than ${afterMs} ms ago; call again`,
    metadata: { after_ms: String(afterMs) },
    retryAfterMs: 0,
  });
}

/** A filter cannot be loaded; `file` says which, the message what is wrong with it. */
export function filterLoadFailed(file: string, message: string, cause?: unknown): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'FILTER_LOAD_FAILED',
    message: `${file}: ${message}`,
    metadata: { file },
    ...(cause === undefined ? {} : { cause }),
  });
}

/** The exported object is no filter: every faulty field is named. */
export function filterInvalid(file: string, faults: readonly FieldViolation[]): AppError {
  const list = faults.map((fault) => `${fault.field}: ${fault.description}`).join('; ');
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'FILTER_INVALID',
    message: `${file}: ${list}`,
    metadata: { file },
    fields: faults,
  });
}

/** The configuration does not fit the schema of the filter. */
export function filterConfigInvalid(filter: string, faults: readonly FieldViolation[]): AppError {
  const list = faults.map((fault) => `${fault.field}: ${fault.description}`).join('; ');
  return new AppError({
    code: Code.INVALID_ARGUMENT,
    reason: 'FILTER_CONFIG_INVALID',
    message: `configuration of filter ${filter}: ${list}`,
    metadata: { filter },
    fields: faults,
  });
}

/** Two folders define one id. */
export function filterDuplicate(id: string, files: readonly string[]): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'FILTER_DUPLICATE',
    message: `filter id ${id} is defined by ${files.join(' and ')}`,
    metadata: { filter: id },
  });
}

/** Filters of the set want to run where they cannot. */
export function filterOrderInvalid(faults: readonly string[]): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'FILTER_ORDER_INVALID',
    message: `order of the filters: ${faults.join('; ')}`,
  });
}

/** Filters of the set require context keys that no filter before them provides. */
export function filterKeysInvalid(faults: readonly string[]): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'FILTER_KEYS_INVALID',
    message: `context keys of the filters: ${faults.join('; ')}`,
  });
}

/** The same failure under the code that the filter's author chose. */
export function withCode(error: AppError, code: Code): AppError {
  const { reason, message, metadata, cause } = error;
  return new AppError({ code, reason, message, metadata, cause });
}

/** A filter that must be in every set is in no folder. */
export function filterMissing(id: string): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'FILTER_MISSING',
    message: `required filter ${id} is in no folder`,
    metadata: { filter: id },
  });
}

/** A new version, or a step of its life, is refused; `check` says by which check. */
export function filterRefused(filter: string, check: string, message: string, cause?: unknown): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'FILTER_REFUSED',
    message: `${filter}: ${check}: ${message}`,
    metadata: { filter, check },
    ...(cause instanceof AppError ? { fields: cause.fields } : {}),
    cause,
  });
}

/** No group of this name is staged. */
export function groupUnknown(group: string): AppError {
  return new AppError({
    code: Code.NOT_FOUND,
    reason: 'FILTER_NOT_FOUND',
    message: `no group "${group}" of filters is staged`,
    metadata: { group },
  });
}

/** No version of this id is loaded. */
export function filterUnknown(id: string): AppError {
  return new AppError({
    code: Code.NOT_FOUND,
    reason: 'FILTER_NOT_FOUND',
    message: `no filter "${id}" is loaded`,
    metadata: { filter: id },
  });
}
