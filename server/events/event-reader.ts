import { invalidField } from '../core/errors.ts';
import { nextTurn } from '../core/next-turn.ts';
import type { EventLog } from '../stores/events/event-log.ts';
import { offsetExpired } from './errors.ts';
import type { StoredEvent } from './event.ts';
import { parseEventEntry } from './event-record.ts';

/** Which events are wanted; both must hold. */
export interface EventFilter {
  /** Empty = all kinds. */
  readonly kinds: readonly string[];
  /** Empty = all profiles. */
  readonly profile: string;
}

/** What one look at the log gave. */
export interface EventPage {
  readonly events: StoredEvent[];
  /** Offset to go on from. */
  readonly nextOffset: bigint;
  /** True when the log had no more. */
  readonly end: boolean;
}

/** Reads the log of events. */
export interface EventReader {
  /**
   * Events after the offset that the filter lets through; reads at most 5,000 entries per call. INVALID_FIELDS for an
   * offset beyond the newest one.
   */
  list(after: bigint, limit: number, filter: EventFilter): Promise<EventPage>;
  /**
   * Events after the offset (0 = only new ones) as they come, until the signal aborts (then it throws the reason).
   * Holds one small batch: a slow reader reads the log later. OFFSET_EXPIRED when the log no longer holds the reader's
   * next event, INVALID_FIELDS for an offset beyond the newest one.
   */
  watch(after: bigint, filter: EventFilter, signal: AbortSignal): AsyncGenerator<StoredEvent, void>;
}

const batchEntries = 100;
const maxScannedEntries = 5_000;
/** Stored bytes on one page: keeps the answer below the limit of a message. */
const maxPageBytes = 1_048_576;

/** Holds no state: places are the readers' own. */
export function createEventReader({ log, logName }: { log: EventLog; logName: string }): EventReader {
  async function list(after: bigint, limit: number, filter: EventFilter): Promise<EventPage> {
    const passes = createPredicate(filter);
    const { newest } = await log.position(logName);
    const events: StoredEvent[] = [];
    let nextOffset = after;
    let bytes = 0;
    checkPlace(after, newest);
    if (after === newest) return { events, nextOffset, end: true };
    for (let scanned = 0; scanned < maxScannedEntries; scanned += batchEntries) {
      const entries = await log.read(logName, nextOffset, batchEntries);
      for (const entry of entries) {
        const { event } = parseEventEntry(entry);
        nextOffset = entry.offset;
        if (!passes(event)) continue;
        events.push(event);
        bytes += entry.payload.byteLength;
        if (events.length === limit || bytes >= maxPageBytes) return { events, nextOffset, end: nextOffset >= newest };
      }
      if (entries.length < batchEntries) return { events, nextOffset, end: true };
      await nextTurn();
    }
    return { events, nextOffset, end: false };
  }

  async function startOf(after: bigint): Promise<bigint> {
    const { oldest, newest } = await log.position(logName);
    if (after === 0n) return newest;
    checkPlace(after, newest);
    if (after + 1n < oldest) throw offsetExpired(after, oldest);
    return after;
  }

  async function* watch(after: bigint, filter: EventFilter, signal: AbortSignal): AsyncGenerator<StoredEvent, void> {
    const passes = createPredicate(filter);
    let place = await startOf(after);
    for (;;) {
      signal.throwIfAborted();
      const entries = await log.read(logName, place, batchEntries);
      if (entries.length === 0) {
        await log.waitForAppend(logName, place, signal);
        // What was appended may be gone already.
        const { oldest } = await log.position(logName);
        if (oldest > place + 1n) throw offsetExpired(place, oldest);
        continue;
      }
      for (const entry of entries) {
        if (entry.offset > place + 1n) throw offsetExpired(place, entry.offset);
        place = entry.offset;
        const { event } = parseEventEntry(entry);
        if (passes(event)) yield event;
      }
      await nextTurn();
    }
  }

  return { list, watch };
}

/** A place beyond the end is of another log: a reader that went on from there would miss what is here. */
function checkPlace(after: bigint, newest: bigint): void {
  if (after > newest) throw invalidField('after_offset', `must not be beyond the newest offset ${newest}`);
}

function createPredicate({ kinds, profile }: EventFilter): (event: StoredEvent) => boolean {
  const wanted = new Set(kinds);
  return (event) => (wanted.size === 0 || wanted.has(event.kind)) && (profile === '' || profile === event.profile);
}
