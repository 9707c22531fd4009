import {
  decodeLiveEvents,
  type LiveEvent,
  livePrefixOf,
  liveSegmentKey,
} from '../../notebooks-runner/live/live-events.ts';
import type { Clock } from '../core/clock.ts';
import type { ObjectStore } from '../stores/objects/object-store.ts';
import { isNotFound } from './notebook-source.ts';

/** Where events are read from, and who knows when they end. */
export interface WatchRunDeps {
  readonly objects: ObjectStore;
  readonly clock: Clock;
  /** Whether the job has ended for good; throws JOB_NOT_FOUND. */
  hasEnded(jobId: string): Promise<boolean>;
}

/** How often the store is asked for the next segment: workers write one a few times a second. */
const pollMs = 250;
const maxSegmentBytes = 64 * 1_048_576;

/**
 * The events of a notebook job above `after`, as its worker stores them, ending after the job. They are read at the
 * watcher's own pace: one that is slow holds nothing up and buffers one segment.
 */
export async function* watchRun(
  { objects, clock, hasEnded }: WatchRunDeps,
  jobId: string,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<LiveEvent> {
  const prefix = livePrefixOf(jobId);
  let last = after;
  let lastKey = '';
  for (;;) {
    signal.throwIfAborted();
    // Asked before the segments are listed: what was stored before the end is then in the list.
    const isEnd = await hasEnded(jobId);
    const found = await objects.list(prefix, lastKey === '' ? {} : { after: lastKey });
    for (const [index, { key }] of found.entries()) {
      lastKey = key;
      const next = found[index + 1]?.key;
      // Segments are named by their first event: one that ends before the wanted is not read.
      if (next !== undefined && next <= liveSegmentKey(jobId, last + 1)) continue;
      for (const event of await readSegment(objects, key, signal)) {
        if (event.sequence <= last) continue;
        last = event.sequence;
        yield event;
      }
    }
    if (isEnd && found.length === 0) return;
    if (found.length === 0) await clock.sleep(pollMs, signal);
  }
}

/** A segment that was pruned between list and read has nothing to tell any more. */
async function readSegment(objects: ObjectStore, key: string, signal: AbortSignal): Promise<LiveEvent[]> {
  try {
    return decodeLiveEvents(await objects.read(key, { maxBytes: maxSegmentBytes, signal }));
  } catch (error) {
    if (isNotFound(error)) return [];
    throw error;
  }
}
