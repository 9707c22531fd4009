import type { Clock } from '../core/clock.ts';
import { eventsExpired } from './job-errors.ts';
import { isTerminal, type JobEventRecord } from './job-record.ts';
import type { JobStore } from './job-store.ts';

const pageSize = 100;
/** A change made by another server is seen after this long at most, in ms. */
const pollMs = 2_000;

export type WatchJob = (id: string, after: number, signal: AbortSignal) => AsyncGenerator<JobEventRecord>;

/**
 * Watches jobs: events with a sequence above `after` in order, as they come, ending after the terminal state.
 * Events are read from the store at the reader's own pace, so a slow one holds nothing up and buffers nothing.
 * Throws JOB_NOT_FOUND, EVENTS_EXPIRED.
 */
export function createWatchJob(store: JobStore, clock: Clock): WatchJob {
  const waiting = new Map<string, Set<() => void>>();
  store.onChange((id) => {
    const wakes = waiting.get(id);
    waiting.delete(id);
    for (const wake of wakes ?? []) wake();
  });

  /** Begins to listen at once; `done` resolves with the next change, the poll or the abort. */
  const nextChange = (id: string, signal: AbortSignal) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const wakes = waiting.get(id) ?? new Set();
    waiting.set(id, wakes.add(resolve));
    const cancelPoll = clock.schedule(pollMs, resolve);
    signal.addEventListener('abort', () => resolve(), { once: true });
    const drop = () => {
      cancelPoll();
      wakes.delete(resolve);
      if (wakes.size === 0 && waiting.get(id) === wakes) waiting.delete(id);
    };
    return { done: promise.finally(drop), drop };
  };

  return async function* watchJob(id, after, signal) {
    let last = after;
    for (;;) {
      signal.throwIfAborted();
      const turn = new AbortController();
      const change = nextChange(id, AbortSignal.any([signal, turn.signal]));
      try {
        const job = await store.get(id);
        const events = await store.events(id, last, pageSize);
        const first = events[0];
        if (first !== undefined && first.sequence > last + 1) throw eventsExpired(`jobs/${id}`, first.sequence);
        for (const event of events) {
          last = event.sequence;
          yield event;
        }
        if (events.length === pageSize) continue;
        if (isTerminal(job.state) && last >= job.sequence) return;
        // A change between the two reads is told by the wake that was set before them.
        await change.done;
      } finally {
        turn.abort();
        change.drop();
      }
    }
  };
}
