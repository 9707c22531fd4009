import type { FailurePolicy, FilterCategory, FilterType } from './filter.ts';
import type { FilterCounts } from './loaded-filter.ts';
import type { Snapshot } from './snapshot.ts';

/** A loaded filter, for listings. */
export interface FilterDescription {
  readonly id: string;
  readonly version: string;
  readonly type: FilterType;
  readonly order: number;
  readonly category: FilterCategory;
  readonly failurePolicy: FailurePolicy;
  readonly timeoutMs: number;
  readonly maxConcurrent: number;
  readonly isDisabled: boolean;
  readonly file: string;
  /** SHA-256 of the folder's content, in hex. */
  readonly hash: string;
  readonly inFlight: number;
  /** What it did since it was loaded. */
  readonly counts: Readonly<FilterCounts>;
}

/** A set of filters, for listings. */
export interface SnapshotDescription {
  /** Grows by one with each swap. */
  readonly version: number;
  /** Calls that run on it. */
  readonly calls: number;
  /** In running order: type, then order, then id. */
  readonly filters: readonly FilterDescription[];
}

export function describeSnapshot(snapshot: Snapshot): SnapshotDescription {
  const filters = snapshot.filters.map((filter) => {
    const { id, version, type, order, category, failurePolicy, timeoutMs, maxConcurrent, file, hash, inFlight } =
      filter;
    const isDisabled = snapshot.disabled.has(id);
    const counts = { ...filter.counts };
    return {
      ...{ id, version, type, order, category, failurePolicy, timeoutMs, maxConcurrent },
      ...{ isDisabled, file, hash, inFlight, counts },
    };
  });
  return { version: snapshot.version, calls: snapshot.calls(), filters };
}
