import type { Call } from '../../../server/core/call.ts';
import type { Clock } from '../../../server/core/clock.ts';
import { droppedMessage } from '../../../server/core/dropped-message.ts';
import { AppError } from '../../../server/core/errors.ts';
import type { FilteredOutcome } from '../filter.ts';
import { callAborted, filterFailed, filterOverloaded, withCode } from '../filter-errors.ts';
import type { FilterFaults } from '../filter-faults.ts';
import type { LoadedFilter } from '../load/loaded-filter.ts';
import type { Slot } from '../set/snapshot.ts';
import { failureOf, ShadowRuns, verdictOf } from '../versions/shadow-run.ts';
import { addWait, type CallRecord } from './call-record.ts';
import { firstSkip, Status } from './filter-status.ts';
import { FilterWaits, isThenable, type Thenable } from './filter-waits.ts';
import { Invocation } from './invocation.ts';
import { badResult, errorPhase, inboundPhase, type Phase } from './phase.ts';

/** A filter that holds the thread longer than this in one run holds up every other call: it is reported. */
const loopBlockMs = 50;

/**
 * Runs the filters of one call. A passage (`advance`) is a plain loop; the first filter that returns a promise turns
 * it into one promise that goes on with the rest, so that a chain of synchronous filters makes none.
 */
export class ChainRun {
  readonly call: Call;
  readonly record: CallRecord;
  readonly #clock: Clock;
  readonly #faults: FilterFaults;
  #waits: FilterWaits | undefined;
  #shadows: ShadowRuns | undefined;
  #hasEnded = false;

  constructor(call: Call, record: CallRecord, clock: Clock, faults: FilterFaults) {
    this.call = call;
    this.record = record;
    this.#clock = clock;
    this.#faults = faults;
  }

  /**
   * Passes the slots from `from` on and gives the carried value, as a promise only when a filter made one.
   * Throws (or rejects with) the AppError that refuses the call, unless the phase never fails.
   */
  advance(phase: Phase, slots: readonly Slot[], from: number, carried: unknown): unknown {
    if (this.#hasEnded) {
      if (phase.neverFails) return carried;
      throw callAborted(this.call.signal.reason);
    }
    let value = carried;
    let since = -1;
    for (let at = from; at < slots.length; at++) {
      const slot = slots[at] as Slot;
      const { filter } = slot;
      if (!this.takesPart(slot, phase.neverFails)) {
        // The time of its shouldRun must not be charged to the next filter that runs.
        if (filter.shouldRun !== undefined) since = -1;
        continue;
      }
      if (phase.hasHook?.(filter) === false) continue;
      if (since < 0) since = this.#clock.monotonic();
      if (filter.inFlight >= filter.maxConcurrent) {
        value = this.#fail(phase, slot, Status.overloaded, filterOverloaded(filter.id, filter.maxConcurrent)) ?? value;
        if (phase.isEndedByValue && value !== undefined) break;
        continue;
      }
      if (slot.shadow !== undefined) {
        this.#shadows ??= new ShadowRuns(this.call, this.#clock, this.#faults);
        this.#shadows.begin(phase, slot, slot.shadow, value);
        since = this.#clock.monotonic();
      }
      const ctx = new Invocation(filter, phase.neverFails ? undefined : this.call, since);
      filter.inFlight++;
      let result: unknown;
      try {
        result = phase.invoke(filter, value, this.call, ctx);
        if (isThenable(result)) return this.#resume(phase, slots, at, value, ctx, result, since);
      } catch (error) {
        filter.inFlight--;
        since = this.#chargeSync(slot, since);
        value = this.#fail(phase, slot, Status.threw, error) ?? value;
        if (phase.isEndedByValue && value !== undefined) break;
        continue;
      }
      filter.inFlight--;
      since = this.#chargeSync(slot, since);
      value = this.#take(phase, slot, value, result);
      if ((phase.isEndedByValue && value !== undefined) || value === droppedMessage) break;
    }
    return value;
  }

  /** Decides once per call whether the filter applies; true when it takes part. Throws when deciding fails closed. */
  takesPart(slot: Slot, neverFails: boolean): boolean {
    const { filter, index } = slot;
    const before = this.record.status[index];
    if (before !== Status.pending) {
      return before === Status.applies || before === Status.ran || before === Status.answered;
    }
    let status: Status = Status.applies;
    try {
      if (slot.criterion !== undefined) status = slot.criterion(this.call);
      if (status === Status.applies && filter.quarantine?.blocks()) status = Status.skippedQuarantine;
      if (status === Status.applies && filter.shouldRun !== undefined && !filter.shouldRun(this.call)) {
        status = Status.skippedShouldRun;
        filter.quarantine?.passedOver();
      }
    } catch (error) {
      this.#fail(neverFails ? errorPhase : undefined, slot, Status.threw, error);
      return false;
    }
    this.record.status[index] = status;
    if (status === Status.applies) return true;
    filter.counts.skipped++;
    return false;
  }

  /** True when the filter was left out of this call, so that none of its hooks will run. */
  isRuledOut({ index }: Slot): boolean {
    return (this.record.status[index] ?? Status.pending) >= firstSkip;
  }

  /** Ends the run: what still waits is aborted. */
  endRun(): void {
    this.#hasEnded = true;
    this.#waits?.end();
  }

  /** Ends the runs of filters on trial beside the active ones. */
  endShadows(outcome: FilteredOutcome): void {
    this.#shadows?.end(outcome);
  }

  /** True when a filter ran beside the active one. */
  get hasShadows(): boolean {
    return this.#shadows !== undefined;
  }

  /** Charges a run that held the thread all the time, and reports one that held it for long. */
  #chargeSync(slot: Slot, since: number): number {
    const now = this.#charge(slot, since);
    if (now - since > loopBlockMs) this.#faults.blocked(slot.filter, this.call, now - since);
    return now;
  }

  /** Adds the time since `since` to the filter's account; gives the time now. */
  #charge(slot: Slot, since: number): number {
    const now = this.#clock.monotonic();
    const { ns } = this.record;
    ns[slot.index] = (ns[slot.index] ?? 0) + (now - since) * 1e6;
    return now;
  }

  #take(phase: Phase, slot: Slot, carried: unknown, result: unknown): unknown {
    let next: unknown;
    try {
      next = phase.take(result, carried, this.call);
    } catch (error) {
      return this.#fail(phase, slot, Status.badResult, error) ?? carried;
    }
    const { status } = this.record;
    if (slot.shadow !== undefined && next !== badResult) {
      this.#shadows?.activeDid(slot, slot.shadow.trial, verdictOf(phase, carried, next));
    }
    if (next === badResult) {
      const error = new TypeError(`a ${slot.filter.type} filter must not return ${typeof result} like this`);
      return this.#fail(phase, slot, Status.badResult, error) ?? carried;
    }
    if (phase.isEndedByValue && next !== undefined) {
      status[slot.index] = Status.answered;
      slot.filter.counts.answered++;
    } else if (status[slot.index] === Status.applies) {
      status[slot.index] = Status.ran;
      slot.filter.counts.ran++;
    }
    if (slot.filter.quarantine !== undefined) slot.filter.quarantine.succeeded();
    return next;
  }

  /**
   * Books a failure or a verdict. Returns when the call goes on (with what replaces the carried value, if anything
   * does); throws the AppError that ends it.
   */
  #fail(phase: Phase | undefined, slot: Slot, cause: Status, error: unknown): unknown {
    const { filter, index } = slot;
    const isVerdict = cause === Status.threw && error instanceof AppError;
    const status = isVerdict ? Status.refused : cause;
    this.record.status[index] = status;
    if (slot.shadow !== undefined && cause !== Status.aborted) {
      this.#shadows?.activeDid(slot, slot.shadow.trial, cause === Status.timedOut ? 'timed out' : failureOf(error));
    }
    if (cause === Status.aborted) {
      if (phase?.neverFails) return undefined;
      throw error;
    }
    const mayFallBack = filter.failurePolicy === 'fallback' && phase !== undefined;
    const goesOn = filter.failurePolicy === 'open' || mayFallBack;
    const isRefusal = !phase?.neverFails && (isVerdict || !goesOn);
    if (isVerdict) {
      filter.counts.refused++;
      filter.quarantine?.succeeded();
    } else this.#faults.failed(filter, status, this.call, error, isRefusal && !(error instanceof AppError));
    if (isRefusal) throw isVerdict ? error : this.#refusal(filter, error);
    if (isVerdict) return error;
    return mayFallBack && phase === inboundPhase ? this.#fallBack(phase, filter, error) : undefined;
  }

  /** The error of a call that ends because the filter failed. */
  #refusal(filter: LoadedFilter, error: unknown): AppError {
    const refusal = error instanceof AppError ? error : filterFailed(filter.id, error);
    return filter.failureCode === undefined ? refusal : withCode(refusal, filter.failureCode);
  }

  /** What the filter gives in place of the run that failed. */
  #fallBack(phase: Phase, filter: LoadedFilter, error: unknown): unknown {
    let next: unknown;
    try {
      const given = filter.onFailure?.(this.call, error, new Invocation(filter, this.call, this.#clock.monotonic()));
      next = phase.take(given, undefined, this.call);
    } catch (thrown) {
      throw thrown instanceof AppError ? thrown : this.#refusal(filter, thrown);
    }
    if (next === badResult) throw this.#refusal(filter, new TypeError('onFailure gave no answer of this kind of call'));
    return next;
  }

  /** Waits for one filter, then passes the rest. */
  #resume(
    phase: Phase,
    slots: readonly Slot[],
    at: number,
    carried: unknown,
    ctx: Invocation,
    result: Thenable,
    since: number,
  ): Promise<unknown> {
    const slot = slots[at] as Slot;
    const waitsFrom = this.#clock.monotonic();
    const heldMs = waitsFrom - since;
    if (heldMs > loopBlockMs) this.#faults.blocked(slot.filter, this.call, heldMs);
    this.#waits ??= new FilterWaits(this.call, this.#clock, this.#faults);
    const waits = this.#waits;
    return new Promise((resolve, reject) => {
      waits.wait(slot.filter, ctx, result, !phase.neverFails, (status, value) => {
        try {
          addWait(this.record, slot.index, (this.#charge(slot, since) - waitsFrom) * 1e6);
          const next =
            status === Status.ran
              ? this.#take(phase, slot, carried, value)
              : (this.#fail(phase, slot, status, value) ?? carried);
          const isOver = (phase.isEndedByValue && next !== undefined) || next === droppedMessage;
          resolve(isOver ? next : this.advance(phase, slots, at + 1, next));
        } catch (error) {
          reject(error);
        }
      });
    });
  }
}
