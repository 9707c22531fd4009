import { invalidField } from '../core/errors.ts';
import { eventsExpired } from './job-errors.ts';
import { isTerminal, type JobEventRecord } from './job-record.ts';
import type { JobStore } from './job-store.ts';
import type { NextChange } from './next-change.ts';

const pageSize = 100;

/** Events of a job with a sequence above `after`, in order, until the job has ended. */
export type WatchJob = (id: string, after: number, signal: AbortSignal) => AsyncGenerator<JobEventRecord>;

/**
 * Watches jobs: events with a sequence above `after` in order, as they come, ending after the terminal state.
 * Events are read from the store at the reader's own pace, so a slow one holds nothing up and buffers nothing.
 * Throws JOB_NOT_FOUND, EVENTS_EXPIRED, INVALID_FIELDS for a sequence that no event has had.
 */
export function createWatchJob(store: JobStore, nextChange: NextChange): WatchJob {
  return async function* watchJob(id, after, signal) {
    let last = after;
    for (;;) {
      signal.throwIfAborted();
      const turn = new AbortController();
      const change = nextChange(id, AbortSignal.any([signal, turn.signal]));
      try {
        const job = await store.get(id);
        // Of another job, or made up: whoever went on from there would miss the end.
        if (last > job.sequence) throw invalidField('after_sequence', `must not be beyond the newest, ${job.sequence}`);
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
