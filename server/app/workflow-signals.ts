import type { Events } from '../events/create-events.ts';
import { eventKinds } from '../events/event-kinds.ts';
import type { Jobs } from '../jobs/jobs.ts';

/** Hands every event to the workflow runs that may wait for it. Runs at least once per event, which changes nothing. */
export function registerWorkflowSignals(events: Pick<Events, 'onEvent'>, jobs: Pick<Jobs, 'onEvent'>): void {
  events.onEvent({
    name: 'workflow-signals',
    kinds: Object.keys(eventKinds),
    handle: async (event) => jobs.onEvent(event),
  });
}
