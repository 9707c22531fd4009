import type { Clock } from '../core/clock.ts';
import type { JobStore } from './job-store.ts';

/** A change made by another server is seen after this long at most, in ms. */
const pollMs = 2_000;

/** Begins to listen at once; `done` resolves with the next change of the job, the poll or the abort. `drop` ends it. */
export type NextChange = (id: string, signal: AbortSignal) => { readonly done: Promise<void>; drop(): void };

/** For any number of waiters per job; all of them wake at once. */
export function createNextChange(store: Pick<JobStore, 'onChange'>, clock: Clock): NextChange {
  const waiting = new Map<string, Set<() => void>>();
  store.onChange((id) => {
    const wakes = waiting.get(id);
    waiting.delete(id);
    for (const wake of wakes ?? []) wake();
  });
  return (id, signal) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const wakes = waiting.get(id) ?? new Set();
    waiting.set(id, wakes.add(resolve));
    const cancelPoll = clock.schedule(pollMs, resolve);
    const onAbort = () => resolve();
    signal.addEventListener('abort', onAbort, { once: true });
    const drop = () => {
      cancelPoll();
      signal.removeEventListener('abort', onAbort);
      wakes.delete(resolve);
      if (wakes.size === 0 && waiting.get(id) === wakes) waiting.delete(id);
    };
    return { done: promise.finally(drop), drop };
  };
}
