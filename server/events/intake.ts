import { jsonDigest } from '../core/canonical-json.ts';
import type { Clock } from '../core/clock.ts';
import { newId } from '../core/ids.ts';
import { activeTraceparent } from '../core/telemetry/trace-parent.ts';
import type { EventLog } from '../stores/events/event-log.ts';
import { type CheckedEvent, checkEvent, eventLimits } from './check-event.ts';
import { eventIdReused, eventsClosing, eventsShed } from './errors.ts';
import type { NewEvent, Published, StoredEvent } from './event.ts';
import type { EventCounters } from './event-counters.ts';
import type { EventKind } from './event-kinds.ts';
import { encodeEventRecord, parseEventEntry } from './event-record.ts';
import type { RuleRunner } from './rule-runner.ts';

/** How long the producer waits. */
export interface PublishOptions {
  /** Ends the wait for inline rules; the event stays stored. */
  readonly signal?: AbortSignal;
  /** Unix ms by which the caller wants its answer; inline rules are not waited for beyond it. */
  readonly deadline?: number;
}

/** What the intake works with; defaults stand with EventsOptions. */
export interface IntakeDeps {
  readonly log: EventLog;
  readonly logName: string;
  readonly clock: Clock;
  readonly kinds: Readonly<Record<string, EventKind>>;
  readonly counters: EventCounters;
  /** Rules that a publish of this kind waits for. */
  readonly inlineRulesOf: (kind: string) => readonly RuleRunner[];
  readonly retentionMs?: number;
  readonly maxEvents?: number;
  readonly maxPendingPublishes?: number;
  readonly inlineWaitMs?: number;
}

/** Takes events in: checks, age gate, idempotency, append, then the inline rules. */
export interface Intake {
  /**
   * INVALID_FIELDS, EVENT_KIND_UNKNOWN, EVENT_ID_REUSED, EVENTS_SHED, EVENTS_CLOSING; and what the log throws.
   * Once it resolves as accepted, the event is durable and every rule of its kind will see it.
   */
  publish(event: NewEvent, options?: PublishOptions): Promise<Published>;
  /** Refuses new events and waits for those in progress. */
  close(): Promise<void>;
}

/** What is left of the caller's deadline for the answer to travel, in ms. */
const answerMs = 20;

/** Past `maxPendingPublishes` events are refused, and counted. */
export function createIntake(deps: IntakeDeps): Intake {
  const { log, logName, clock, kinds, counters } = deps;
  const { retentionMs = 7 * 86_400_000, maxEvents = 1_000_000, maxPendingPublishes = 1_024 } = deps;
  const pending = new Set<Promise<Published>>();
  let isClosing = false;

  function publish(event: NewEvent, options: PublishOptions = {}): Promise<Published> {
    if (isClosing) return Promise.reject(eventsClosing());
    if (pending.size >= maxPendingPublishes) {
      counters.add('shed');
      return Promise.reject(eventsShed(maxPendingPublishes));
    }
    const publishing = take(event, options);
    pending.add(publishing);
    return publishing.finally(() => pending.delete(publishing));
  }

  async function take(given: NewEvent, options: PublishOptions): Promise<Published> {
    const event = checkEvent(given, kinds);
    const now = clock.now();
    const occurredMs = clamp(event.occurredMs ?? now, now);
    if (now - occurredMs > (kinds[event.kind]?.maxAgeMs ?? 0)) {
      counters.add('too_old', { kind: event.kind });
      return { outcome: 'too_old' };
    }
    const published = await store(event, occurredMs, now);
    counters.add(published.outcome, { kind: event.kind });
    if (published.event !== undefined) await waitForInlineRules(published.event, options);
    return published;
  }

  function clamp(occurredMs: number, now: number): number {
    if (occurredMs <= now + eventLimits.maxFutureMs) return occurredMs;
    counters.add('clamped');
    return now;
  }

  async function store(event: CheckedEvent, occurredMs: number, acceptedMs: number): Promise<Published> {
    const { eventId: givenId, ...body } = event;
    const eventId = givenId || newId(acceptedMs);
    const digest = jsonDigest(body);
    const record = { ...event, eventId, occurredMs, acceptedMs, traceparent: activeTraceparent() };
    const { offset, duplicate } = await log.append(logName, encodeEventRecord({ event: record, digest }), {
      id: eventId,
      ttlMs: retentionMs,
      maxEntries: maxEvents,
    });
    if (!duplicate) return { outcome: 'accepted', event: { ...record, offset } };
    const [entry] = await log.read(logName, offset - 1n, 1);
    // The entry may have left a short log before its id was forgotten: then there is nothing to compare with.
    if (entry?.offset !== offset) return { outcome: 'duplicate', event: { ...record, offset } };
    const stored = parseEventEntry(entry);
    if (stored.digest !== digest) throw eventIdReused(eventId, offset);
    return { outcome: 'duplicate', event: stored.event };
  }

  async function waitForInlineRules(event: StoredEvent, { signal, deadline }: PublishOptions): Promise<void> {
    const runners = deps.inlineRulesOf(event.kind);
    if (runners.length === 0) return;
    const untilDeadlineMs = (deadline ?? Number.POSITIVE_INFINITY) - clock.now() - answerMs;
    const waitMs = Math.max(0, Math.min(deps.inlineWaitMs ?? 500, untilDeadlineMs));
    const limit = new AbortController();
    const cancel = clock.schedule(waitMs, () => limit.abort());
    const stop = signal === undefined ? limit.signal : AbortSignal.any([limit.signal, signal]);
    const reached = await Promise.all(runners.map((runner) => runner.reached(event.offset, stop)));
    cancel();
    if (reached.includes(false)) counters.add('inline_late', { kind: event.kind });
  }

  return {
    publish,
    close: async () => {
      isClosing = true;
      await Promise.allSettled(pending);
    },
  };
}
