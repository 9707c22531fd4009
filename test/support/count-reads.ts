import type { EventLog } from '../../server/stores/events/event-log.ts';

/** Counts the entries that are read from a log from now on. */
export function countReads(log: EventLog): { readonly entries: number } {
  const counts = { entries: 0 };
  const { read } = log;
  log.read = async (...args) => {
    const entries = await read(...args);
    counts.entries += entries.length;
    return entries;
  };
  return counts;
}
