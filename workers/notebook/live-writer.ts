import { createLiveBuffer } from '../../notebooks-runner/live/live-buffer.ts';
import { encodeLiveEvents, livePrefix, liveSegmentKey } from '../../notebooks-runner/live/live-events.ts';
import type { RunEvent } from '../../notebooks-runner/run/run-record.ts';
import type { Clock } from '../../server/core/clock.ts';
import { messageOf } from '../../server/core/errors.ts';
import type { Logger } from '../../server/core/log.ts';
import type { ObjectStore } from '../../server/stores/objects/object-store.ts';

interface LiveWriterOptions {
  readonly objects: ObjectStore;
  readonly jobId: string;
  readonly attempt: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Stores the events of a run while it goes on, a segment a few times a second, for whoever watches from a server. */
export interface LiveWriter {
  add(event: RunEvent): void;
  /** Stores what is left. */
  close(): Promise<void>;
}

const flushMs = 250;
const maxBytes = 16 * 1_048_576;
const keptMs = 24 * 60 * 60_000;
const pruneIntervalMs = 10 * 60_000;
const contentType = 'application/x-ndjson';

/** Events of one attempt. A segment that cannot be stored is logged and left out. */
export function createLiveWriter({ objects, jobId, attempt, clock, log }: LiveWriterOptions): LiveWriter {
  const buffer = createLiveBuffer({ attempt, maxBytes, clock });
  let writing = Promise.resolve();
  let cancelTimer: (() => void) | undefined;

  /** Watching is a convenience: its failure is no failure of the run. */
  async function store(): Promise<void> {
    cancelTimer = undefined;
    const events = buffer.take();
    const first = events[0];
    if (first === undefined) return;
    const body = Buffer.from(encodeLiveEvents(events));
    try {
      await objects.put(liveSegmentKey(jobId, first.sequence), body, { contentType });
    } catch (error) {
      log.warn('live events of a run not stored', { job_id: jobId, error: messageOf(error) });
    }
  }

  const flush = () => {
    writing = writing.then(store);
  };
  return {
    add: (event) => {
      buffer.add(event);
      cancelTimer ??= clock.schedule(flushMs, flush);
    },
    close: async () => {
      cancelTimer?.();
      flush();
      await writing;
    },
  };
}

/**
 * Deletes live events of runs that ended over a day ago. Listing costs a look at each, so that it is done at most every
 * ten minutes, however many runs ask for it.
 */
export function createLivePruner(objects: ObjectStore, clock: Clock, log: Logger): () => void {
  let nextMs = Number.NEGATIVE_INFINITY;
  return () => {
    if (clock.monotonic() < nextMs) return;
    nextMs = clock.monotonic() + pruneIntervalMs;
    pruneLiveEvents(objects, clock).catch((error: unknown) => {
      log.warn('old live events not deleted', { error: messageOf(error) });
    });
  };
}

/** Gives how many segments were deleted. Ids of jobs grow with time: behind a page of young ones are no old ones. */
export async function pruneLiveEvents(objects: ObjectStore, clock: Clock, pageSize = 1_000): Promise<number> {
  let count = 0;
  for (let after = ''; ; ) {
    const page = await objects.list(livePrefix, { after, limit: pageSize });
    const old = page.filter(({ modifiedMs }) => clock.now() - modifiedMs > keptMs);
    for (const { key } of old) if (await objects.delete(key)) count++;
    after = page.at(-1)?.key ?? '';
    if (old.length === 0 || page.length < pageSize) return count;
  }
}
