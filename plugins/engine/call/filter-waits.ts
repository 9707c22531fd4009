import type { Call } from '../../../server/core/call.ts';
import type { Clock } from '../../../server/core/clock.ts';
import { callAborted, filterTimedOut } from '../filter-errors.ts';
import type { FilterFaults } from '../filter-faults.ts';
import type { LoadedFilter } from '../load/loaded-filter.ts';
import { Status } from './filter-status.ts';
import type { Invocation } from './invocation.ts';

/** What a hook may give in place of its result. */
export interface Thenable {
  then(onValue: (value: unknown) => void, onError: (error: unknown) => void): unknown;
}

type Settle = (status: Status, value: unknown) => void;

/** True of a promise, and of anything else with a `then`. */
export function isThenable(value: unknown): value is Thenable {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}

/** The runs of one call's filters that wait for a promise; made by the first, so that synchronous filters have no cost. */
export class FilterWaits {
  readonly #call: Call;
  readonly #clock: Clock;
  readonly #faults: FilterFaults;
  /** Each entry ends one. */
  readonly #running = new Set<Settle>();
  #onAbort: (() => void) | undefined;

  constructor(call: Call, clock: Clock, faults: FilterFaults) {
    this.#call = call;
    this.#clock = clock;
    this.#faults = faults;
  }

  /** Calls `settle` exactly once: with the result, the time-out or the end of the call, whichever is first. */
  wait(filter: LoadedFilter, ctx: Invocation, result: Thenable, isLinked: boolean, settle: Settle): void {
    let isDone = false;
    const finish: Settle = (status, value) => {
      if (isDone) return;
      isDone = true;
      filter.inFlight--;
      cancelTimer();
      this.#running.delete(finish);
      if (status === Status.timedOut || status === Status.aborted) ctx.abort(value);
      settle(status, value);
    };
    let isSettled = false;
    const arrive: Settle = (status, value) => {
      if (isSettled) return;
      isSettled = true;
      if (isDone) this.#faults.late(filter);
      finish(status, value);
    };
    const cancelTimer = this.#clock.schedule(filter.timeoutMs, () =>
      finish(Status.timedOut, filterTimedOut(filter.id, filter.timeoutMs)),
    );
    this.#running.add(finish);
    try {
      result.then(
        (value) => arrive(Status.ran, value),
        (error) => arrive(Status.threw, error),
      );
    } catch (error) {
      arrive(Status.threw, error);
    }
    if (isLinked) this.#linkAbort();
  }

  /** One listener per call, set by its first asynchronous filter. */
  #linkAbort(): void {
    const { signal } = this.#call;
    if (signal.aborted) this.#abort();
    else if (this.#onAbort === undefined) {
      this.#onAbort = () => this.#abort();
      signal.addEventListener('abort', this.#onAbort, { once: true });
    }
  }

  #abort(): void {
    if (this.#running.size === 0) return;
    const error = callAborted(this.#call.signal.reason);
    for (const finish of [...this.#running]) finish(Status.aborted, error);
  }

  /** Ends what still waits, and lets go of the call. */
  end(): void {
    this.#abort();
    if (this.#onAbort !== undefined) this.#call.signal.removeEventListener('abort', this.#onAbort);
  }
}
