import type { Logger } from '../core/log.ts';
import type { StoredEvent } from './event.ts';

/** What happens when events of some kinds are accepted (a trigger, after Manhattan). */
export interface EventRule {
  /** Unique and stable: the rule's place in the log is kept under it. */
  readonly name: string;
  /** Kinds that it acts on. */
  readonly kinds: readonly string[];
  /** True: `publish` waits for it a short while, so that the producer reads its own write. */
  readonly inline?: boolean;
  /**
   * Runs at least once per event, in the order of the log; must bear repeats. A throw is retried, but not an AppError
   * of a permanent code, e.g. INVALID_ARGUMENT: such an event goes to the dead letters at once.
   */
  handle(event: StoredEvent, context: RuleContext): Promise<void>;
}

/** What a rule gets beside its event. */
export interface RuleContext {
  /** Aborted when the handler's time is up or the area closes. */
  readonly signal: AbortSignal;
  /** 1 for the first try of this event in this process. */
  readonly attempt: number;
  readonly log: Logger;
}

/** An event that a rule gave up on. */
export interface DeadLetter {
  readonly rule: string;
  readonly event: StoredEvent;
  readonly error: string;
  readonly attempts: number;
  /** Unix ms. */
  readonly failedMs: number;
}
