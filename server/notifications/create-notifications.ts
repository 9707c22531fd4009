import { checkDevice, notificationLimits } from './check-notification.ts';
import { createCollapseIndex } from './collapse-index.ts';
import { createDeviceRecords } from './device-records.ts';
import { cursorUnknown } from './errors.ts';
import { readInbox } from './inbox.ts';
import { createNotificationCounters } from './notification-counters.ts';
import type { Notifications, NotificationsOptions } from './notifications-api.ts';
import { createOnlineDevices } from './online-devices.ts';
import { createProfileLog } from './profile-log.ts';
import { publishNotification } from './publisher.ts';
import { createNotificationService } from './service.ts';
import { createSubscriptions } from './subscriptions.ts';

/** The notifications area: one stored log per profile, push to devices online, pull for the rest. */
export function createNotifications(options: NotificationsOptions): Notifications {
  const { records, clock, maxPerProfile = 10_000, maxDevicesPerProfile = 200, pushWaitMs = 200 } = options;
  const counters = createNotificationCounters();
  const log = createProfileLog({ log: options.log, maxEntries: maxPerProfile });
  const collapse = createCollapseIndex(records, notificationLimits.maxTtlMs);
  const devices = createDeviceRecords({ records, clock, maxDevicesPerProfile });
  const online = createOnlineDevices();
  const parts = { log, collapse, devices, online, clock, counters };
  const subscriptions = createSubscriptions({ ...options, ...parts });

  const domain: Omit<Notifications, 'service'> = {
    publish: (notification, publishOptions) =>
      publishNotification({ ...parts, pushWaitMs, maxDevicesPerProfile }, notification, publishOptions),
    subscribe: subscriptions.subscribe,
    sync: async (hello, cursor, limit) => {
      const device = await devices.register(checkDevice(hello), await log.head(hello.profile));
      return readInbox(parts, device, cursor ?? device.acknowledged, limit);
    },
    acknowledge: async (profile, device, cursor) => {
      const head = await log.head(profile);
      if (cursor.epoch !== head.epoch) throw cursorUnknown('its epoch is another one');
      if (cursor.offset > head.offset) throw cursorUnknown(`it is beyond the newest offset ${head.offset}`);
      return devices.acknowledge(profile, device, cursor);
    },
    listDevices: async (profile, limit, after) => {
      const known = await devices.list(profile, limit, after);
      return known.map((device) => ({ ...device, online: online.find(profile, device.device) !== undefined }));
    },
    onlineCount: () => online.size,
    counters,
    close: subscriptions.close,
  };
  return { ...domain, service: createNotificationService(domain) };
}
