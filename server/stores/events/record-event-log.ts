import type { Clock } from '../../core/clock.ts';
import { AppError, invalidField } from '../../core/errors.ts';
import { newId } from '../../core/ids.ts';
import type { RecordsStore } from '../records/records-store.ts';
import { storeClosed } from '../store-errors.ts';
import { createAppendWaiters } from './append-waiters.ts';
import type { EventLog } from './event-log.ts';
import { createLogAppender, type LogAppender } from './log-appender.ts';
import { checkAppend, checkLog, readLimit } from './log-limits.ts';
import { getEntries, getHead } from './log-records.ts';

/** What the log is kept in. */
export interface RecordEventLogOptions {
  /** Stays open when the event log is closed. */
  readonly records: RecordsStore;
  readonly clock: Clock;
}

/** Appenders kept for logs that are quiet now. */
const maxIdleAppenders = 10_000;
const epochPartition = 'event-logs';
const epochKey = 'epoch';

/**
 * The embedded event log. Each append is durable, and visible to `read`, when it resolves.
 * The epoch is drawn once with the records store and is the same for all its logs: it changes when the store was
 * lost and began anew, and a log nobody wrote to costs no row. With `maxEntries`, older entries are gone at once and
 * their rows are removed in bounded steps. Entries of one log should share one `ttlMs`, since `oldest` is the first
 * entry that is left. Rejects with INVALID_FIELDS, STORE_OVERLOADED, STORE_CLOSED and what the records store says.
 */
export async function openRecordEventLog({ records, clock }: RecordEventLogOptions): Promise<EventLog> {
  const epoch = await findOrDrawEpoch(records, clock);
  const appenders = new Map<string, LogAppender>();
  const waiters = createAppendWaiters();
  let isClosed = false;

  function check(log: string): void {
    if (isClosed) throw storeClosed('events');
    checkLog(log);
  }

  function appenderOf(log: string): LogAppender {
    const present = appenders.get(log);
    if (present !== undefined) {
      // The map's order is the order of use.
      appenders.delete(log);
      appenders.set(log, present);
      return present;
    }
    if (appenders.size >= maxIdleAppenders) forgetIdle();
    const appender = createLogAppender(records, clock, log, (newest) => waiters.notify(log, newest));
    appenders.set(log, appender);
    return appender;
  }

  /** Drops the tenth of the appenders that was used longest ago, but for those at work. */
  function forgetIdle(): void {
    let looked = 0;
    for (const [log, appender] of appenders) {
      if (looked++ === maxIdleAppenders / 10) return;
      if (appender.isIdle) appenders.delete(log);
    }
  }

  return {
    append: async (log, payload, options = {}) => {
      check(log);
      checkAppend(log, payload, options);
      return appenderOf(log).append(payload, options);
    },
    read: async (log, after, limit) => {
      check(log);
      checkOffset(after);
      const entries = readLimit(limit);
      const { floor } = await getHead(records, log);
      return getEntries(records, log, after > floor ? after : floor, entries);
    },
    position: async (log) => {
      check(log);
      const { newest, floor } = await getHead(records, log);
      const [first] = await getEntries(records, log, floor, 1);
      return { oldest: first?.offset ?? newest + 1n, newest, epoch };
    },
    waitForAppend: async (log, after, signal) => {
      check(log);
      signal.throwIfAborted();
      const failed = new AbortController();
      // Waits before it looks, so that no append falls between the two.
      const waiting = waiters.wait(log, after, AbortSignal.any([signal, failed.signal]));
      void getHead(records, log).then(
        ({ newest }) => waiters.notify(log, newest),
        (error) => failed.abort(error),
      );
      return waiting;
    },
    close: async () => {
      if (isClosed) return;
      isClosed = true;
      waiters.close();
      await Promise.all(Array.from(appenders.values(), (appender) => appender.settled()));
    },
  };
}

function checkOffset(after: bigint): void {
  if (after < 0n) throw invalidField('after', `must not be negative, got ${after}`);
}

async function findOrDrawEpoch(records: RecordsStore, clock: Clock): Promise<string> {
  const found = await records.get(epochPartition, epochKey);
  if (found !== undefined) return Buffer.from(found.value).toString();
  const epoch = newId(clock.now());
  try {
    await records.put(epochPartition, epochKey, Buffer.from(epoch), { ifVersion: 'absent' });
    return epoch;
  } catch (error) {
    // Another opener was faster: its epoch holds.
    if (error instanceof AppError && error.reason === 'RECORD_CONFLICT') return findOrDrawEpoch(records, clock);
    throw error;
  }
}
