import type { LogEntry } from '../stores/events/event-log.ts';
import type { StoredEvent } from './event.ts';

/** An event in the log, beside what only the intake needs of it. */
export interface EventRecord {
  readonly event: Omit<StoredEvent, 'offset'>;
  /** Digest of what the producer sent: tells a repeat from an id that was used again. */
  readonly digest: string;
}

const decoder = new TextDecoder();

/** The bytes of a log entry. */
export function encodeEventRecord(record: EventRecord): Uint8Array {
  return Buffer.from(JSON.stringify(record));
}

/** The event of a log entry with its offset, and its digest. Only this area writes the log, so its form is trusted. */
export function parseEventEntry(entry: LogEntry): { event: StoredEvent; digest: string } {
  const { event, digest } = JSON.parse(decoder.decode(entry.payload)) as EventRecord;
  return { event: { ...event, offset: entry.offset }, digest };
}
