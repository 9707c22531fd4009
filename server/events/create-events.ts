import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import { type Random, systemRandom } from '../core/random.ts';
import type { ServiceRegistration } from '../rpc/handler.ts';
import type { EventLog } from '../stores/events/event-log.ts';
import type { RecordsStore } from '../stores/records/records-store.ts';
import { createDeadLetters, type DeadLetters } from './dead-letters.ts';
import { eventsClosing } from './errors.ts';
import type { NewEvent, Published } from './event.ts';
import { createEventCounters, type EventCounters } from './event-counters.ts';
import { type EventKind, eventKinds } from './event-kinds.ts';
import { createEventReader, type EventReader } from './event-reader.ts';
import { createIntake, type PublishOptions } from './intake.ts';
import type { EventRule } from './rule.ts';
import { createRuleCursor } from './rule-cursor.ts';
import { createRuleRunner, type RuleRunner } from './rule-runner.ts';
import { createEventService } from './service.ts';

/** What the area is built on, and its bounds. */
export interface EventsOptions {
  readonly log: EventLog;
  /** Keeps the places of rules. */
  readonly records: RecordsStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Jitter of retries. Default: the system's. */
  readonly random?: Random;
  /** Kind → what the intake knows of it. Default: `eventKinds`. */
  readonly kinds?: Readonly<Record<string, EventKind>>;
  /** How long events are kept, in ms. Default 7 days. */
  readonly retentionMs?: number;
  /** Newest events kept at most. Default 1,000,000. */
  readonly maxEvents?: number;
  /** Publishes that may wait for the log at once. Default 1,024. */
  readonly maxPendingPublishes?: number;
  /** How long a publish waits for its inline rules, in ms. Default 500. */
  readonly inlineWaitMs?: number;
  /** Limit of one run of a rule, in ms. Default 10,000. */
  readonly handlerTimeoutMs?: number;
  /** Runs of a rule on one event before it goes to the dead letters. Default 5. */
  readonly maxAttempts?: number;
  /** WatchEvents streams at most. Default 1,000. */
  readonly maxWatchers?: number;
}

/** The events area as the composition root has it. */
export interface Events {
  readonly service: ServiceRegistration;
  /** Registers a rule; only before `start`. Throws Error for a name that is taken or a kind that nobody registered. */
  onEvent(rule: EventRule): void;
  /** Lets the rules work on from where they were. */
  start(): Promise<void>;
  /**
   * Stores an event and gives its inline rules a chance to run; for producers in this process. Throws as
   * Intake.publish.
   */
  publish(event: NewEvent, options?: PublishOptions): Promise<Published>;
  readonly reader: EventReader;
  readonly deadLetters: DeadLetters;
  readonly counters: EventCounters;
  /** Refuses new events, ends watchers with EVENTS_CLOSING and then the rules. Close it before the RPC server. */
  close(): Promise<void>;
}

/** Name of the one log of events. */
const logName = 'events';

/** The events area: store first, then rules act. Called by the composition root. */
export function createEvents(options: EventsOptions): Events {
  const { log, records, clock, logger, kinds = eventKinds, random = systemRandom } = options;
  const counters = createEventCounters();
  const deadLetters = createDeadLetters({ log, clock });
  const reader = createEventReader({ log, logName });
  const runners = new Map<EventRule, RuleRunner>();
  const closing = new AbortController();
  let isStarted = false;

  const intake = createIntake({ ...options, kinds, counters, logName, inlineRulesOf });

  function inlineRulesOf(kind: string): RuleRunner[] {
    if (!isStarted) return [];
    return [...runners].filter(([rule]) => rule.inline && rule.kinds.includes(kind)).map(([, runner]) => runner);
  }

  function onEvent(rule: EventRule): void {
    if (isStarted) throw new Error(`rule ${rule.name} must be registered before the start`);
    if ([...runners.keys()].some(({ name }) => name === rule.name)) throw new Error(`rule ${rule.name} exists already`);
    const unknown = rule.kinds.find((kind) => !Object.hasOwn(kinds, kind));
    if (unknown !== undefined) throw new Error(`rule ${rule.name} wants the unknown kind ${unknown}`);
    const { handlerTimeoutMs = 10_000, maxAttempts = 5 } = options;
    const runner = createRuleRunner({
      rule,
      logName,
      log,
      cursor: createRuleCursor({ rule: rule.name, logName, log, records }),
      deadLetters,
      clock,
      random: random.next,
      logger,
      counters,
      handlerTimeoutMs,
      maxAttempts,
    });
    runners.set(rule, runner);
  }

  return {
    service: createEventService({
      intake,
      reader,
      kinds,
      maxWatchers: options.maxWatchers ?? 1_000,
      closing: closing.signal,
    }),
    onEvent,
    start: async () => {
      await Promise.all([...runners.values()].map((runner) => runner.start()));
      isStarted = true;
    },
    publish: intake.publish,
    reader,
    deadLetters,
    counters,
    close: async () => {
      closing.abort(eventsClosing());
      await intake.close();
      await Promise.all([...runners.values()].map((runner) => runner.close()));
    },
  };
}
