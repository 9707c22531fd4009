import type { Clock } from '../core/clock.ts';
import { newId } from '../core/ids.ts';
import { activeTraceparent } from '../core/telemetry/trace-parent.ts';
import { checkNotification } from './check-notification.ts';
import type { CollapseIndex } from './collapse-index.ts';
import { isFor } from './delivery.ts';
import type { DeviceRecords } from './device-records.ts';
import { notificationExpired } from './errors.ts';
import type { NewNotification, StoredNotification } from './notification.ts';
import type { NotificationCounters } from './notification-counters.ts';
import type { OnlineDevices } from './online-devices.ts';
import type { ProfileLog } from './profile-log.ts';

/** What became of a published notification. */
export interface PublishResult {
  readonly notification: StoredNotification;
  /** True: its id was published before; this is the notification that was stored then. */
  readonly duplicate: boolean;
  /** Bare ids of the online devices that it was written to. */
  readonly pushedDevices: readonly string[];
  /** Bare ids of the known devices that will pull it. */
  readonly pendingDevices: readonly string[];
}

/** How long the publisher waits. */
export interface PublishOptions {
  /** Ends the wait for the pushes; the notification stays stored. */
  readonly signal?: AbortSignal;
  /** Unix ms by which the caller wants its answer. */
  readonly deadline?: number;
}

/** What publishing works with. */
export interface PublisherDeps {
  readonly log: ProfileLog;
  readonly collapse: CollapseIndex;
  readonly devices: DeviceRecords;
  readonly online: OnlineDevices;
  readonly clock: Clock;
  readonly counters: NotificationCounters;
  /** How long a publish waits to learn who got it, in ms. */
  readonly pushWaitMs: number;
  readonly maxDevicesPerProfile: number;
}

/** What is left of the caller's deadline for the answer to travel, in ms. */
const answerMs = 20;

/**
 * Stores a notification (durable when this resolves), then tells which devices got it within the wait.
 * INVALID_FIELDS, NOTIFICATION_ID_REUSED, NOTIFICATION_EXPIRED; and what the log throws.
 */
export async function publishNotification(
  deps: PublisherDeps,
  given: NewNotification,
  options: PublishOptions = {},
): Promise<PublishResult> {
  const { log, collapse, clock, counters } = deps;
  const body = checkNotification(given);
  const createMs = clock.now();
  const expireMs = Math.min(given.sinceMs ?? createMs, createMs) + body.ttlMs;
  if (expireMs <= createMs) {
    counters.add('expired_at_store');
    throw notificationExpired(expireMs);
  }
  const { notification, duplicate } = await log.append(body, {
    notificationId: body.notificationId || newId(createMs),
    createMs,
    expireMs,
    traceparent: activeTraceparent(),
  });
  counters.add(duplicate ? 'duplicate' : 'stored', { priority: notification.priority });
  // Also for a repeat: the first try may have ended before this.
  await collapse.note(notification);
  return { notification, duplicate, ...(await followPushes(deps, notification, options)) };
}

/** The streams push by themselves, woken by the append; this only watches them for a short while. */
async function followPushes(deps: PublisherDeps, notification: StoredNotification, options: PublishOptions) {
  const { clock, online, devices, pushWaitMs, maxDevicesPerProfile } = deps;
  const untilDeadlineMs = (options.deadline ?? Number.POSITIVE_INFINITY) - clock.now() - answerMs;
  const limit = new AbortController();
  const cancel = clock.schedule(Math.max(0, Math.min(pushWaitMs, untilDeadlineMs)), () => limit.abort());
  const signal = options.signal === undefined ? limit.signal : AbortSignal.any([limit.signal, options.signal]);
  try {
    const known = await devices.list(notification.profile, maxDevicesPerProfile);
    const targets = known.filter((device) => isFor(notification.targets, device));
    const isPushed = await Promise.all(
      targets.map(
        async ({ profile, device }) => (await online.find(profile, device)?.whenWritten(notification, signal)) === true,
      ),
    );
    const ids = targets.map(({ device }) => device);
    return {
      pushedDevices: ids.filter((_, index) => isPushed[index]),
      pendingDevices: ids.filter((_, index) => !isPushed[index]),
    };
  } finally {
    cancel();
  }
}
