import { createCounters } from '../core/counters.ts';

/** All counts of the area, as `events.<name>`. */
export function createEventCounters() {
  return createCounters('events', {
    accepted: 'Events stored.',
    duplicate: 'Repeats of stored events.',
    too_old: 'Events refused by the age gate.',
    clamped: 'Events whose time lay in the future and was set to now.',
    shed: 'Events refused by overload.',
    rule_runs: 'Rule handlers that succeeded.',
    rule_retries: 'Rule handlers that failed and are tried again.',
    rule_timeouts: 'Rule handlers that ran out of time.',
    dead_letters: 'Events that a rule gave up on.',
    rule_events_lost: 'Events that left the log before a rule saw them.',
    inline_late: 'Publishes answered before their inline rules were done.',
  });
}

/** What the area counts. */
export type EventCounters = ReturnType<typeof createEventCounters>;
