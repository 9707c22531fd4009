import type { Call } from '../../../server/core/call.ts';
import type { Clock } from '../../../server/core/clock.ts';
import type { Logger } from '../../../server/core/log.ts';
import type { Origins } from '../../../server/core/origins.ts';
import type { Random } from '../../../server/core/random.ts';
import type { SharedRates } from '../../../server/core/shared-rates.ts';
import type { ContextKey } from './context-key.ts';

/** The keys that a filter declares; none when it declares none. */
export type Declared<Key extends ContextKey<unknown>> = ContextKey<unknown> extends Key ? never : Key;

/** What a key holds. */
export type KeyValue<Key> = Key extends ContextKey<infer Value> ? Value : never;

/** What `open` gets. */
export interface OpenContext {
  readonly id: string;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
  /** Calls of other servers; without that capability of the engine every call fails with ORIGINS_MISSING. */
  readonly origins: Origins;
  /** Rates that all servers share; undefined where the engine was lent none. */
  readonly sharedRates: SharedRates | undefined;
  /** Aborted when opening takes too long. */
  readonly signal: AbortSignal;
}

/** What each run of a filter gets; made for one run, not to be kept. */
export interface FilterContext<
  Config,
  State,
  Provided extends ContextKey<unknown> = ContextKey<unknown>,
  Required extends ContextKey<unknown> = ContextKey<unknown>,
> {
  readonly config: Config;
  /** What `open` returned. */
  readonly state: State;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
  /** Calls of other servers; without that capability of the engine every call fails with ORIGINS_MISSING. */
  readonly origins: Origins;
  /** Monotonic ms at which this run began: a reading that is there already, where the clock is not to be asked again. */
  readonly nowMs: number;
  /** Aborted when the call ends early or the filter's time is up. */
  readonly signal: AbortSignal;
  /**
   * The value of a key that the filter `requires`. Throws, which is a failure of the filter, when its provider set none
   * in this call, e.g. because its criteria ruled it out.
   */
  read<Key extends Declared<Required>>(call: Call, key: Key): KeyValue<Key>;
  /** Sets a key that the filter `provides`. */
  write<Key extends Declared<Provided>>(call: Call, key: Key, value: KeyValue<Key>): void;
}

/** What `shouldRun` gets: shared by all calls, so that a skipped filter allocates nothing. */
export type CriteriaContext<Config, State> = Omit<FilterContext<Config, State>, 'signal' | 'nowMs' | 'read' | 'write'>;
