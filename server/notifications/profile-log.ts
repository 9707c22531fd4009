import { jsonDigest } from '../core/canonical-json.ts';
import type { EventLog, LogEntry } from '../stores/events/event-log.ts';
import { type CheckedNotification, notificationLimits } from './check-notification.ts';
import { notificationIdReused } from './errors.ts';
import type { Cursor, ResetReason, StoredNotification } from './notification.ts';

/** One log of notifications per profile. */
export interface ProfileLog {
  /** Stores it; with an id seen before gives the earlier one. NOTIFICATION_ID_REUSED when its content differs. */
  append(
    body: CheckedNotification,
    times: Pick<StoredNotification, 'notificationId' | 'createMs' | 'expireMs' | 'traceparent'>,
  ): Promise<{ notification: StoredNotification; duplicate: boolean }>;
  /** Entries after the offset, in order. */
  read(profile: string, after: bigint, limit: number): Promise<StoredNotification[]>;
  /** The newest place. */
  head(profile: string): Promise<Cursor>;
  /** Where a reader at this cursor goes on; with a reason when it must start over at the head. */
  resolve(profile: string, cursor: Cursor): Promise<{ cursor: Cursor; reset?: ResetReason }>;
  /** Resolves when something was stored after the offset. */
  waitForAppend(profile: string, after: bigint, signal: AbortSignal): Promise<void>;
}

/** Where notifications are kept, and how many. */
export interface ProfileLogOptions {
  readonly log: EventLog;
  /** Newest notifications kept per profile. */
  readonly maxEntries: number;
}

/** All entries are kept equally long, so that what is missing at the old end is one range. */
const retentionMs = notificationLimits.maxTtlMs;

/** Each entry is kept for the longest time to live, whatever its own. */
export function createProfileLog({ log, maxEntries }: ProfileLogOptions): ProfileLog {
  const nameOf = (profile: string) => `notifications/${profile}`;

  const append: ProfileLog['append'] = async (body, times) => {
    const { notificationId: _, ...content } = body;
    const digest = jsonDigest(content);
    const record = { ...body, ...times };
    const { offset, duplicate } = await log.append(
      nameOf(body.profile),
      Buffer.from(JSON.stringify({ notification: record, digest })),
      { id: times.notificationId, ttlMs: retentionMs, maxEntries },
    );
    if (!duplicate) return { notification: { ...record, offset }, duplicate };
    const [entry] = await log.read(nameOf(body.profile), offset - 1n, 1);
    // The entry may have left a short log before its id was forgotten: then there is nothing to compare with.
    if (entry?.offset !== offset) return { notification: { ...record, offset }, duplicate };
    const stored = parseEntry(entry);
    if (stored.digest !== digest) throw notificationIdReused(times.notificationId, offset);
    return { notification: stored.notification, duplicate };
  };

  const resolve: ProfileLog['resolve'] = async (profile, cursor) => {
    const { oldest, newest, epoch } = await log.position(nameOf(profile));
    const head = { epoch, offset: newest };
    if (cursor.epoch !== epoch || cursor.offset > newest) return { cursor: head, reset: 'EPOCH_CHANGED' };
    if (cursor.offset + 1n < oldest) return { cursor: head, reset: 'RETENTION' };
    return { cursor };
  };

  return {
    append,
    resolve,
    read: async (profile, after, limit) => {
      const entries = await log.read(nameOf(profile), after, limit);
      return entries.map((entry) => parseEntry(entry).notification);
    },
    head: async (profile) => {
      const { epoch, newest } = await log.position(nameOf(profile));
      return { epoch, offset: newest };
    },
    waitForAppend: (profile, after, signal) => log.waitForAppend(nameOf(profile), after, signal),
  };
}

/** Only this area writes the log, so its form is trusted. */
function parseEntry(entry: LogEntry): { notification: StoredNotification; digest: string } {
  type Stored = { notification: Omit<StoredNotification, 'offset'>; digest: string };
  const { notification, digest } = JSON.parse(Buffer.from(entry.payload).toString()) as Stored;
  return { notification: { ...notification, offset: entry.offset }, digest };
}
