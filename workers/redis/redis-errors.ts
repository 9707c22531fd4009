import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';

/** Neither redis-server nor valkey-server is on PATH. */
export function redisMissing(): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'REDIS_MISSING',
    message:
      'jobs need Redis or Valkey: install one (Debian/Ubuntu: `apt-get install redis-server`, ' +
      'Fedora: `dnf install valkey`, macOS: `brew install redis`), or set SHOWRUNNER_REDIS_URL to a running one',
  });
}

/** The private Redis did not answer in time; `output` is the end of what it printed. */
export function redisNotReady(waitedMs: number, output: string): AppError {
  return new AppError({
    code: Code.UNAVAILABLE,
    reason: 'REDIS_NOT_READY',
    message: `the private Redis did not answer within ${waitedMs} ms${output === '' ? '' : `; it printed: ${output}`}`,
    metadata: { waited_ms: String(waitedMs) },
  });
}

/** Another live server owns the data folder. */
export function redisDirInUse(dir: string): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'REDIS_DIR_IN_USE',
    message: `a Redis of another server still runs on "${dir}": only one server may own a state folder`,
    metadata: { dir },
  });
}

/** No server with a private Redis runs on the state folder. */
export function redisOfServerMissing(dir: string): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'REDIS_OF_SERVER_MISSING',
    message: `no running server keeps its Redis in "${dir}": start one on this STATE_DIR, or set SHOWRUNNER_REDIS_URL`,
    metadata: { dir },
  });
}
