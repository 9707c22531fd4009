import type { Call } from '../../../server/core/call.ts';
import type { Clock } from '../../../server/core/clock.ts';
import type { Logger } from '../../../server/core/log.ts';
import type { Origins } from '../../../server/core/origins.ts';
import type { Random } from '../../../server/core/random.ts';
import type { ContextKey } from '../contract/context-key.ts';
import type { FilterContext, KeyValue } from '../contract/filter-context.ts';
import type { LoadedFilter } from '../load/loaded-filter.ts';

/**
 * One run of one filter, as the filter sees it. A class with getters, because one is made per run: its abort
 * controller, the dear part, is made only when the filter asks for the signal.
 */
export class Invocation implements FilterContext<unknown, unknown> {
  readonly #filter: LoadedFilter;
  /** The call whose abort ends this run; undefined when the run outlives the call's abort (error filters). */
  readonly #call: Call | undefined;
  readonly nowMs: number;
  #controller: AbortController | undefined;
  #reason: unknown;

  constructor(filter: LoadedFilter, call: Call | undefined, nowMs: number) {
    this.#filter = filter;
    this.#call = call;
    this.nowMs = nowMs;
  }

  get config(): unknown {
    return this.#filter.config;
  }
  get state(): unknown {
    return this.#filter.state;
  }
  get log(): Logger {
    return this.#filter.log;
  }
  get clock(): Clock {
    return this.#filter.clock;
  }
  get random(): Random {
    return this.#filter.random;
  }
  get origins(): Origins {
    return this.#filter.origins;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
      else if (this.#call?.signal.aborted) this.#controller.abort(this.#call.signal.reason);
    }
    return this.#controller.signal;
  }

  read<Key extends ContextKey<unknown>>(call: Call, key: Key): KeyValue<Key> {
    const { id, requires } = this.#filter;
    if (!requires.includes(key)) throw new Error(`${id} does not require the key "${key.name}" that it reads`);
    const value = key.get(call);
    if (value === undefined) throw new Error(`nobody set the key "${key.name}" in this call, which ${id} requires`);
    return value as KeyValue<Key>;
  }

  write<Key extends ContextKey<unknown>>(call: Call, key: Key, value: KeyValue<Key>): void {
    const { id, provides } = this.#filter;
    if (!provides.includes(key)) throw new Error(`${id} does not provide the key "${key.name}" that it writes`);
    key.set(call, value);
  }

  /** Ends the run: its signal aborts with `reason`, now or when it is asked for. */
  abort(reason: unknown): void {
    this.#reason = reason;
    this.#controller?.abort(reason);
  }
}
