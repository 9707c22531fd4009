import type { Call } from '../../server/core/call.ts';
import type { CallExplanation } from './call/call-record.ts';
import { Status } from './call/filter-status.ts';
import { filterTypes } from './filter.ts';
import { filterUnknown } from './filter-errors.ts';
import type { LoadedFilter } from './load/loaded-filter.ts';
import { createChangeFeed } from './set/change-feed.ts';
import { describeFilter, type FilterDescription } from './set/describe-snapshot.ts';
import type { FilterSets } from './set/filter-sets-contract.ts';
import type { FilterGroup, Promotion } from './versions/filter-group.ts';
import type { PastVersion } from './versions/past-versions.ts';
import type { FilterSource } from './versions/stage-filter.ts';

/** Where a version is in its life; `rolled_back` and `closed` end it. */
export type FilterStageName = 'staged' | 'shadow' | 'canary' | 'active' | 'disabled' | 'rolled_back' | 'closed';

/** One version of a filter with its place in its life. */
export interface FilterVersion extends FilterDescription {
  readonly stage: FilterStageName;
  /** Share of the calls on trial, 0-1. */
  readonly share: number;
  /** Group it was staged in; empty for one from a folder. */
  readonly group: string;
  /** Why it has its stage; of a trial the comparison so far. */
  readonly explanation: string;
  /** Calls that hold it now. */
  readonly callsInFlight: number;
}

type MethodOf = Pick<Call, 'service' | 'method' | 'kind' | 'known' | 'requestType' | 'responseType'>;

/** The life of filters on a running engine. */
export interface FilterAdmin {
  /** Number of the set that new calls take. */
  readonly snapshot: number;
  /** By type, order and id; `method`: only what a call of it would meet. */
  list(options?: { readonly includePast?: boolean; readonly method?: MethodOf }): FilterVersion[];
  /** Without `version` the one that serves. Throws FILTER_NOT_FOUND. */
  get(id: string, version?: string): FilterVersion;
  /** Throws FILTER_REFUSED. */
  stage(sources: readonly FilterSource[]): Promise<{ readonly group: string; readonly filters: FilterVersion[] }>;
  /** Throws FILTER_NOT_FOUND, FILTER_REFUSED. */
  promote(group: string, promotion: Promotion): Promise<FilterVersion[]>;
  /** Gives the versions that are active again. Throws FILTER_NOT_FOUND. */
  rollback(group: string, reason: string): Promise<FilterVersion[]>;
  /** Throws FILTER_NOT_FOUND, FILTER_REFUSED. */
  setDisabled(id: string, isDisabled: boolean): Promise<FilterVersion>;
  /** Undefined takes the server's configuration again. Throws FILTER_NOT_FOUND, FILTER_CONFIG_INVALID. */
  setConfig(id: string, config: unknown): Promise<FilterVersion>;
  /** What the filters did in a recently ended call; undefined when it is unknown or forgotten. */
  explain(callId: string): CallExplanation | undefined;
  /** The versions (of one filter) as they are, then each whose stage, share or configuration changes. */
  watch(id: string | undefined, signal: AbortSignal): AsyncGenerator<FilterVersion>;
  /** Ends every watch: a server that drains waits for its streams. */
  endWatches(): void;
}

interface FilterAdminDeps {
  readonly sets: FilterSets;
  readonly explain: FilterAdmin['explain'];
}

interface Place {
  readonly stage: FilterStageName;
  readonly share: number;
  readonly group: string;
  readonly explanation: string;
}

const noCounts = {
  ran: 0,
  skipped: 0,
  answered: 0,
  refused: 0,
  failed: 0,
  timedOut: 0,
  overloaded: 0,
  late: 0,
  blocked: 0,
};

function describePast({ id, version, stage, explanation, endedAtMs, last }: PastVersion): FilterVersion {
  const unknown: FilterDescription = {
    ...{ id, version, description: '', type: 'inbound', order: 0, category: 'admin', failurePolicy: 'closed' },
    ...{ timeoutMs: 0, maxConcurrent: 0, needs: 'headers', isolation: 'none', isDisabled: false, file: '', hash: '' },
    ...{ config: undefined, loadedAtMs: endedAtMs, inFlight: 0, counts: noCounts },
    ...{ p50Ns: undefined, p99Ns: undefined, quarantinedUntilMs: undefined },
  };
  return { ...(last ?? unknown), stage, share: 0, group: '', explanation, callsInFlight: 0 };
}

function order(a: FilterVersion, b: FilterVersion): number {
  const byType = filterTypes.indexOf(a.type) - filterTypes.indexOf(b.type);
  const byId = a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
  return byType || a.order - b.order || byId || a.loadedAtMs - b.loadedAtMs;
}

/** What a watcher is told about: anything but counters. */
function signatureOf({ stage, share, group, config, hash, quarantinedUntilMs }: FilterVersion): string {
  return JSON.stringify([stage, share, group, config ?? null, hash, quarantinedUntilMs !== undefined]);
}

const nameOf = ({ id, version, group }: FilterVersion) => `${id}@${version}/${group}`;

interface FilterAdminParts {
  readonly admin: FilterAdmin;
  /** Tells watchers that something about these filters may have changed. */
  readonly changed: (ids: readonly string[]) => void;
}

/** Made before the sets, which tell it of changes; `deps` is asked when it is first used. */
export function createFilterAdmin(deps: () => FilterAdminDeps): FilterAdminParts {
  const feed = createChangeFeed();

  function explanationOf(filter: LoadedFilter, explanation: string): string {
    const { quarantine } = filter;
    if (quarantine?.untilMs === undefined) return explanation;
    const until = new Date(quarantine.untilMs).toISOString();
    return `${explanation}; out of calls until ${until}: ${quarantine.failures} failures in a row`;
  }

  function placeOf(filter: LoadedFilter, group: FilterGroup | undefined): Place {
    const { sets } = deps();
    const top = sets.groups.activeFor(filter.id);
    const isDisabled = sets.current.disabled.has(filter.id);
    if (group !== undefined && group.stage !== 'active') {
      const { stage, share, trial, explanation } = group;
      const text = trial === undefined ? explanation : `${explanation}; ${trial.explain()}`;
      return { stage, share, group: group.id, explanation: text };
    }
    const id = group?.id ?? '';
    if (top !== group) {
      const version = top?.members.find((member) => member.filter.id === filter.id)?.filter.version ?? '';
      const explanation = `covered by ${version} of group ${top?.id}; open for a rollback`;
      return { stage: 'staged', share: 0, group: id, explanation };
    }
    const explanation = group?.explanation ?? 'from its folder';
    return isDisabled
      ? { stage: 'disabled', share: 0, group: id, explanation: 'switched off by an operator' }
      : { stage: 'active', share: 0, group: id, explanation };
  }

  function describe(filter: LoadedFilter, group: FilterGroup | undefined): FilterVersion {
    const { sets } = deps();
    const place = placeOf(filter, group);
    let callsInFlight = 0;
    for (const set of sets.live) if (set.held.includes(filter)) callsInFlight += set.calls();
    return {
      ...describeFilter(filter, sets.current.disabled.has(filter.id)),
      ...place,
      explanation: explanationOf(filter, place.explanation),
      callsInFlight,
    };
  }

  function all(): { filter: LoadedFilter; group: FilterGroup | undefined }[] {
    const { sets } = deps();
    const staged = sets.groups.list.flatMap((group) => group.members.map(({ filter }) => ({ filter, group })));
    return [...sets.base.map((filter) => ({ filter, group: undefined })), ...staged];
  }

  function describeGroup(group: FilterGroup): FilterVersion[] {
    return group.members.map(({ filter }) => describe(filter, group));
  }

  function list({ includePast = false, method }: Parameters<FilterAdmin['list']>[0] = {}): FilterVersion[] {
    const { sets } = deps();
    const { filters, disabled } = sets.current;
    const isMet = (filter: LoadedFilter) =>
      method === undefined ||
      (filters.includes(filter) && !disabled.has(filter.id) && filter.methodStatus(method) === Status.applies);
    const found = all()
      .filter(({ filter }) => isMet(filter))
      .map(({ filter, group }) => describe(filter, group));
    const past = includePast && method === undefined ? sets.past.list.map(describePast) : [];
    return [...found, ...past].toSorted(order);
  }

  function get(id: string, version?: string): FilterVersion {
    const known = list({ includePast: version !== undefined }).filter((each) => each.id === id);
    const serving = ({ stage }: FilterVersion) => stage === 'active' || stage === 'disabled';
    const found =
      version === undefined
        ? (known.find(serving) ?? known[0])
        : (known.findLast((each) => each.version === version && each.stage !== 'closed') ??
          known.findLast((each) => each.version === version));
    if (found === undefined) throw filterUnknown(version === undefined ? id : `${id}/versions/${version}`);
    return found;
  }

  const admin: FilterAdmin = {
    get snapshot() {
      return deps().sets.current.version;
    },
    list,
    get,
    stage: async (sources) => {
      const group = await deps().sets.stage(sources);
      return { group: group.id, filters: describeGroup(group) };
    },
    promote: async (group, promotion) => describeGroup(await deps().sets.promote(group, promotion)),
    rollback: async (group, reason) => {
      const { sets } = deps();
      const members = sets.groups.list.find(({ id }) => id === group)?.members ?? [];
      await sets.rollback(group, reason === '' ? 'rolled back by an operator' : reason);
      const ids = new Set(members.map(({ filter }) => filter.id));
      return list().filter(({ id, stage }) => ids.has(id) && (stage === 'active' || stage === 'disabled'));
    },
    setDisabled: async (id, isDisabled) => {
      const { sets } = deps();
      sets.setDisabled(id, isDisabled);
      await sets.saved();
      return get(id);
    },
    setConfig: async (id, config) => {
      await deps().sets.setConfig(id, config);
      return get(id);
    },
    explain: (callId) => deps().explain(callId),
    endWatches: feed.end,
    watch: async function* (id, signal) {
      const told = new Map<string, string>();
      for await (const ids of feed.watch(signal)) {
        const versions = list({ includePast: ids !== undefined });
        const names = new Set<string>();
        for (const version of versions) {
          if ((id !== undefined && version.id !== id) || (ids !== undefined && !ids.has(version.id))) continue;
          const name = nameOf(version);
          const signature = signatureOf(version);
          names.add(name);
          if (told.get(name) === signature) continue;
          told.set(name, signature);
          yield version;
        }
        if (ids !== undefined) {
          for (const [name] of told) if (ids.has(name.split('@')[0] ?? '') && !names.has(name)) told.delete(name);
        }
      }
    },
  };
  return { admin, changed: feed.changed };
}
