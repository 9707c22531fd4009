import { Code } from '../../core/codes.ts';
import { AppError } from '../../core/errors.ts';

/** Places for streams that stay, e.g. watches: each holds memory for as long as its caller likes. */
export interface StreamSlots {
  /** One place, until it is disposed. Throws TOO_MANY_WATCHERS. */
  take(): Disposable;
}

/** RESOURCE_EXHAUSTED: as many watchers as allowed are attached. */
function tooManyWatchers(most: number): AppError {
  return new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'TOO_MANY_WATCHERS',
    message: `${most} watchers are attached already`,
    metadata: { bound: String(most) },
    retryAfterMs: 5_000,
  });
}

/** Places for at most so many streams at once; default 1,000. */
export function createStreamSlots(most = 1_000): StreamSlots {
  let taken = 0;
  return {
    take: () => {
      if (taken >= most) throw tooManyWatchers(most);
      taken++;
      return {
        [Symbol.dispose]: () => {
          taken--;
        },
      };
    },
  };
}
