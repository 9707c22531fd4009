import { messageOf } from '../core/errors.ts';
import { nextTurn } from '../core/next-turn.ts';
import type { EventLog } from '../stores/events/event-log.ts';
import type { DeadLetters } from './dead-letters.ts';
import type { StoredEvent } from './event.ts';
import { parseEventEntry } from './event-record.ts';
import { createOffsetGate } from './offset-gate.ts';
import { type RuleAttemptsDeps, runRule } from './rule-attempts.ts';
import type { RuleCursor } from './rule-cursor.ts';

interface RuleRunnerDeps extends Omit<RuleAttemptsDeps, 'closing'> {
  readonly logName: string;
  readonly log: EventLog;
  readonly cursor: RuleCursor;
  readonly deadLetters: DeadLetters;
}

/** Takes one rule through the log: every event of its kinds, in order, at least once. */
export interface RuleRunner {
  /** Finds the rule's place, then works in the background until closed. */
  start(): Promise<void>;
  /** True once the rule is past this offset; false when the signal aborts first. */
  reached(offset: bigint, signal: AbortSignal): Promise<boolean>;
  /** Ends the work; an event in progress is done again at the next start. */
  close(): Promise<void>;
}

const batchEntries = 100;
const storeRetryMs = 1_000;

/** Does nothing before `start`. */
export function createRuleRunner(deps: RuleRunnerDeps): RuleRunner {
  const { rule, log, logName, cursor, clock, counters } = deps;
  const logger = deps.logger.child({ rule: rule.name });
  const kinds = new Set(rule.kinds);
  const closing = new AbortController();
  const gate = createOffsetGate();
  let place = 0n;
  let saved = 0n;
  let working = Promise.resolve();

  async function handle(event: StoredEvent): Promise<void> {
    const failure = await runRule({ ...deps, logger, closing: closing.signal }, event);
    if (failure === undefined) return;
    await deps.deadLetters.add({ rule: rule.name, event, ...failure });
    counters.add('dead_letters', { rule: rule.name });
    logger.error('rule gave up on an event', { event_id: event.eventId, kind: event.kind, ...failure });
  }

  async function save(): Promise<void> {
    if (place === saved) return;
    const reached = place;
    await cursor.save(reached);
    saved = reached;
  }

  /** Goes on before `next`, and tells what was there no longer. */
  function skipTo(next: bigint): void {
    const lost = Number(next - place - 1n);
    if (lost === 0) return;
    counters.add('rule_events_lost', { rule: rule.name }, lost);
    logger.warn('events left the log before the rule saw them', { lost, next_offset: next });
    place = next - 1n;
    gate.pass(place);
  }

  /** Nothing to read is not always the end of the log: all that the rule has not seen may have left it. */
  async function waitForNext(): Promise<void> {
    const { oldest } = await log.position(logName);
    if (oldest <= place + 1n) return log.waitForAppend(logName, place, closing.signal);
    skipTo(oldest);
    await save();
  }

  async function workThroughBatch(): Promise<void> {
    const entries = await log.read(logName, place, batchEntries);
    const first = entries[0];
    if (first === undefined) return waitForNext();
    skipTo(first.offset);
    for (const entry of entries) {
      const { event } = parseEventEntry(entry);
      if (kinds.has(event.kind)) await handle(event);
      if (closing.signal.aborted) return;
      place = entry.offset;
      gate.pass(place);
    }
    await save();
    await nextTurn();
  }

  async function work(): Promise<void> {
    while (!closing.signal.aborted) {
      try {
        await workThroughBatch();
      } catch (error) {
        if (closing.signal.aborted) break;
        logger.warn('rule cannot read or store its progress; trying again', { error: messageOf(error) });
        await clock.sleep(storeRetryMs, closing.signal).catch(() => {});
      }
    }
    // Not saved = done again at the next start, which rules must bear.
    await save().catch((error: unknown) => logger.warn('place of rule not saved', { error: messageOf(error) }));
  }

  return {
    start: async () => {
      place = await cursor.load();
      saved = place;
      gate.pass(place);
      working = work();
    },
    reached: (offset, signal) => gate.reached(offset, signal),
    close: async () => {
      closing.abort(new Error('the events area is closing'));
      await working;
    },
  };
}
