/**
 * The contract for authors of filters, and all that a filter imports from showrunner:
 * types, `defineFilter`, `contextKey`, `schema`, `globMatcher`, `AppError` and `Code`; for filters about load also
 * the keys and signals that they share.
 * Filters outside this checkout import it as `showrunner/filter`.
 */
import type { DescMessage } from '@bufbuild/protobuf';
import type { Answer, Call, CallKind, CallOutcome, StaticAnswer } from '../../server/core/call.ts';
import type { AppError } from '../../server/core/errors.ts';
import type { Schema } from './contract/config-schema.ts';
import type { ContextKey } from './contract/context-key.ts';
import type { CriteriaContext, FilterContext, OpenContext } from './contract/filter-context.ts';
import type {
  FailureCode,
  FailurePolicy,
  FilterCategory,
  FilterIsolation,
  FilterMatch,
  FilterNeeds,
} from './contract/filter-data.ts';
import type { FilterMessages, HookResult, SeenMessage } from './contract/message-types.ts';
import type { SelfTest } from './kit/self-test-case.ts';

export type {
  Answer,
  AnswerExchange,
  Call,
  CallKind,
  CallMetadata,
  CallOutcome,
  Principal,
  StaticAnswer,
  StreamAnswer,
} from '../../server/core/call.ts';
export type { Clock } from '../../server/core/clock.ts';
export { Code, codeName } from '../../server/core/codes.ts';
export { type Counters, createCounters } from '../../server/core/counters.ts';
export { droppedMessage } from '../../server/core/dropped-message.ts';
export { AppError, invalidField, messageOf } from '../../server/core/errors.ts';
export { newId } from '../../server/core/ids.ts';
export type { Logger } from '../../server/core/log.ts';
export { type OriginCallOptions, OriginError, type Origins } from '../../server/core/origins.ts';
export { type Placed, PlaceList } from '../../server/core/place-list.ts';
export { createSeededRandom, type Random } from '../../server/core/random.ts';
export type { SharedRate, SharedRates } from '../../server/core/shared-rates.ts';
export { type TlsPeer, tlsPeer } from '../../server/core/tls-peer.ts';
export {
  type CallKeyKind,
  type CallPriority,
  callKey,
  callKeyKinds,
  callPriorities,
  callPriority,
  deadlineOf,
  effectiveDeadline,
  localRefusal,
} from './contract/call-keys.ts';
export { type Schema, type SchemaValue, schema } from './contract/config-schema.ts';
export { type ContextKey, contextKey } from './contract/context-key.ts';
export type { CriteriaContext, FilterContext, KeyValue, OpenContext } from './contract/filter-context.ts';
export {
  type FailureCode,
  type FailurePolicy,
  type FilterCategory,
  type FilterIsolation,
  type FilterMatch,
  type FilterNeeds,
  type FilterType,
  failurePolicies,
  filterCategories,
  filterIsolations,
  filterNeeds,
  filterTypes,
} from './contract/filter-data.ts';
export { globMatcher, pathMatcher, rememberPaths, type TextMatcher } from './contract/glob.ts';
export { createKeyedTable, type KeyedTable } from './contract/keyed-table.ts';
export { limiterUse, loadSignals } from './contract/load-signals.ts';
export type { FilterMessages, HookResult, SeenMessage } from './contract/message-types.ts';
export { createTokenBuckets, type TokenBuckets } from './contract/token-buckets.ts';
export type { SelfTest, SelfTestCall, SelfTestExpectation } from './kit/self-test-case.ts';

/** How a call ended, with the account of its filters. */
export interface FilteredOutcome extends CallOutcome {
  /**
   * One line: `id@version:type=status(detail)/ns, …`, with `/ns/waitNs` where it waited. Made when it is asked for, so
   * ask in the hook: of a call that is long gone it is empty.
   */
  filterLine(): string;
  /** Nanoseconds in all filters together, waits included. */
  filterNs(): number;
}

type Awaitable<T> = T | Promise<T>;

/**
 * What all filters have. A filter applies to a call when `match` and `shouldRun` say so; that is decided once per call,
 * when the filter is first needed, and holds for all its hooks.
 *
 * A thrown `AppError` is a verdict: the call is refused with it, whatever the failure policy. Anything else thrown, a
 * result of the wrong shape, no result within `timeoutMs`, or more than `maxConcurrent` runs at once is a failure of
 * the filter and goes by its `failurePolicy`. Hooks that return no promise are run without one.
 */
interface FilterBase<
  Config,
  State,
  Req extends DescMessage,
  Res extends DescMessage,
  P extends ContextKey<unknown>,
  R extends ContextKey<unknown>,
> {
  /** `namespace.name`, lower case; unique among all loaded filters. */
  readonly id: string;
  /** `major.minor.patch`, shown in listings and traces. */
  readonly version: string;
  /** One sentence for listings: what it does for whom. */
  readonly description?: string;
  /** Place among filters of its type, lowest first; equal orders go by id. */
  readonly order: number;
  /** Ids of filters that run before this one, whatever the orders say. One that is not loaded fails the load. */
  readonly after?: readonly string[];
  /** Ids of filters that run after this one, whatever the orders say. One that is not loaded fails the load. */
  readonly before?: readonly string[];
  /** What it is for; shown in listings. */
  readonly category: FilterCategory;
  /** Keys of `call.attributes` that its hooks set, with `ctx.write`. */
  readonly provides?: readonly P[];
  /**
   * Keys that its hooks read, with `ctx.read`. An enabled filter that runs earlier must provide each, or the set is
   * refused: at the load, at a reload, and when that filter is to be switched off.
   */
  readonly requires?: readonly R[];
  /** Calls that it is for; default all. */
  readonly match?: FilterMatch;
  /** Longest wait for one asynchronous run, in ms; default 5000. */
  readonly timeoutMs?: number;
  /** Most runs at once; default 4000. A run that timed out no longer counts. */
  readonly maxConcurrent?: number;
  /** What a failure of the filter does to the call; default `closed`. */
  readonly failurePolicy?: FailurePolicy;
  /** Code of a call that is refused because the filter failed; default INTERNAL or UNAVAILABLE, by the failure. */
  readonly failureCode?: FailureCode;
  /** Default: what its hooks say. A declaration that its hooks go beyond fails the load. */
  readonly needs?: FilterNeeds;
  /** Most bytes of content that a `body` filter lets be held for it, approximate; default 4 MiB. */
  readonly maxBodyBytes?: number;
  /**
   * `worker`: a thread of its own with bounds on memory and time, for inbound filters that need headers only. It may
   * not read or set `call.attributes` and has no `origins`. Fault isolation, not a security boundary. Default `none`.
   */
  readonly isolation?: FilterIsolation;
  /** Cases that must come out as expected before this version takes any call. */
  readonly selfTest?: readonly SelfTest[];
  /** Typed configuration; without it the filter takes none. */
  readonly config?: Schema<Config>;
  /** False: the configuration switches the filter off, and it costs calls nothing. Default: on. */
  isEnabled?(config: Config): boolean;
  /** Makes the filter's state, once per loaded version; a failure fails the load. */
  open?(config: Config, ctx: OpenContext): Awaitable<State>;
  /** Releases the state after the last call of this version ended. */
  close?(state: State): Awaitable<void>;
  /**
   * Types of messages that the message hooks are for, as schemas of generated code: hooks get them decoded and typed,
   * and methods with other messages do not pay for them. Judged once per method. What an earlier filter puts in place
   * of a message is for that filter to get right.
   */
  readonly messages?: FilterMessages<Req, Res>;
  /** Kinds of call whose messages the message hooks see; default all. Calls of other kinds do not pay for them. */
  readonly messageKinds?: readonly CallKind[];
  /**
   * True: in a stream that lasts through a reload the message hooks follow to the version that then serves, from the
   * next message on, if that one follows, too; `run`, `onStatus` and `onEnd` stay with the version that the call began
   * with. For hooks that need nothing of what `run` of the same version left. Default: a call keeps its version.
   */
  readonly followsReloads?: boolean;
  /** Criteria that `match` cannot say. Synchronous, and called for each call: keep it cheap. */
  shouldRun?(call: Call, ctx: CriteriaContext<Config, State>): boolean;
  /** Sees each request message; a returned value replaces it, undefined keeps it, `droppedMessage` drops it (in streams). */
  onRequestMessage?(message: SeenMessage<Req>, call: Call, ctx: FilterContext<Config, State, P, R>): HookResult<Req>;
  /** Sees each response message, as `onRequestMessage` does a request's. */
  onResponseMessage?(message: SeenMessage<Res>, call: Call, ctx: FilterContext<Config, State, P, R>): HookResult<Res>;
  /**
   * Sees the whole request before the endpoint gets any of it; may refuse, or answer in place of the endpoint. What
   * message hooks made of the messages is what it sees. Only for methods with a handler, and before no other answer.
   */
  onRequestBody?(
    messages: readonly SeenMessage<Req>[],
    call: Call,
    ctx: FilterContext<Config, State, P, R>,
    // biome-ignore lint/suspicious/noConfusingVoidType: a filter without an answer returns nothing
  ): Awaitable<StaticAnswer | undefined | void>;
  /**
   * The last moment for trailers: runs once before the status is sent, well or badly, for every filter that applied.
   * `filterLine` is the account so far, as in `FilteredOutcome`. Synchronous; a failure is logged and counted.
   */
  onStatus?(call: Call, filterLine: string, ctx: FilterContext<Config, State, P, R>): void;
  /**
   * Runs once after the call ended, well or badly, for every filter that applied: what `run` took is given back here.
   * Inbound and endpoint filters that were not reached do not apply. Not awaited; a failure is logged and counted.
   */
  onEnd?(call: Call, outcome: FilteredOutcome, ctx: FilterContext<Config, State, P, R>): void;
}

/** Inbound: may refuse (throw) or answer in place of the endpoint. Endpoint: chooses the answer; the first one wins. */
export interface InboundFilter<
  Config,
  State,
  Req extends DescMessage = DescMessage,
  Res extends DescMessage = DescMessage,
  P extends ContextKey<unknown> = ContextKey<unknown>,
  R extends ContextKey<unknown> = ContextKey<unknown>,
> extends FilterBase<Config, State, Req, Res, P, R> {
  readonly type: 'inbound' | 'endpoint';
  // biome-ignore lint/suspicious/noConfusingVoidType: a filter without an answer returns nothing
  run?(call: Call, ctx: FilterContext<Config, State, P, R>): Awaitable<Answer | undefined | void>;
  /**
   * With the policy `fallback`, what happens when `run` failed: an answer in place of the endpoint, nothing = the call
   * goes on without the filter, a thrown AppError = it is refused. Synchronous; when it fails itself the call is refused.
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: a filter without an answer returns nothing
  onFailure?(call: Call, error: unknown, ctx: FilterContext<Config, State, P, R>): Answer | undefined | void;
}

/** Runs after the endpoint succeeded (or a filter answered), before the status is sent. */
export interface OutboundFilter<
  Config,
  State,
  Req extends DescMessage = DescMessage,
  Res extends DescMessage = DescMessage,
  P extends ContextKey<unknown> = ContextKey<unknown>,
  R extends ContextKey<unknown> = ContextKey<unknown>,
> extends FilterBase<Config, State, Req, Res, P, R> {
  readonly type: 'outbound';
  run?(call: Call, ctx: FilterContext<Config, State, P, R>): Awaitable<void>;
}

/** Runs when the call fails; a returned AppError replaces the error. Its own failure leaves the error as it was. */
export interface ErrorFilter<
  Config,
  State,
  Req extends DescMessage = DescMessage,
  Res extends DescMessage = DescMessage,
  P extends ContextKey<unknown> = ContextKey<unknown>,
  R extends ContextKey<unknown> = ContextKey<unknown>,
> extends FilterBase<Config, State, Req, Res, P, R> {
  readonly type: 'error';
  run?(
    call: Call,
    ctx: FilterContext<Config, State, P, R>,
    error: AppError,
    // biome-ignore lint/suspicious/noConfusingVoidType: a filter that keeps the error returns nothing
  ): Awaitable<AppError | undefined | void>;
}

/**
 * A filter of any type; `type` decides what `run` is given and may give back. `Config`: what its schema reads. `State`:
 * what `open` made. `Req`, `Res`: its messages. `P`, `R`: the keys that it provides and requires.
 */
export type Filter<
  Config,
  State,
  Req extends DescMessage = DescMessage,
  Res extends DescMessage = DescMessage,
  P extends ContextKey<unknown> = ContextKey<unknown>,
  R extends ContextKey<unknown> = ContextKey<unknown>,
> =
  | InboundFilter<Config, State, Req, Res, P, R>
  | OutboundFilter<Config, State, Req, Res, P, R>
  | ErrorFilter<Config, State, Req, Res, P, R>;

/**
 * Types a filter; returns it unchanged. A filter folder holds `filter.ts` (or .js) with
 * `export const filter = defineFilter({ … })`. Write `config`, `open`, `messages`, `provides` and `requires` before the
 * hooks: they set the hooks' types.
 */
export function defineFilter<
  Config = undefined,
  State = undefined,
  Req extends DescMessage = DescMessage,
  Res extends DescMessage = DescMessage,
  P extends ContextKey<unknown> = ContextKey<unknown>,
  R extends ContextKey<unknown> = ContextKey<unknown>,
>(filter: Filter<Config, State, Req, Res, P, R>): Filter<Config, State, Req, Res, P, R> {
  return filter;
}
