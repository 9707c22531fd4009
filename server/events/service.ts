import { EventService } from '../../proto/gen/showrunner/events/v1/event_service_pb.ts';
import { type FieldViolation, invalidFields } from '../core/errors.ts';
import { readPageSize } from '../rpc/edge/page-size.ts';
import { clientId, findResourceIds } from '../rpc/edge/resource-name.ts';
import { createStreamSlots } from '../rpc/edge/stream-slots.ts';
import { type CallContext, type ServiceRegistration, serviceOf } from '../rpc/handler.ts';
import type { EventKind } from './event-kinds.ts';
import { readEventMessage, toEventMessage, toPublishAnswer } from './event-message.ts';
import type { EventFilter, EventReader } from './event-reader.ts';
import type { Intake, PublishOptions } from './intake.ts';

/** What the service hands calls on to. */
export interface EventServiceDeps {
  readonly intake: Intake;
  readonly reader: EventReader;
  readonly kinds: Readonly<Record<string, EventKind>>;
  /** WatchEvents streams at most. */
  readonly maxWatchers: number;
  /** Aborted when the area closes: ends the watchers. */
  readonly closing: AbortSignal;
}

/** The RPC edge of the events area. */
export function createEventService(deps: EventServiceDeps): ServiceRegistration {
  const { intake, reader } = deps;
  const watchers = createStreamSlots(deps.maxWatchers);

  const toFilter = (request: EventFilter): EventFilter => {
    const faults: FieldViolation[] = [];
    for (const [index, kind] of request.kinds.entries()) {
      if (!Object.hasOwn(deps.kinds, kind)) {
        faults.push({ field: `kinds[${index}]`, description: 'must be a registered kind' });
      }
    }
    if (request.profile !== '' && findResourceIds(request.profile, ['profiles'], clientId) === undefined) {
      faults.push({ field: 'profile', description: 'must have the form profiles/{profile}' });
    }
    if (faults.length > 0) throw invalidFields(faults);
    return { kinds: request.kinds, profile: request.profile };
  };

  return serviceOf(EventService, {
    publishEvent: async (request, context) =>
      toPublishAnswer(await intake.publish(readEventMessage(request.event), publishOptions(context))),

    async *publishEvents(requests, context) {
      for await (const request of requests) {
        yield toPublishAnswer(await intake.publish(readEventMessage(request.event), publishOptions(context)));
      }
    },

    listEvents: async (request) => {
      const limit = readPageSize(request.pageSize, { fallback: 100, most: 1_000 });
      const page = await reader.list(request.afterOffset, limit, toFilter(request));
      return { events: page.events.map(toEventMessage), nextOffset: page.nextOffset, end: page.end };
    },

    async *watchEvents(request, context) {
      const filter = toFilter(request);
      using _ = watchers.take();
      const signal = AbortSignal.any([context.signal, deps.closing]);
      for await (const event of reader.watch(request.afterOffset, filter, signal)) {
        yield { event: toEventMessage(event) };
      }
    },
  });
}

function publishOptions({ signal, deadline }: CallContext): PublishOptions {
  return { signal, deadline };
}
