import type { DeviceHello, StoredNotification, Targets } from './notification.ts';

/** True when the notification is meant for this device. Pure. */
export function isFor({ categories, capabilities, excludeDevice }: Targets, device: DeviceHello): boolean {
  if (excludeDevice === device.device) return false;
  if (categories.length > 0 && !categories.includes(device.category)) return false;
  return capabilities.every((capability) => device.capabilities.includes(capability));
}

/** True when it is not to be delivered any more. */
export function isExpired({ expireMs }: StoredNotification, nowMs: number): boolean {
  return nowMs >= expireMs;
}
