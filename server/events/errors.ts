import { Code } from '../core/codes.ts';
import { AppError } from '../core/errors.ts';

/** INVALID_ARGUMENT: nobody registered this kind. */
export const eventKindUnknown = (kind: string, known: Iterable<string>) =>
  new AppError({
    code: Code.INVALID_ARGUMENT,
    reason: 'EVENT_KIND_UNKNOWN',
    message: `"${kind}" is no kind of event; known are ${[...known].join(', ')}`,
    metadata: { kind },
    fields: [{ field: 'event.kind', description: 'must be a registered kind' }],
  });

/** FAILED_PRECONDITION: the id was used for an event with other content within 24 h. */
export const eventIdReused = (eventId: string, offset: bigint) =>
  new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'EVENT_ID_REUSED',
    message: `event id "${eventId}" was used for another event at offset ${offset}; give each event an id of its own`,
    metadata: { event_id: eventId, offset: String(offset) },
  });

/** RESOURCE_EXHAUSTED: as many publishes as allowed wait for the log. */
export const eventsShed = (most: number) =>
  new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'EVENTS_SHED',
    message: `the intake is overloaded: ${most} events wait to be stored`,
    metadata: { bound: String(most) },
    retryAfterMs: 500,
  });

/** OUT_OF_RANGE: events between the reader's place and the oldest one kept are gone. */
export const offsetExpired = (after: bigint, oldest: bigint) =>
  new AppError({
    code: Code.OUT_OF_RANGE,
    reason: 'OFFSET_EXPIRED',
    message: `events after offset ${after} are no longer kept; the oldest kept is ${oldest}`,
    metadata: { after_offset: String(after), oldest_offset: String(oldest) },
  });

/** UNAVAILABLE: the events area is closing. */
export const eventsClosing = () =>
  new AppError({
    code: Code.UNAVAILABLE,
    reason: 'EVENTS_CLOSING',
    message: 'the intake of events is closing',
    retryAfterMs: 1_000,
  });
