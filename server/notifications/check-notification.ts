import { jsonBytes } from '../core/canonical-json.ts';
import { type FieldViolation, invalidFields } from '../core/errors.ts';
import { clientId, findResourceIds } from '../rpc/edge/resource-name.ts';
import type { DeviceHello, NewNotification, StoredNotification } from './notification.ts';

/** Bounds of a notification: bytes of payload, characters of ids and texts, entries of lists, time it is kept. */
export const notificationLimits = {
  maxPayloadBytes: 4096,
  maxIdLength: 128,
  /** An event's id with a prefix: rules derive the ids of what they publish from it. */
  maxNotificationIdLength: 160,
  maxTextLength: 256,
  maxListLength: 32,
  defaultTtlMs: 7 * 86_400_000,
  maxTtlMs: 30 * 86_400_000,
} as const;

const kindForm = /^[a-z0-9.-]{1,64}$/;
const tagForm = /^[A-Za-z0-9._-]{1,64}$/;

/** A notification with every field present and within its limits; id and times are still open. */
export type CheckedNotification = Omit<StoredNotification, 'offset' | 'createMs' | 'expireMs' | 'traceparent'>;

type Fault = (field: string, description: string) => void;

/** Throws INVALID_FIELDS with all faults. */
export function checkNotification(given: NewNotification): CheckedNotification {
  const { notificationId = '', profile, kind, subject = '', payload = {}, priority = 'normal' } = given;
  const { collapseKey = '', ttlMs = notificationLimits.defaultTtlMs } = given;
  const { categories = [], capabilities = [], excludeDevice = '' } = given.targets ?? {};
  const faults: FieldViolation[] = [];
  const fault: Fault = (field, description) => faults.push({ field: `notification.${field}`, description });

  checkLength(fault, 'notification_id', notificationId, notificationLimits.maxNotificationIdLength);
  checkProfile(fault, profile);
  if (!kindForm.test(kind)) fault('kind', 'must be 1-64 characters of [a-z0-9.-]');
  checkLength(fault, 'subject', subject, notificationLimits.maxTextLength);
  checkLength(fault, 'collapse_key', collapseKey, notificationLimits.maxIdLength);
  checkTags(fault, 'targets.categories', categories);
  checkTags(fault, 'targets.capabilities', capabilities);
  checkLength(fault, 'targets.exclude_device', excludeDevice, notificationLimits.maxIdLength);
  if (!(ttlMs > 0 && ttlMs <= notificationLimits.maxTtlMs)) fault('ttl', 'must be more than 0 and at most 30 days');
  const payloadFault = faultOfPayload(payload);
  if (payloadFault !== undefined) fault('payload', payloadFault);
  if (faults.length > 0) throw invalidFields(faults);
  const targets = { categories, capabilities, excludeDevice };
  return { notificationId, profile, kind, subject, payload, priority, collapseKey, ttlMs, targets };
}

/** Throws INVALID_FIELDS with all faults. */
export function checkDevice(hello: DeviceHello): DeviceHello {
  const faults: FieldViolation[] = [];
  const fault: Fault = (field, description) => faults.push({ field: `device.${field}`, description });
  if (!clientId.test(hello.device)) fault('device', `must be devices/{device} or bare, ids of ${clientId.source}`);
  checkProfile(fault, hello.profile);
  if (hello.category !== '' && !tagForm.test(hello.category)) fault('category', `must match ${tagForm.source}`);
  checkTags(fault, 'capabilities', hello.capabilities);
  if (faults.length > 0) throw invalidFields(faults);
  return hello;
}

function checkProfile(fault: Fault, profile: string): void {
  if (findResourceIds(profile, ['profiles'], clientId) === undefined) {
    fault('profile', 'must have the form profiles/{profile}');
  }
}

function checkLength(fault: Fault, field: string, text: string, most: number): void {
  if (text.length > most || !text.isWellFormed()) fault(field, `must have at most ${most} characters`);
}

function checkTags(fault: Fault, field: string, tags: readonly string[]): void {
  const { maxListLength } = notificationLimits;
  if (tags.length > maxListLength) fault(field, `must have at most ${maxListLength} entries, has ${tags.length}`);
  const bad = tags.findIndex((tag) => !tagForm.test(tag));
  if (bad >= 0) fault(`${field}[${bad}]`, `must match ${tagForm.source}`);
}

function faultOfPayload(payload: NonNullable<NewNotification['payload']>): string | undefined {
  const { maxPayloadBytes } = notificationLimits;
  try {
    const bytes = jsonBytes(payload);
    return bytes <= maxPayloadBytes ? undefined : `must have at most ${maxPayloadBytes} bytes as JSON, has ${bytes}`;
  } catch {
    return 'must hold finite numbers only';
  }
}
