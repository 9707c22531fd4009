import type { Attributes } from '@opentelemetry/api';
import type { Call } from '../../../server/core/call.ts';
import type { AppError } from '../../../server/core/errors.ts';
import { type Placed, PlaceList } from '../../../server/core/place-list.ts';
import { linePrefix, Status, statusText } from '../call/filter-status.ts';
import type { Criterion } from '../contract/criteria.ts';
import type { FilterType } from '../filter.ts';
import { holdFilter, type LoadedFilter, releaseFilter } from '../load/loaded-filter.ts';
import type { ShadowSlot } from '../versions/shadow-run.ts';
import type { Trial } from '../versions/trial.ts';
import { inRunningOrder } from './running-order.ts';

/** A filter's place in the chain of one method; `index` is its place in the call's record. */
export interface Slot {
  readonly index: number;
  readonly filter: LoadedFilter;
  /** The filter's own criterion, after that of a trial it is part of. */
  readonly criterion: Criterion | undefined;
  /** A new version that runs beside the filter. */
  readonly shadow: ShadowSlot | undefined;
  /** Labels of its metrics by `Status`, each made when it is first needed. */
  readonly labels: Attributes[];
}

/** A filter as a call's record names it; `index` is -1 when the method alone ruled it out (`status` says how). */
export interface ChainLabel {
  readonly id: string;
  readonly version: string;
  readonly type: FilterType;
  readonly index: number;
  readonly status: Status;
}

/** What a call's record keeps of its chain. */
export interface ChainAccount {
  readonly snapshotVersion: number;
  readonly labels: readonly ChainLabel[];
  /** Slots of the chain. */
  readonly size: number;
  /** What a filter line has before, between and after the slots of `lineOrder`. */
  readonly texts: readonly string[];
  /** Indexes of slots in the order of the line. */
  readonly lineOrder: readonly number[];
}

/** All filters of one method in running order, made once per snapshot and method. */
export interface Chain {
  readonly path: string;
  /** The method has a handler here. */
  readonly known: boolean;
  readonly account: ChainAccount;
  readonly slots: readonly Slot[];
  /** Inbound filters, then endpoint filters. */
  readonly inbound: readonly Slot[];
  readonly requestMessage: readonly Slot[];
  readonly body: readonly Slot[];
  readonly responseMessage: readonly Slot[];
  readonly outbound: readonly Slot[];
  readonly error: readonly Slot[];
  readonly status: readonly Slot[];
  readonly end: readonly Slot[];
  /** Some of its message hooks follow reloads. */
  readonly follows: boolean;
  /** Canaries that book the outcome of the chain's calls. */
  readonly trials: readonly Trial[];
}

/** A call that runs on a set. */
export interface RunningCall extends Placed {
  readonly call: Call;
}

/** One immutable set of filters. Calls count themselves in and out; its filters close after the last one. */
export interface Snapshot {
  readonly version: number;
  /** In running order: type, then order, then id; with canaries, without shadows. */
  readonly filters: readonly LoadedFilter[];
  /** Those and the shadows. */
  readonly held: readonly LoadedFilter[];
  readonly disabled: ReadonlySet<string>;
  readonly trials: readonly Trial[];
  chainFor(call: Call): Chain;
  enter(run: RunningCall): void;
  leave(run: RunningCall): void;
  /** Calls that run on it now. */
  calls(): number;
  /** True once another set serves new calls. */
  readonly isRetired: boolean;
  /** Ends the calls that still run on it. Gives their number. */
  stopCalls(reason: AppError): number;
  /** No new call will enter. Resolves when its calls have ended and the filters that no other snapshot holds are closed. */
  retire(): Promise<void>;
}

const maxKnownPaths = 4096;
// Callers choose unknown paths at will: they must not push out the chains of real methods.
const maxUnknownPaths = 256;

function accountOf(snapshotVersion: number, labels: readonly ChainLabel[], size: number): ChainAccount {
  const texts = [''];
  const lineOrder: number[] = [];
  for (const [place, label] of labels.entries()) {
    const last = texts.length - 1;
    texts[last] += `${place === 0 ? '' : ', '}${linePrefix(label)}`;
    if (label.index < 0) {
      texts[last] += `${statusText(label.status)}/0`;
      continue;
    }
    lineOrder.push(label.index);
    texts.push('');
  }
  return { snapshotVersion, labels, size, texts, lineOrder };
}

/** Calls that the trial takes meet the candidate, all others the active version. */
function criterionOf(filter: LoadedFilter, canaries: readonly Trial[]): Criterion | undefined {
  const { criterion } = filter;
  const trial = canaries.find(({ members }) => members.some(({ candidate }) => candidate.id === filter.id));
  if (trial === undefined) return criterion;
  const isCandidate = trial.members.some(({ candidate }) => candidate === filter);
  return (call) => {
    if (trial.takes(call) !== isCandidate) return Status.skippedCanary;
    return criterion === undefined ? Status.applies : criterion(call);
  };
}

function shadowOf(filter: LoadedFilter, trials: readonly Trial[]): ShadowSlot | undefined {
  for (const trial of trials) {
    if (trial.stage !== 'shadow') continue;
    const member = trial.members.find(({ active }) => active === filter);
    if (member !== undefined) return { filter: member.candidate, trial };
  }
  return undefined;
}

/** True when messages of a method are what a filter is for. */
function isOfType(wanted: { readonly typeName: string } | undefined, typeName: string | undefined): boolean {
  return wanted === undefined || wanted.typeName === typeName;
}

function compileChain(
  version: number,
  filters: readonly LoadedFilter[],
  off: ReadonlySet<string>,
  trials: readonly Trial[],
  call: Pick<Call, 'path' | 'service' | 'method' | 'kind' | 'known' | 'requestType' | 'responseType'>,
): Chain {
  const slots: Slot[] = [];
  const canaries = trials.filter(({ stage }) => stage === 'canary');
  const labels = filters.map((filter) => {
    const status = off.has(filter.id) ? Status.disabled : filter.methodStatus(call);
    const index = status === Status.applies ? slots.length : -1;
    if (index >= 0) {
      const ofTrials = { criterion: criterionOf(filter, canaries), shadow: shadowOf(filter, trials) };
      slots.push({ index, filter, ...ofTrials, labels: [] });
    }
    const { id, version, type } = filter;
    return { id, version, type, index, status };
  });
  const ofType = (...types: FilterType[]) => slots.filter(({ filter }) => types.includes(filter.type));
  const withMessages = slots.filter(({ filter }) => filter.messageKinds?.includes(call.kind) ?? true);
  const takesRequests = ({ messages }: LoadedFilter) => isOfType(messages?.request, call.requestType);
  const takesResponses = ({ messages }: LoadedFilter) => isOfType(messages?.response, call.responseType);
  return {
    path: call.path,
    known: call.known,
    account: accountOf(version, labels, slots.length),
    slots,
    inbound: ofType('inbound', 'endpoint'),
    requestMessage: withMessages.filter(({ filter }) => filter.onRequestMessage !== undefined && takesRequests(filter)),
    body: slots.filter(({ filter }) => filter.onRequestBody !== undefined && takesRequests(filter)),
    responseMessage: withMessages.filter(
      ({ filter }) => filter.onResponseMessage !== undefined && takesResponses(filter),
    ),
    outbound: ofType('outbound').filter(({ filter }) => filter.run !== undefined),
    error: ofType('error').filter(({ filter }) => filter.run !== undefined),
    status: slots.filter(({ filter }) => filter.onStatus !== undefined),
    end: slots.filter(({ filter }) => filter.onEnd !== undefined),
    follows: withMessages.some(({ filter }) => filter.followsReloads),
    trials: canaries,
  };
}

/** Makes a snapshot of opened filters, which it holds until it is retired and empty. */
export function createSnapshot(
  version: number,
  loaded: readonly LoadedFilter[],
  disabled: ReadonlySet<string>,
  trials: readonly Trial[] = [],
): Snapshot {
  const candidates = trials.flatMap(({ members }) => members.map(({ candidate }) => candidate));
  const shadows = trials.filter(({ stage }) => stage === 'shadow').flatMap(({ members }) => members);
  const inChains = candidates.filter((filter) => !shadows.some(({ candidate }) => candidate === filter));
  const filters = inRunningOrder([...loaded, ...inChains]);
  const held = [...loaded, ...candidates];
  const known = new Map<string, Chain>();
  const unknown = new Map<string, Chain>();
  const calls = new PlaceList<RunningCall>();
  const retired = Promise.withResolvers<void>();
  let isRetired = false;
  for (const filter of held) holdFilter(filter);

  function addChain(call: Call, cache: Map<string, Chain>, most: number): Chain {
    const chain = compileChain(version, filters, disabled, trials, call);
    if (cache.size >= most) {
      const [oldest] = cache.keys();
      if (oldest !== undefined) cache.delete(oldest);
    }
    cache.set(call.path, chain);
    return chain;
  }

  function closeFilters(): void {
    void Promise.all(held.map(releaseFilter)).then(() => retired.resolve());
  }

  return {
    ...{ version, filters, held, disabled, trials },
    chainFor: (call) =>
      call.known
        ? (known.get(call.path) ?? addChain(call, known, maxKnownPaths))
        : (unknown.get(call.path) ?? addChain(call, unknown, maxUnknownPaths)),
    enter: (run) => calls.add(run),
    leave: (run) => {
      calls.remove(run);
      if (calls.size === 0 && isRetired) closeFilters();
    },
    calls: () => calls.size,
    get isRetired() {
      return isRetired;
    },
    stopCalls: (reason) => {
      const stopped = calls.toArray().filter(({ call }) => call.stop !== undefined);
      for (const { call } of stopped) call.stop?.(reason);
      return stopped.length;
    },
    retire: () => {
      if (!isRetired) {
        isRetired = true;
        if (calls.size === 0) closeFilters();
      }
      return retired.promise;
    },
  };
}
