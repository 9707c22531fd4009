import { Code } from '../core/codes.ts';
import { AppError } from '../core/errors.ts';

/** FAILED_PRECONDITION: the id was used for another notification of the profile within 24 h. */
export const notificationIdReused = (notificationId: string, offset: bigint) =>
  new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'NOTIFICATION_ID_REUSED',
    message: `notification id "${notificationId}" was used for another notification at offset ${offset}`,
    metadata: { notification_id: notificationId, offset: String(offset) },
  });

/** FAILED_PRECONDITION: its time was over before it was stored. */
export const notificationExpired = (expireMs: number) =>
  new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'NOTIFICATION_EXPIRED',
    message: `the notification expired at ${new Date(expireMs).toISOString()}; nothing was stored`,
    metadata: { expire_time: new Date(expireMs).toISOString() },
  });

/** FAILED_PRECONDITION: a place that the profile's log does not have. */
export const cursorUnknown = (why: string) =>
  new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'CURSOR_UNKNOWN',
    message: `the cursor is no place in the profile's log: ${why}; call Sync to get a valid one`,
  });

/** RESOURCE_EXHAUSTED: as many streams as allowed are open. */
export const tooManyStreams = (most: number, retryAfterMs: number) =>
  new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'TOO_MANY_STREAMS',
    message: `${most} devices are online here already`,
    metadata: { bound: String(most) },
    retryAfterMs,
  });

/** RESOURCE_EXHAUSTED: the profile has as many devices as allowed. */
export const tooManyDevices = (profile: string, most: number) =>
  new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'TOO_MANY_DEVICES',
    message: `${profile} has ${most} devices already; those unseen for 90 days are forgotten`,
    metadata: { profile, bound: String(most) },
  });

/** RESOURCE_EXHAUSTED: the client did not read for too long; its notifications stay in the log. */
export const slowConsumer = (device: string, pausedMs: number) =>
  new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'SLOW_CONSUMER',
    message: `device ${device} did not read for ${pausedMs} ms; reconnect from your cursor`,
    metadata: { device, paused_ms: String(pausedMs) },
    retryAfterMs: 1_000,
  });

/** UNAVAILABLE: the area is closing. */
export const notificationsClosing = (retryAfterMs: number) =>
  new AppError({
    code: Code.UNAVAILABLE,
    reason: 'NOTIFICATIONS_CLOSING',
    message: 'the notification service is closing; reconnect later',
    retryAfterMs,
  });
