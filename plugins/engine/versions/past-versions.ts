import type { LoadedFilter } from '../load/loaded-filter.ts';
import { describeFilter, type FilterDescription } from '../set/describe-snapshot.ts';

/** A version that takes no calls any more. */
export interface PastVersion {
  readonly id: string;
  readonly version: string;
  readonly stage: 'rolled_back' | 'closed';
  readonly explanation: string;
  /** Unix ms. */
  readonly endedAtMs: number;
  /** As it was at its end; undefined for one that could not be loaded. */
  readonly last: FilterDescription | undefined;
}

type Ending = Pick<PastVersion, 'stage' | 'explanation'>;

/** The latest versions that ended; descriptions only, so that what ended can be collected. */
export interface PastVersions {
  readonly list: readonly PastVersion[];
  add(version: Pick<PastVersion, 'id' | 'version'> & Ending, endedAtMs: number): void;
  addFilter(filter: LoadedFilter, ending: Ending, endedAtMs: number): void;
}

const most = 200;

/** Keeps the latest 200, each version once. */
export function createPastVersions(): PastVersions {
  let list: readonly PastVersion[] = [];
  const push = (past: PastVersion) => {
    list = [...list.filter(({ id, version }) => id !== past.id || version !== past.version), past].slice(-most);
  };
  return {
    get list() {
      return list;
    },
    add: (version, endedAtMs) => push({ ...version, endedAtMs, last: undefined }),
    addFilter: (filter, ending, endedAtMs) => {
      const { id, version } = filter;
      push({ id, version, ...ending, endedAtMs, last: describeFilter(filter, false) });
    },
  };
}
