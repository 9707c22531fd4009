import type { Call, CallKind, CallOutcome } from '../../../server/core/call.ts';
import type { Clock } from '../../../server/core/clock.ts';
import { Code } from '../../../server/core/codes.ts';
import { type AppError, type FieldViolation, messageOf } from '../../../server/core/errors.ts';
import type { Logger } from '../../../server/core/log.ts';
import type { Origins } from '../../../server/core/origins.ts';
import type { Random } from '../../../server/core/random.ts';
import { Status } from '../call/filter-status.ts';
import type { Invocation } from '../call/invocation.ts';
import { type Capabilities, noOrigins } from '../contract/capabilities.ts';
import type { ContextKey } from '../contract/context-key.ts';
import { type Criterion, callCriterion, methodCriterion } from '../contract/criteria.ts';
import type {
  FailurePolicy,
  Filter,
  FilterCategory,
  FilteredOutcome,
  FilterIsolation,
  FilterNeeds,
  FilterType,
} from '../filter.ts';
import { filterConfigInvalid, filterLoadFailed } from '../filter-errors.ts';
import { withDeadline } from '../with-deadline.ts';
import { needsOf } from './check-filter.ts';
import { messageHooksOf, typesOnly } from './message-types.ts';
import { createQuarantine, type Quarantine } from './quarantine.ts';
import { createRunTimes, type RunTimes } from './run-times.ts';

/** What a filter did since it was loaded. */
export interface FilterCounts {
  ran: number;
  /** Calls that its criteria left out. */
  skipped: number;
  answered: number;
  refused: number;
  failed: number;
  timedOut: number;
  overloaded: number;
  /** Results that came after the time was up. */
  late: number;
  /** Runs that held the event loop for long. */
  blocked: number;
}

const defaultTimeoutMs = 5000;
const defaultMaxBodyBytes = 4 * 1024 * 1024;

type Hook = (call: Call, ctx: Invocation) => unknown;
type MessageHook = (message: unknown, call: Call, ctx: Invocation) => unknown;

/**
 * One opened version of a filter. Its data and hooks are copied from the author's object when it is loaded, so
 * that nothing done to that object later can change a chain.
 */
export interface LoadedFilter {
  readonly id: string;
  readonly version: string;
  readonly description: string;
  readonly type: FilterType;
  readonly order: number;
  readonly category: FilterCategory;
  readonly after: readonly string[] | undefined;
  readonly before: readonly string[] | undefined;
  readonly provides: readonly ContextKey<unknown>[];
  readonly requires: readonly ContextKey<unknown>[];
  readonly failurePolicy: FailurePolicy;
  /** Undefined = by the failure. */
  readonly failureCode: Code | undefined;
  readonly onFailure: ((call: Call, error: unknown, ctx: Invocation) => unknown) | undefined;
  readonly timeoutMs: number;
  readonly maxConcurrent: number;
  readonly needs: FilterNeeds;
  readonly maxBodyBytes: number;
  readonly isolation: FilterIsolation;
  /** False: its configuration switches it off. */
  readonly isEnabled: boolean;
  /** Absolute path of the file, and hash of its folder's content. */
  readonly file: string;
  readonly hash: string;
  readonly methodStatus: (
    call: Pick<Call, 'service' | 'method' | 'kind' | 'known' | 'requestType' | 'responseType'>,
  ) => Status;
  readonly criterion: Criterion | undefined;
  readonly shouldRun: ((call: Call) => boolean) | undefined;
  readonly run: ((call: Call, ctx: Invocation, error: AppError | undefined) => unknown) | undefined;
  /** Types of messages that its message hooks are for; undefined = all. */
  readonly messages: Filter<unknown, unknown>['messages'];
  /** Undefined = all. */
  readonly messageKinds: readonly CallKind[] | undefined;
  readonly followsReloads: boolean;
  readonly onRequestMessage: MessageHook | undefined;
  readonly onResponseMessage: MessageHook | undefined;
  readonly onRequestBody: ((messages: readonly unknown[], call: Call, ctx: Invocation) => unknown) | undefined;
  readonly onStatus: ((call: Call, filterLine: string, ctx: Invocation) => unknown) | undefined;
  readonly onEnd: ((call: Call, outcome: CallOutcome & FilteredOutcome, ctx: Invocation) => unknown) | undefined;
  readonly config: unknown;
  /** The configuration as it may be shown: without secrets. */
  readonly shownConfig: unknown;
  readonly state: unknown;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
  readonly origins: Origins;
  readonly counts: FilterCounts;
  readonly times: RunTimes;
  /** Unix ms. */
  readonly loadedAtMs: number;
  /** For filters that calls go on without when they fail. */
  readonly quarantine: Quarantine | undefined;
  /** Runs in progress. */
  inFlight: number;
  /** Snapshots and sets that hold it. */
  holders: number;
  /** What it was opened with. */
  readonly rawConfig: unknown;
  /** The same version opened with another configuration. Throws what `openFilter` throws. */
  reopen(rawConfig: unknown): Promise<LoadedFilter>;
  /** Releases the state; never rejects. */
  close(): Promise<void>;
}

/** What opening one version needs. */
export interface OpenFilterOptions {
  readonly definition: Filter<unknown, unknown>;
  readonly file: string;
  readonly hash: string;
  readonly rawConfig: unknown;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
  readonly capabilities?: Capabilities | undefined;
  /** Longest `open` and longest `close` of the filter, in ms. */
  readonly openTimeoutMs: number;
  /** The filter left its calls, or came back, because it kept failing. */
  readonly onQuarantine?: ((filter: string, isOut: boolean) => void) | undefined;
  /** The version was closed; `held` goes when nothing holds it any more. */
  readonly onClosed?: ((filter: string, held: object) => void) | undefined;
}

/** Holds the filter: it stays open until everyone who holds it has let go. */
export function holdFilter(filter: LoadedFilter): void {
  filter.holders++;
}

/** Lets go; the last one closes it. Resolves when the filter is closed, at once when others hold it. */
export async function releaseFilter(filter: LoadedFilter): Promise<void> {
  if (--filter.holders === 0) await filter.close();
}

function quarantineOf({ definition, clock, log, onQuarantine }: OpenFilterOptions): Quarantine | undefined {
  if (definition.failurePolicy !== 'open' && definition.failurePolicy !== 'fallback') return undefined;
  const quarantine = createQuarantine({
    clock,
    trialMs: (definition.timeoutMs ?? defaultTimeoutMs) + 1000,
    onChange: (isOut) => {
      const filter = definition.id;
      if (isOut) log.error('filter quarantined', { filter, failures_in_a_row: quarantine.failures });
      else log.info('filter back from quarantine', { filter });
      onQuarantine?.(filter, isOut);
    },
  });
  return quarantine;
}

function readConfig({ definition, rawConfig }: OpenFilterOptions): unknown {
  const faults: FieldViolation[] = [];
  let config: unknown;
  if (definition.config === undefined) {
    if (rawConfig !== undefined) faults.push({ field: 'config', description: 'this filter takes none' });
  } else {
    try {
      config = definition.config.read(rawConfig, 'config', faults);
    } catch (error) {
      faults.push({ field: 'config', description: messageOf(error) });
    }
  }
  if (faults.length > 0) throw filterConfigInvalid(definition.id, faults);
  return deepFreeze(config);
}

function readIsEnabled(definition: Filter<unknown, unknown>, config: unknown, file: string): boolean {
  try {
    return synchronous(definition.isEnabled?.(config) ?? true);
  } catch (error) {
    throw filterLoadFailed(file, `isEnabled failed: ${messageOf(error)}`, error);
  }
}

/** An asynchronous criterion would hold for every call: its promise is no `false`. */
function synchronous<T>(given: T): T {
  if (typeof given !== 'object' || given === null) return given;
  // What it rejects with has nobody else to hear it.
  Promise.resolve(given).catch(() => {});
  throw new TypeError('expected true or false, and no promise');
}

function deepFreeze<T>(value: T): T {
  // Byte arrays cannot be frozen.
  if (typeof value !== 'object' || value === null || Object.isFrozen(value) || ArrayBuffer.isView(value)) return value;
  Object.freeze(value);
  for (const inner of Object.values(value)) deepFreeze(inner);
  return value;
}

async function openState(options: OpenFilterOptions, config: unknown, log: Logger): Promise<unknown> {
  const { definition, file, clock, random, openTimeoutMs } = options;
  const origins = options.capabilities?.origins ?? noOrigins;
  const sharedRates = options.capabilities?.sharedRates;
  const { open } = definition;
  if (open === undefined) return undefined;
  const expired = () => filterLoadFailed(file, `open took over ${openTimeoutMs} ms`);
  const late = (state: unknown) => void closeState(options, state, log);
  try {
    return await withDeadline({ clock, timeoutMs: openTimeoutMs, expired, late }, (signal) =>
      open.call(definition, config, { id: definition.id, log, clock, random, origins, sharedRates, signal }),
    );
  } catch (error) {
    throw filterLoadFailed(file, `open failed: ${messageOf(error)}`, error);
  }
}

async function closeState(options: OpenFilterOptions, state: unknown, log: Logger): Promise<void> {
  const { definition, clock, openTimeoutMs } = options;
  const expired = () => new Error(`close took over ${openTimeoutMs} ms`);
  try {
    await withDeadline({ clock, timeoutMs: openTimeoutMs, expired }, () => definition.close?.(state));
  } catch (error) {
    log.error('filter close failed', { error: messageOf(error) });
  }
}

/** Reads the configuration and opens the filter. Throws FILTER_CONFIG_INVALID or FILTER_LOAD_FAILED. */
export async function openFilter(options: OpenFilterOptions): Promise<LoadedFilter> {
  const { definition, file, hash, clock, random } = options;
  const origins = options.capabilities?.origins ?? noOrigins;
  const { id, version, type, order, category } = definition;
  const log = options.log.child({ filter: id });
  const config = readConfig(options);
  const isEnabled = readIsEnabled(definition, config, file);
  const state = await openState(options, config, log);
  const shouldRun = definition.shouldRun?.bind(definition);
  const criteriaContext = Object.freeze({ config, state, log, clock, random, origins });
  let closing: Promise<void> | undefined;
  return {
    ...{ id, version, type, order, category, file, hash, config, state, log, clock, random, origins, isEnabled },
    description: definition.description ?? '',
    after: definition.after && [...definition.after],
    before: definition.before && [...definition.before],
    provides: [...(definition.provides ?? [])],
    requires: [...(definition.requires ?? [])],
    failurePolicy: definition.failurePolicy ?? 'closed',
    failureCode: definition.failureCode && Code[definition.failureCode],
    onFailure: 'onFailure' in definition ? definition.onFailure?.bind(definition) : undefined,
    timeoutMs: definition.timeoutMs ?? defaultTimeoutMs,
    maxConcurrent: definition.maxConcurrent ?? 4000,
    needs: definition.needs ?? needsOf({ ...definition }),
    maxBodyBytes: definition.maxBodyBytes ?? defaultMaxBodyBytes,
    isolation: definition.isolation ?? 'none',
    shownConfig: definition.config?.show?.(options.rawConfig ?? {}),
    loadedAtMs: clock.now(),
    times: createRunTimes(),
    quarantine: quarantineOf(options),
    methodStatus: isEnabled ? methodCriterion(definition.match, typesOnly(definition)) : () => Status.disabled,
    criterion: callCriterion(definition.match, random),
    shouldRun: shouldRun && ((call) => synchronous(shouldRun(call, criteriaContext))),
    run: definition.run?.bind(definition) as Hook | undefined,
    messages: definition.messages && { ...definition.messages },
    messageKinds: definition.messageKinds && [...definition.messageKinds],
    followsReloads: definition.followsReloads ?? false,
    ...messageHooksOf(definition),
    onStatus: definition.onStatus?.bind(definition),
    onEnd: definition.onEnd?.bind(definition),
    counts: { ran: 0, skipped: 0, answered: 0, refused: 0, failed: 0, timedOut: 0, overloaded: 0, late: 0, blocked: 0 },
    inFlight: 0,
    holders: 0,
    rawConfig: options.rawConfig,
    reopen: (rawConfig) => openFilter({ ...options, rawConfig }),
    close: () => {
      closing ??= closeState(options, state, log).then(() => {
        options.onClosed?.(id, typeof state === 'object' && state !== null ? state : definition);
      });
      return closing;
    },
  };
}
