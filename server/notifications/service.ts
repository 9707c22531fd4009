import { NotificationService } from '../../proto/gen/showrunner/notifications/v1/notification_service_pb.ts';
import { invalidField } from '../core/errors.ts';
import { readPageSize } from '../rpc/edge/page-size.ts';
import { encodePageToken, readPageToken } from '../rpc/edge/page-token.ts';
import { clientId, readResourceName } from '../rpc/edge/resource-name.ts';
import { type ServiceRegistration, serviceOf } from '../rpc/handler.ts';
import {
  readCursor,
  readDevice,
  readDeviceId,
  readNotification,
  toDeviceMessage,
  toFrameMessage,
  toNotificationMessage,
} from './notification-message.ts';
import type { Notifications } from './notifications-api.ts';

const pageSizes = { fallback: 100, most: 500 };

/** The RPC edge of the notifications area. */
export function createNotificationService(domain: Omit<Notifications, 'service'>): ServiceRegistration {
  return serviceOf(NotificationService, {
    publish: async (request, { signal, deadline }) => {
      const result = await domain.publish(readNotification(request.notification), { signal, deadline });
      return {
        notification: toNotificationMessage(result.notification),
        duplicate: result.duplicate,
        pushedDevices: [...result.pushedDevices],
        pendingDevices: [...result.pendingDevices],
      };
    },

    async *subscribe(request, context) {
      const options = { signal: context.signal, cut: context.stop.bind(context) };
      const frames = domain.subscribe(readDevice(request.device), readCursor(request.cursor), options);
      for await (const frame of frames) yield toFrameMessage(frame);
    },

    sync: async (request) => {
      const limit = readPageSize(request.pageSize, pageSizes);
      const page = await domain.sync(readDevice(request.device), readCursor(request.cursor), limit);
      return {
        notifications: page.notifications.map(toNotificationMessage),
        nextCursor: page.nextCursor,
        more: page.more,
        ...(page.reset === undefined ? {} : { reset: page.reset }),
      };
    },

    ack: async (request) => {
      const cursor = readCursor(request.cursor);
      if (cursor === undefined) throw invalidField('cursor', 'must be set');
      const device = readDeviceId(request.device);
      if (!clientId.test(device)) throw invalidField('device', 'must be devices/{device} or bare');
      readResourceName('profile', request.profile, ['profiles'], clientId);
      return { acknowledged: await domain.acknowledge(request.profile, device, cursor) };
    },

    listDevices: async (request) => {
      const { profile } = request;
      readResourceName('profile', profile, ['profiles'], clientId);
      const limit = readPageSize(request.pageSize, pageSizes);
      const after = readPageToken(`devices:${profile}`, request.pageToken);
      const found = await domain.listDevices(profile, limit + 1, after);
      const devices = found.slice(0, limit);
      const last = devices.at(-1);
      const nextPageToken =
        found.length > limit && last !== undefined ? encodePageToken(`devices:${profile}`, last.device) : '';
      return { devices: devices.map(toDeviceMessage), nextPageToken };
    },
  });
}
