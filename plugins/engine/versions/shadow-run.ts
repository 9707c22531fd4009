import type { Call } from '../../../server/core/call.ts';
import type { Clock } from '../../../server/core/clock.ts';
import { AppError } from '../../../server/core/errors.ts';
import { CallView, copyMessage } from '../call/call-view.ts';
import { Status } from '../call/filter-status.ts';
import { Invocation } from '../call/invocation.ts';
import { badResult, type Phase } from '../call/phase.ts';
import type { FilteredOutcome } from '../filter.ts';
import type { FilterFaults } from '../filter-faults.ts';
import type { LoadedFilter } from '../load/loaded-filter.ts';
import type { Slot } from '../set/snapshot.ts';
import type { Trial } from './trial.ts';

/** A version that runs beside the active one of its slot. */
export interface ShadowSlot {
  readonly filter: LoadedFilter;
  readonly trial: Trial;
}

/** What a passage made of a hook's result, in a word. */
export function verdictOf(phase: Phase, carried: unknown, next: unknown): string {
  if (next === badResult) return 'failed';
  if (phase.isEndedByValue) return next === undefined ? 'passed' : 'answered';
  if (next === undefined || next === carried) return 'passed';
  return next instanceof AppError ? `replaced ${next.reason}` : 'replaced';
}

/** What a hook that threw comes to, in a word. */
export function failureOf(error: unknown): string {
  return error instanceof AppError ? `refused ${error.reason}` : 'failed';
}

/** One shadow filter in one call. */
interface ShadowState {
  readonly filter: LoadedFilter;
  readonly view: CallView;
  readonly isIn: boolean;
}

/** What both sides did in one passage; compared when both are there. */
interface Pair {
  candidate: string | undefined;
  candidateNs: number;
  active: string | undefined;
  activeNs: number;
  activeSince: number;
}

/** The shadow filters of one call. Nothing here ever throws into the call or is waited for. */
export class ShadowRuns {
  readonly #call: Call;
  readonly #clock: Clock;
  readonly #faults: FilterFaults;
  readonly #states = new Map<LoadedFilter, ShadowState>();
  readonly #pairs = new Map<number, Pair>();

  constructor(call: Call, clock: Clock, faults: FilterFaults) {
    this.#call = call;
    this.#clock = clock;
    this.#faults = faults;
  }

  /** Runs the shadow of a slot whose active filter runs next. */
  begin(phase: Phase, slot: Slot, shadow: ShadowSlot, carried: unknown): void {
    const state = this.#states.get(shadow.filter) ?? this.#enter(shadow);
    if (!state.isIn || state.filter.inFlight >= state.filter.maxConcurrent) return;
    const pair: Pair = { candidate: undefined, candidateNs: 0, active: undefined, activeNs: 0, activeSince: 0 };
    this.#pairs.set(slot.index, pair);
    this.#run(phase, state, copyMessage(carried), (verdict, ns) => {
      pair.candidate = verdict;
      pair.candidateNs = ns;
      this.#compare(slot, shadow.trial, pair);
    });
    pair.activeSince = this.#clock.monotonic();
  }

  /** Books what the active filter of the slot did. */
  activeDid(slot: Slot, trial: Trial, verdict: string): void {
    const pair = this.#pairs.get(slot.index);
    if (pair === undefined) return;
    this.#pairs.delete(slot.index);
    pair.active = verdict;
    pair.activeNs = (this.#clock.monotonic() - pair.activeSince) * 1e6;
    this.#compare(slot, trial, pair);
  }

  /** Runs the end hooks, so that shadows give back what they took. */
  end(outcome: FilteredOutcome): void {
    for (const { filter, view, isIn } of this.#states.values()) {
      if (!isIn || filter.onEnd === undefined) continue;
      try {
        const result = filter.onEnd(view, outcome, new Invocation(filter, undefined, this.#clock.monotonic()));
        if (result instanceof Promise) result.catch((error: unknown) => this.#failed(filter, Status.threw, error));
      } catch (error) {
        this.#failed(filter, Status.threw, error);
      }
    }
  }

  #enter({ filter, trial }: ShadowSlot): ShadowState {
    const view = new CallView(this.#call);
    let isIn = false;
    try {
      isIn =
        trial.takes(this.#call) &&
        filter.methodStatus(view) === Status.applies &&
        (filter.criterion?.(view) ?? Status.applies) === Status.applies &&
        (filter.shouldRun?.(view) ?? true);
    } catch (error) {
      this.#failed(filter, Status.threw, error);
    }
    const state = { filter, view, isIn };
    this.#states.set(filter, state);
    return state;
  }

  #failed(filter: LoadedFilter, status: Status, error: unknown): void {
    this.#faults.failed(filter, status, this.#call, error, false);
  }

  #compare(slot: Slot, trial: Trial, { candidate, candidateNs, active, activeNs }: Pair): void {
    if (candidate === undefined || active === undefined) return;
    trial.compared({ id: slot.filter.id, candidate, candidateNs, active, activeNs });
  }

  #run(phase: Phase, state: ShadowState, carried: unknown, done: (verdict: string, ns: number) => void): void {
    const { filter, view } = state;
    if (phase.hasHook?.(filter) === false) {
      done('passed', 0);
      return;
    }
    const since = this.#clock.monotonic();
    const ctx = new Invocation(filter, undefined, since);
    let isDone = false;
    filter.inFlight++;
    const finish = (verdict: string, count: 'ran' | 'refused' | undefined) => {
      if (isDone) return;
      isDone = true;
      filter.inFlight--;
      cancel();
      const ns = (this.#clock.monotonic() - since) * 1e6;
      if (count !== undefined) filter.counts[count]++;
      filter.times.add(ns);
      done(verdict, ns);
    };
    const settle = (result: unknown) => {
      const next = phase.take(result, carried, view);
      if (next === badResult) this.#failed(filter, Status.badResult, new TypeError('a result of the wrong shape'));
      finish(verdictOf(phase, carried, next), next === badResult ? undefined : 'ran');
    };
    const fail = (error: unknown) => {
      const isVerdict = error instanceof AppError;
      if (!isVerdict && !isDone) this.#failed(filter, Status.threw, error);
      finish(failureOf(error), isVerdict ? 'refused' : undefined);
    };
    let cancel = () => {};
    try {
      const result = phase.invoke(filter, carried, view, ctx);
      if (!(result instanceof Promise)) {
        settle(result);
        return;
      }
      cancel = this.#clock.schedule(filter.timeoutMs, () => {
        const error = new Error(`no result within ${filter.timeoutMs} ms`);
        ctx.abort(error);
        this.#failed(filter, Status.timedOut, error);
        finish('timed out', undefined);
      });
      // A result that throws when it is looked at must not come back as a rejection that nobody hears.
      result.then(settle).catch(fail);
    } catch (error) {
      fail(error);
    }
  }
}
