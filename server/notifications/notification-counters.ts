import { createCounters } from '../core/counters.ts';

/** All counts of the area, as `notifications.<name>`. */
export function createNotificationCounters() {
  return createCounters('notifications', {
    stored: 'Notifications stored.',
    duplicate: 'Repeats of stored notifications.',
    pushed: 'Notifications written to streams.',
    synced: 'Notifications given by Sync.',
    collapsed: 'Undelivered notifications replaced by a newer one of their key.',
    expired_at_store: 'Notifications that had expired before they were stored.',
    expired_at_dequeue: 'Notifications that had expired when they were read from the log.',
    expired_at_write: 'Notifications that expired between the log and the stream.',
    resets: 'Cursors that could not be honoured.',
    streams_opened: 'Subscribe streams opened.',
    streams_ended: 'Subscribe streams ended, by reason.',
    streams_refused: 'Subscribe streams refused: too many.',
  });
}

/** What the area counts. */
export type NotificationCounters = ReturnType<typeof createNotificationCounters>;
