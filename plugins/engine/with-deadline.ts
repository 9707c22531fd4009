import type { Clock } from '../../server/core/clock.ts';

/** Settings of `withDeadline`. */
export interface DeadlineOptions<T> {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Made when time is up: the rejection and the signal's reason. */
  readonly expired: () => Error;
  /** Gets a result that came too late, to release it. */
  readonly late?: (value: T) => void;
}

/** Runs `work` with a signal and rejects when it takes too long; a late rejection is dropped. */
export async function withDeadline<T>(
  { clock, timeoutMs, expired, late }: DeadlineOptions<T>,
  work: (signal: AbortSignal) => T | Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const { promise, reject } = Promise.withResolvers<never>();
  let isOver = false;
  const cancel = clock.schedule(timeoutMs, () => {
    isOver = true;
    const error = expired();
    controller.abort(error);
    reject(error);
  });
  const running = (async () => {
    const value = await work(controller.signal);
    if (isOver) late?.(value);
    return value;
  })();
  try {
    return await Promise.race([running, promise]);
  } finally {
    cancel();
  }
}
