import type { Clock } from '../../core/clock.ts';

/** What `withinBudget` gives when the time ran out. */
export const late = Symbol('late');

/**
 * The result of `work`, or `late` once `budgetMs` have passed: then its signal is aborted and it is left to itself.
 * `onLateFailure` hears an error that comes after that.
 */
export async function withinBudget<T>(
  clock: Clock,
  budgetMs: number,
  work: (signal: AbortSignal) => Promise<T>,
  onLateFailure: (error: unknown) => void,
): Promise<T | typeof late> {
  if (budgetMs <= 0) return late;
  const controller = new AbortController();
  const { promise: timeout, resolve } = Promise.withResolvers<typeof late>();
  const cancel = clock.schedule(budgetMs, () => {
    resolve(late);
    controller.abort(new DOMException('the ranking budget has passed', 'TimeoutError'));
  });
  const running = work(controller.signal);
  running.catch((error) => {
    if (controller.signal.aborted) onLateFailure(error);
  });
  try {
    return await Promise.race([running, timeout]);
  } finally {
    cancel();
  }
}
