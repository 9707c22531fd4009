import type { Call } from '../../server/core/call.ts';
import type { Criterion } from './criteria.ts';
import { type FilterType, filterTypes } from './filter.ts';
import { Status } from './filter-status.ts';
import { holdFilter, type LoadedFilter, releaseFilter } from './loaded-filter.ts';

/** A filter's place in the chain of one method; `index` is its place in the call's record. */
export interface Slot {
  readonly index: number;
  readonly filter: LoadedFilter;
  /** The filter's own criterion, after that of a trial it is part of. */
  readonly criterion: Criterion | undefined;
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
}

/** All filters of one method in running order, made once per snapshot and method. */
export interface Chain {
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
}

/** One immutable set of filters. Calls count themselves in and out; its filters close after the last one. */
export interface Snapshot {
  readonly version: number;
  /** In running order: type, then order, then id. */
  readonly filters: readonly LoadedFilter[];
  readonly disabled: ReadonlySet<string>;
  chainFor(call: Call): Chain;
  enter(): void;
  leave(): void;
  /** Calls that run on it now. */
  calls(): number;
  /** No new call will enter. Resolves when its calls have ended and the filters that no other snapshot holds are closed. */
  retire(): Promise<void>;
}

const maxKnownPaths = 4096;
// Callers choose unknown paths at will: they must not push out the chains of real methods.
const maxUnknownPaths = 256;

/** Running order: type, then order, then id. Ids are unique, so no two filters are equal. */
export function compareFilters(
  a: Pick<LoadedFilter, 'type' | 'order' | 'id'>,
  b: Pick<LoadedFilter, 'type' | 'order' | 'id'>,
): number {
  const byType = filterTypes.indexOf(a.type) - filterTypes.indexOf(b.type);
  return byType || a.order - b.order || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

function compileChain(version: number, filters: readonly LoadedFilter[], off: ReadonlySet<string>, call: Call): Chain {
  const slots: Slot[] = [];
  const labels = filters.map((filter) => {
    const status = off.has(filter.id) ? Status.disabled : filter.methodStatus(call);
    const index = status === Status.applies ? slots.length : -1;
    if (index >= 0) slots.push({ index, filter, criterion: filter.criterion });
    return { id: filter.id, version: filter.version, type: filter.type, index, status };
  });
  const ofType = (...types: FilterType[]) => slots.filter(({ filter }) => types.includes(filter.type));
  return {
    account: { snapshotVersion: version, labels, size: slots.length },
    slots,
    inbound: ofType('inbound', 'endpoint'),
    requestMessage: slots.filter(({ filter }) => filter.onRequestMessage !== undefined),
    body: slots.filter(({ filter }) => filter.onRequestBody !== undefined),
    responseMessage: slots.filter(({ filter }) => filter.onResponseMessage !== undefined),
    outbound: ofType('outbound').filter(({ filter }) => filter.run !== undefined),
    error: ofType('error').filter(({ filter }) => filter.run !== undefined),
    status: slots.filter(({ filter }) => filter.onStatus !== undefined),
    end: slots.filter(({ filter }) => filter.onEnd !== undefined),
  };
}

/** Makes a snapshot of opened filters, which it holds until it is retired and empty. */
export function createSnapshot(
  version: number,
  loaded: readonly LoadedFilter[],
  disabled: ReadonlySet<string>,
): Snapshot {
  const filters = loaded.toSorted(compareFilters);
  const known = new Map<string, Chain>();
  const unknown = new Map<string, Chain>();
  let calls = 0;
  const retired = Promise.withResolvers<void>();
  let isRetired = false;
  for (const filter of filters) holdFilter(filter);

  function addChain(call: Call, cache: Map<string, Chain>, most: number): Chain {
    const chain = compileChain(version, filters, disabled, call);
    if (cache.size >= most) {
      const [oldest] = cache.keys();
      if (oldest !== undefined) cache.delete(oldest);
    }
    cache.set(call.path, chain);
    return chain;
  }

  function closeFilters(): void {
    void Promise.all(filters.map(releaseFilter)).then(() => retired.resolve());
  }

  return {
    version,
    filters,
    disabled,
    chainFor: (call) =>
      call.known
        ? (known.get(call.path) ?? addChain(call, known, maxKnownPaths))
        : (unknown.get(call.path) ?? addChain(call, unknown, maxUnknownPaths)),
    enter: () => {
      calls++;
    },
    leave: () => {
      if (--calls === 0 && isRetired) closeFilters();
    },
    calls: () => calls,
    retire: () => {
      if (!isRetired) {
        isRetired = true;
        if (calls === 0) closeFilters();
      }
      return retired.promise;
    },
  };
}
