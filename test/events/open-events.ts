import { silentLogger } from '../../server/core/log.ts';
import { createSeededRandom } from '../../server/core/random.ts';
import { createEvents, type Events, type EventsOptions } from '../../server/events/create-events.ts';
import type { StoredEvent } from '../../server/events/event.ts';
import type { EventRule } from '../../server/events/rule.ts';
import { createEmbeddedStores, type EmbeddedStores } from '../support/embedded-stores.ts';
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts';

export interface OpenEvents extends AsyncDisposable {
  readonly events: Events;
  readonly stores: EmbeddedStores;
  readonly clock: FakeClock;
}

/** The events area on embedded stores with a clock that is moved by hand; rules are registered, not started. */
export async function openEvents(options: Partial<EventsOptions> = {}, rules: EventRule[] = []): Promise<OpenEvents> {
  const clock = createFakeClock();
  const stores = await createEmbeddedStores(clock);
  const events = createEvents({ ...eventDeps(stores), ...options });
  for (const rule of rules) events.onEvent(rule);
  return {
    events,
    stores,
    clock,
    [Symbol.asyncDispose]: async () => {
      await events.close();
      await stores[Symbol.asyncDispose]();
    },
  };
}

/** What an events area on these stores needs. */
export function eventDeps({ log, records, clock }: EmbeddedStores): EventsOptions {
  return { log, records, clock, logger: silentLogger, random: createSeededRandom(1) };
}

/** A rule that remembers what it saw. */
export function recordingRule(
  name: string,
  kinds: string[],
  handle: (event: StoredEvent) => Promise<void> = async () => {},
): EventRule & { readonly seen: string[] } {
  const seen: string[] = [];
  return {
    name,
    kinds,
    seen,
    handle: async (event) => {
      seen.push(event.eventId);
      await handle(event);
    },
  };
}
