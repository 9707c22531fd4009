import type { Clock } from '../core/clock.ts';
import { nextTurn } from '../core/next-turn.ts';
import type { CollapseIndex } from './collapse-index.ts';
import { isExpired, isFor } from './delivery.ts';
import type { Cursor, DeviceHello, ResetReason, StoredNotification } from './notification.ts';
import type { NotificationCounters } from './notification-counters.ts';
import type { ProfileLog } from './profile-log.ts';

/** One page of what a device has not seen. */
export interface InboxPage {
  readonly notifications: readonly StoredNotification[];
  /** Where the next page begins; what is before it needs no further look. */
  readonly nextCursor: Cursor;
  /** True when the log goes on after the cursor. */
  readonly more: boolean;
  /** The given cursor could not be honoured: the device starts over from this one. */
  readonly reset?: { readonly cursor: Cursor; readonly reason: ResetReason };
}

/** What a page is read from. */
export interface InboxDeps {
  readonly log: ProfileLog;
  readonly collapse: CollapseIndex;
  readonly clock: Clock;
  readonly counters: NotificationCounters;
}

const batchEntries = 100;
const maxScannedEntries = 2_000;
/** Payloads on one page, as JSON: keeps the answer well below the limit of a message. */
const maxPageBytes = 1_048_576;

/**
 * What a device has not seen after its cursor: `limit` notifications at most, reading at most 2,000 entries.
 * The next cursor also moves over entries that are not for the device, so a caller with `more` always gets on.
 */
export async function readInbox(deps: InboxDeps, device: DeviceHello, from: Cursor, limit: number): Promise<InboxPage> {
  const { log, counters } = deps;
  const start = await log.resolve(device.profile, from);
  if (start.reset !== undefined) return toReset(start.cursor, start.reset);
  const head = await log.head(device.profile);
  const notifications: StoredNotification[] = [];
  let place = start.cursor;
  let bytes = 0;
  const isFull = () => notifications.length >= limit || bytes >= maxPageBytes;

  for (let scanned = 0; scanned < maxScannedEntries && place.offset < head.offset && !isFull(); ) {
    const batch = await log.read(device.profile, place.offset, batchEntries);
    const [first] = batch;
    if (first === undefined) break;
    if (first.offset > place.offset + 1n) return toReset(await log.head(device.profile), 'RETENTION');
    for (const notification of batch) {
      if (isFull()) break;
      scanned++;
      place = { ...place, offset: notification.offset };
      if (!(await isWanted(deps, device, notification))) continue;
      notifications.push(notification);
      bytes += JSON.stringify(notification.payload).length;
    }
    await nextTurn();
  }
  counters.add('synced', undefined, notifications.length);
  return { notifications, nextCursor: place, more: place.offset < head.offset };

  function toReset(cursor: Cursor, reason: ResetReason): InboxPage {
    counters.add('resets', { reason });
    return { notifications: [], nextCursor: cursor, more: false, reset: { cursor, reason } };
  }
}

async function isWanted(deps: InboxDeps, device: DeviceHello, notification: StoredNotification): Promise<boolean> {
  const { clock, collapse, counters } = deps;
  if (!isFor(notification.targets, device)) return false;
  if (isExpired(notification, clock.now())) {
    counters.add('expired_at_dequeue');
    return false;
  }
  if (!(await collapse.isReplaced(notification))) return true;
  counters.add('collapsed');
  return false;
}
