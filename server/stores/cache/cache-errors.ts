import { Code } from '../../core/codes.ts';
import { AppError } from '../../core/errors.ts';

/** UNAVAILABLE: no connection to the cache server, or it was lost before the answer came. */
export function cacheUnavailable(server: string, cause: unknown): AppError {
  return new AppError({
    code: Code.UNAVAILABLE,
    reason: 'CACHE_UNAVAILABLE',
    message: `the cache server ${server} cannot be reached`,
    metadata: { server },
    retryAfterMs: 1_000,
    cause,
  });
}

/** DEADLINE_EXCEEDED: the cache server did not answer in time; whether a write took place is unknown. */
export function cacheTimeout(server: string, timeoutMs: number): AppError {
  return new AppError({
    code: Code.DEADLINE_EXCEEDED,
    reason: 'CACHE_TIMEOUT',
    message: `the cache server ${server} did not answer within ${timeoutMs} ms`,
    metadata: { server, timeout_ms: String(timeoutMs) },
  });
}

/** RESOURCE_EXHAUSTED: too many commands or bytes are in flight; this one was not sent. */
export function cacheOverloaded(server: string): AppError {
  return new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'CACHE_OVERLOADED',
    message: `too many commands to the cache server ${server} are in flight`,
    metadata: { server },
    retryAfterMs: 100,
  });
}

/** RESOURCE_EXHAUSTED when the server has no memory for the item, else UNAVAILABLE; `line` is the server's own text. */
export function cacheServerError(server: string, line: string): AppError {
  const isMemory = line.includes('out of memory');
  return new AppError({
    code: isMemory ? Code.RESOURCE_EXHAUSTED : Code.UNAVAILABLE,
    reason: isMemory ? 'CACHE_OUT_OF_MEMORY' : 'CACHE_SERVER_ERROR',
    message: `the cache server ${server} failed: ${line}`,
    metadata: { server },
  });
}

/** INTERNAL: the answer does not follow the meta protocol; the connection is given up. */
export function cacheProtocolError(server: string, line: string): AppError {
  return new AppError({
    code: Code.INTERNAL,
    reason: 'CACHE_PROTOCOL_ERROR',
    message: `the cache server ${server} gave an answer that memcached's meta protocol does not have here: ${line}`,
    metadata: { server },
  });
}
