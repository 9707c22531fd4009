import { create } from '@bufbuild/protobuf';
import {
  type Cursor as CursorMessage,
  type Device as DeviceMessage,
  DeviceSchema,
  type Notification as NotificationMessage,
  NotificationSchema,
  Priority as PriorityMessage,
} from '../../proto/gen/showrunner/notifications/v1/notification_pb.ts';
import {
  type SubscribeResponse,
  SubscribeResponseSchema,
} from '../../proto/gen/showrunner/notifications/v1/notification_service_pb.ts';
import { invalidField } from '../core/errors.ts';
import { readDuration, toDuration, toTimestamp } from '../rpc/edge/wkt-time.ts';
import type { Cursor, DeviceHello, Frame, NewNotification, Priority, StoredNotification } from './notification.ts';
import type { ListedDevice } from './notifications-api.ts';

const toPriority: Readonly<Record<Priority, PriorityMessage>> = {
  critical: PriorityMessage.CRITICAL,
  high: PriorityMessage.HIGH,
  normal: PriorityMessage.NORMAL,
  bulk: PriorityMessage.BULK,
};

function readPriority(value: PriorityMessage): Priority {
  switch (value) {
    case PriorityMessage.UNSPECIFIED:
    case PriorityMessage.NORMAL:
      return 'normal';
    case PriorityMessage.CRITICAL:
      return 'critical';
    case PriorityMessage.HIGH:
      return 'high';
    case PriorityMessage.BULK:
      return 'bulk';
    default:
      throw invalidField('notification.priority', `must be a known priority, got ${value}`);
  }
}

/** The bare id of `devices/{device}` or of a bare one. */
export function readDeviceId(device: string): string {
  return device.startsWith('devices/') ? device.slice('devices/'.length) : device;
}

/** What a publisher sent; output-only fields are ignored. INVALID_FIELDS for absent or malformed parts. */
export function readNotification(message: NotificationMessage | undefined): NewNotification {
  if (message === undefined) throw invalidField('notification', 'must be set');
  const { notificationId, profile, kind, subject, payload, collapseKey, targets } = message;
  return {
    notificationId,
    profile,
    kind,
    subject,
    payload,
    priority: readPriority(message.priority),
    collapseKey,
    ttlMs: readDuration('notification.ttl', message.ttl),
    targets: {
      categories: targets?.categories ?? [],
      capabilities: targets?.capabilities ?? [],
      excludeDevice: readDeviceId(targets?.excludeDevice ?? ''),
    },
  };
}

/** How a device introduces itself. INVALID_FIELDS when absent; its fields are checked by the domain. */
export function readDevice(message: DeviceMessage | undefined): DeviceHello {
  if (message === undefined) throw invalidField('device', 'must be set');
  const { profile, category, capabilities } = message;
  return { device: readDeviceId(message.device), profile, category, capabilities };
}

/** A cursor, undefined when absent. */
export function readCursor(message: CursorMessage | undefined): Cursor | undefined {
  return message === undefined ? undefined : { epoch: message.epoch, offset: message.offset };
}

/** A stored notification for the wire. */
export function toNotificationMessage(notification: StoredNotification): NotificationMessage {
  const { notificationId, profile, kind, subject, payload, collapseKey, targets, offset, traceparent } = notification;
  return create(NotificationSchema, {
    notificationId,
    profile,
    kind,
    subject,
    payload,
    priority: toPriority[notification.priority],
    collapseKey,
    ttl: toDuration(notification.ttlMs),
    targets: {
      categories: [...targets.categories],
      capabilities: [...targets.capabilities],
      excludeDevice: targets.excludeDevice,
    },
    offset,
    createTime: toTimestamp(notification.createMs),
    expireTime: toTimestamp(notification.expireMs),
    traceparent,
  });
}

/** A device for the wire. */
export function toDeviceMessage(known: ListedDevice): DeviceMessage {
  const { device, profile, category, capabilities, online, acknowledged, lastSeenMs } = known;
  return create(DeviceSchema, {
    device,
    profile,
    category,
    capabilities: [...capabilities],
    online,
    acknowledged,
    lastSeenTime: toTimestamp(lastSeenMs),
  });
}

/** A frame for the wire. */
export function toFrameMessage(frame: Frame): SubscribeResponse {
  return create(SubscribeResponseSchema, { frame: toFrameCase(frame) });
}

function toFrameCase(frame: Frame) {
  switch (frame.kind) {
    case 'hello': {
      const heartbeatInterval = toDuration(frame.heartbeatMs);
      const value = { cursor: frame.cursor, serverTime: toTimestamp(frame.serverMs), heartbeatInterval };
      return { case: 'hello' as const, value };
    }
    case 'notification':
      return { case: 'notification' as const, value: toNotificationMessage(frame.notification) };
    case 'heartbeat':
      return { case: 'heartbeat' as const, value: { newest: frame.newest } };
    case 'reset':
      return { case: 'reset' as const, value: { cursor: frame.cursor, reason: frame.reason } };
    case 'go_away': {
      const value = { retryAfter: toDuration(frame.retryAfterMs), reason: frame.reason };
      return { case: 'goAway' as const, value };
    }
  }
}
