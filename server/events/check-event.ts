import type { JsonObject } from '@bufbuild/protobuf';
import { jsonBytes } from '../core/canonical-json.ts';
import { type FieldViolation, invalidFields } from '../core/errors.ts';
import { clientId, findResourceIds } from '../rpc/edge/resource-name.ts';
import { eventKindUnknown } from './errors.ts';
import type { NewEvent } from './event.ts';
import type { EventKind } from './event-kinds.ts';

/** Bounds of a published event: bytes of its JSON data, characters of ids and names. */
export const eventLimits = {
  maxDataBytes: 4096,
  maxIdLength: 128,
  maxSubjectLength: 256,
  /** A time further in the future is taken as now: the clock of the producer is wrong. */
  maxFutureMs: 5 * 60_000,
} as const;

/** An event with every field present and within its limits. */
export type CheckedEvent = Required<Omit<NewEvent, 'occurredMs' | 'data'>> & {
  readonly occurredMs: number | undefined;
  readonly data: JsonObject;
};

/** Throws INVALID_FIELDS with all faults, or EVENT_KIND_UNKNOWN. */
export function checkEvent(event: NewEvent, kinds: Readonly<Record<string, EventKind>>): CheckedEvent {
  const { eventId = '', kind, profile = '', subject = '', device = '', occurredMs, data = {} } = event;
  const faults: FieldViolation[] = [];
  const fault = (field: string, description: string) => faults.push({ field: `event.${field}`, description });

  if (eventId.length > eventLimits.maxIdLength || !eventId.isWellFormed()) {
    fault('event_id', `must have at most ${eventLimits.maxIdLength} characters`);
  }
  if (kind === '') fault('kind', 'must not be empty');
  if (profile !== '' && findResourceIds(profile, ['profiles'], clientId) === undefined) {
    fault('profile', 'must have the form profiles/{profile}');
  }
  if (device !== '' && findResourceIds(device, ['devices'], clientId) === undefined) {
    fault('device', 'must have the form devices/{device}');
  }
  if (subject.length > eventLimits.maxSubjectLength) {
    fault('subject', `must have at most ${eventLimits.maxSubjectLength} characters`);
  }
  const dataFault = faultOfData(data);
  if (dataFault !== undefined) fault('data', dataFault);
  const known = Object.hasOwn(kinds, kind) ? kinds[kind] : undefined;
  if (dataFault === undefined) {
    for (const { field, description } of known?.checkData?.(data) ?? []) fault(field, description);
  }
  if (faults.length > 0) throw invalidFields(faults);
  if (known === undefined) throw eventKindUnknown(kind.slice(0, 64), Object.keys(kinds));
  return { eventId, kind, profile, subject, device, occurredMs, data };
}

function faultOfData(data: JsonObject): string | undefined {
  try {
    const bytes = jsonBytes(data);
    if (bytes <= eventLimits.maxDataBytes) return undefined;
    return `must have at most ${eventLimits.maxDataBytes} bytes as JSON, has ${bytes}; refer to larger data by a key`;
  } catch {
    return 'must hold finite numbers only';
  }
}
