import { Code } from '../core/codes.ts';
import { AppError, messageOf } from '../core/errors.ts';

/** INVALID_ARGUMENT: a setting was read but what it names cannot be used. `message` names the setting. */
export const settingsFault = (message: string, cause?: unknown) =>
  new AppError({ code: Code.INVALID_ARGUMENT, reason: 'CONFIG_INVALID', message, cause });

/** FAILED_PRECONDITION: the state folder cannot be made or used, e.g. because a file stands where a folder should. */
export const stateDirUnusable = (dir: string, cause: unknown) =>
  new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'STATE_DIR_UNUSABLE',
    message: `State folder "${dir}" cannot be used (${messageOf(cause)}); mend it or set SHOWRUNNER_STATE_DIR to another one.`,
    metadata: { dir },
    cause,
  });
