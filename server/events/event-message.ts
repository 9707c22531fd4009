import { create } from '@bufbuild/protobuf';
import { type Event, EventSchema } from '../../proto/gen/showrunner/events/v1/event_pb.ts';
import { PublishOutcome } from '../../proto/gen/showrunner/events/v1/event_service_pb.ts';
import { invalidField } from '../core/errors.ts';
import { traceIdOf } from '../core/telemetry/trace-parent.ts';
import { readTimestamp, toTimestamp } from '../rpc/edge/wkt-time.ts';
import type { NewEvent, Published, StoredEvent } from './event.ts';

const outcomes = {
  accepted: PublishOutcome.ACCEPTED,
  duplicate: PublishOutcome.DUPLICATE,
  too_old: PublishOutcome.TOO_OLD,
} as const;

/** What a producer sent; output-only fields are ignored. INVALID_FIELDS without an event or with a bad time. */
export function readEventMessage(message: Event | undefined): NewEvent {
  if (message === undefined) throw invalidField('event', 'must be set');
  const { eventId, kind, profile, subject, device, data } = message;
  const occurredMs = readTimestamp('event.occurred_time', message.occurredTime);
  return { eventId, kind, profile, subject, device, occurredMs, data };
}

/** A stored event for the wire. */
export function toEventMessage(event: StoredEvent): Event {
  const { eventId, kind, profile, subject, device, data, offset } = event;
  return create(EventSchema, {
    eventId,
    kind,
    profile,
    subject,
    device,
    data,
    offset,
    occurredTime: toTimestamp(event.occurredMs),
    acceptTime: toTimestamp(event.acceptedMs),
    traceId: traceIdOf(event.traceparent),
  });
}

/** The answer to one publish. */
export function toPublishAnswer(published: Published) {
  const outcome = outcomes[published.outcome];
  return published.event === undefined ? { outcome } : { outcome, event: toEventMessage(published.event) };
}
