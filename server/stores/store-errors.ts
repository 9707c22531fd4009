import { Code } from '../core/codes.ts';
import { AppError, messageOf } from '../core/errors.ts';

/** Error numbers that mean "no room": full device, quota, file size limit of the process. */
const noRoom = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** RESOURCE_EXHAUSTED: nothing was stored; works again once there is room. */
export function diskFull(path: string, cause: unknown): AppError {
  return new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'DISK_FULL',
    message: `no room left to write ${path}; nothing was stored`,
    metadata: { path },
    retryAfterMs: 5_000,
    cause,
  });
}

/** UNAVAILABLE: the device or file system failed; nothing was stored. */
export function diskFailed(path: string, cause: unknown): AppError {
  return new AppError({
    code: Code.UNAVAILABLE,
    reason: 'DISK_FAILED',
    message: `reading or writing ${path} failed: ${messageOf(cause)}`,
    metadata: { path },
    cause,
  });
}

/** FAILED_PRECONDITION: another process (or this one) already owns the folder or file. `pid` is the owner where known. */
export function stateDirInUse(path: string, pid: number | undefined): AppError {
  const owner = pid === undefined ? 'another process' : `process ${pid}`;
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'STATE_DIR_IN_USE',
    message: `${path} is in use by ${owner}; stop it or set SHOWRUNNER_STATE_DIR to another folder`,
    metadata: { path, ...(pid === undefined ? {} : { pid: String(pid) }) },
  });
}

/** UNAVAILABLE: the store was closed, e.g. during shutdown. */
export function storeClosed(store: string): AppError {
  return new AppError({ code: Code.UNAVAILABLE, reason: 'STORE_CLOSED', message: `the ${store} store is closed` });
}

/** RESOURCE_EXHAUSTED: a bounded queue of the store is full; the call was not carried out. */
export function storeOverloaded(store: string, queue: string, bound: number): AppError {
  return new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'STORE_OVERLOADED',
    message: `the ${store} store has ${bound} ${queue} waiting already`,
    metadata: { store, queue, bound: String(bound) },
    retryAfterMs: 100,
  });
}

/** The `code` of a Node system error, e.g. `ENOENT`. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** A failed write as an AppError: DISK_FULL for lack of room, else DISK_FAILED. AppErrors pass unchanged. */
export function writeFailure(path: string, error: unknown): AppError {
  if (error instanceof AppError) return error;
  return noRoom.has(errnoOf(error) ?? '') ? diskFull(path, error) : diskFailed(path, error);
}
