import type { Clock } from '../core/clock.ts';
import type { EventLog } from '../stores/events/event-log.ts';
import type { StoredEvent } from './event.ts';
import type { DeadLetter } from './rule.ts';

const logName = 'events/dead-letters';
const retentionMs = 30 * 24 * 3_600_000;
const maxEntries = 10_000;

/** Events that rules gave up on: the newest 10,000 of 30 days. */
export interface DeadLetters {
  /** The same rule and event is kept once. */
  add(letter: Omit<DeadLetter, 'failedMs'>): Promise<void>;
  /** Oldest first, `limit` at most. */
  list(limit?: number): Promise<DeadLetter[]>;
}

/** Kept in a log of their own. */
export function createDeadLetters({ log, clock }: { log: EventLog; clock: Clock }): DeadLetters {
  return {
    add: async (letter) => {
      const { event } = letter;
      const stored = { ...letter, event: { ...event, offset: String(event.offset) }, failedMs: clock.now() };
      const id = `${letter.rule}/${event.offset}/${event.eventId}`;
      await log.append(logName, Buffer.from(JSON.stringify(stored)), { id, ttlMs: retentionMs, maxEntries });
    },
    list: async (limit = 100) => {
      const entries = await log.read(logName, 0n, limit);
      return entries.map(({ payload }) => parseDeadLetter(payload));
    },
  };
}

function parseDeadLetter(payload: Uint8Array): DeadLetter {
  type Stored = Omit<DeadLetter, 'event'> & { event: Omit<StoredEvent, 'offset'> & { offset: string } };
  const stored = JSON.parse(Buffer.from(payload).toString()) as Stored;
  return { ...stored, event: { ...stored.event, offset: BigInt(stored.event.offset) } };
}
