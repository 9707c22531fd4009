import type { FailurePolicy, FilterCategory, FilterIsolation, FilterNeeds, FilterType } from '../filter.ts';
import type { FilterCounts, LoadedFilter } from '../load/loaded-filter.ts';
import type { Snapshot } from './snapshot.ts';

/** A loaded filter, for listings. */
export interface FilterDescription {
  readonly id: string;
  readonly version: string;
  readonly description: string;
  readonly type: FilterType;
  readonly order: number;
  readonly category: FilterCategory;
  readonly failurePolicy: FailurePolicy;
  readonly timeoutMs: number;
  readonly maxConcurrent: number;
  readonly needs: FilterNeeds;
  readonly isolation: FilterIsolation;
  readonly isDisabled: boolean;
  readonly file: string;
  /** SHA-256 of the folder's content (of a staged source: of the source), in hex. */
  readonly hash: string;
  /** The configuration without secrets; undefined when nothing may be shown. */
  readonly config: unknown;
  /** Unix ms. */
  readonly loadedAtMs: number;
  readonly inFlight: number;
  /** What it did since it was loaded. */
  readonly counts: Readonly<FilterCounts>;
  /** Time per call, in ns; undefined before the first. */
  readonly p50Ns: number | undefined;
  readonly p99Ns: number | undefined;
  /** Unix ms until which it is out of calls because it kept failing. */
  readonly quarantinedUntilMs: number | undefined;
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

/** The filter as it is now; its counts are copied. */
export function describeFilter(filter: LoadedFilter, isDisabled: boolean): FilterDescription {
  const { id, version, description, type, order, category, failurePolicy, timeoutMs, maxConcurrent } = filter;
  const { needs, isolation, file, hash, loadedAtMs, inFlight, times, quarantine } = filter;
  return {
    ...{ id, version, description, type, order, category, failurePolicy, timeoutMs, maxConcurrent },
    ...{ needs, isolation, isDisabled, file, hash, config: filter.shownConfig, loadedAtMs, inFlight },
    counts: { ...filter.counts },
    p50Ns: times.quantile(0.5),
    p99Ns: times.quantile(0.99),
    quarantinedUntilMs: quarantine?.untilMs,
  };
}

/** The set and its filters as they are now. */
export function describeSnapshot(snapshot: Snapshot): SnapshotDescription {
  const filters = snapshot.filters.map((filter) => describeFilter(filter, snapshot.disabled.has(filter.id)));
  return { version: snapshot.version, calls: snapshot.calls(), filters };
}
