import { Code } from '../core/codes.ts';
import { AppError, messageOf } from '../core/errors.ts';

/** INVALID_ARGUMENT: a setting was read but what it names cannot be used. `message` names the setting. */
export const settingsFault = (message: string, cause?: unknown) =>
  new AppError({ code: Code.INVALID_ARGUMENT, reason: 'CONFIG_INVALID', message, cause });

/** FAILED_PRECONDITION: the state folder cannot be made, e.g. because a file stands there. */
export const stateDirUnusable = (dir: string, cause: unknown) =>
  new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'STATE_DIR_UNUSABLE',
    message: `State folder "${dir}" cannot be made (${messageOf(cause)}); set SHOWRUNNER_STATE_DIR to another one.`,
    metadata: { dir },
    cause,
  });
