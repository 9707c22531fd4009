import type { AppError } from '../../../server/core/errors.ts';
import type { FilterMetrics } from '../filter-metrics.ts';
import type { FilterChanges } from '../load/folder-loader.ts';
import type { LoadedFilter } from '../load/loaded-filter.ts';
import type { TrialLimits } from '../versions/compare-versions.ts';
import type { FilterGroup, FilterGroups, Promotion } from '../versions/filter-group.ts';
import type { GroupStore } from '../versions/group-store.ts';
import type { PastVersions } from '../versions/past-versions.ts';
import type { FilterSource, StageOptions } from '../versions/stage-filter.ts';
import type { Snapshot } from './snapshot.ts';

/** What a reload did. */
export interface ReloadReport extends FilterChanges {
  readonly result: 'ok' | 'unchanged' | 'failed';
  /** Version of the set that serves now. */
  readonly snapshotVersion: number;
  /** Why the old set was kept. */
  readonly error: AppError | undefined;
  readonly durationMs: number;
  /** How long the exchange itself took, in ms: the only part that calls could notice. */
  readonly swapMs: number;
}

/** The set of filters that serves, and how it is exchanged for the next. Steps run one after the other. */
export interface FilterSets {
  /** One pointer: a call reads it once. */
  readonly current: Snapshot;
  /** Sets that calls run on, the current one first. */
  readonly live: readonly Snapshot[];
  /** Versions from folders. */
  readonly base: readonly LoadedFilter[];
  readonly groups: Pick<FilterGroups, 'list' | 'activeFor'>;
  readonly past: PastVersions;
  /** `isWatched`: content that was refused before is not tried again. Never rejects; one reload runs at a time. */
  reload(isWatched: boolean): Promise<ReloadReport>;
  stage(sources: readonly FilterSource[]): Promise<FilterGroup>;
  promote(group: string, promotion: Promotion): Promise<FilterGroup>;
  rollback(group: string, why: string): Promise<void>;
  /** Throws FILTER_NOT_FOUND, FILTER_REFUSED for a required one. Kept across restarts once `saved`. */
  setDisabled(id: string, isDisabled: boolean): void;
  /** Resolves when what was switched is stored. */
  saved(): Promise<void>;
  /** Opens the active version anew; undefined takes the server's configuration again. Throws FILTER_CONFIG_INVALID … */
  setConfig(id: string, config: unknown): Promise<void>;
  /** No reload any more; resolves when every set has seen its last call and is closed. Idempotent. */
  close(): Promise<void>;
}

/** What sets are made from; defaults stand with FilterEngineOptions. */
export interface FilterSetsOptions extends Omit<StageOptions, 'checkVersion'> {
  readonly dirs: readonly string[];
  readonly trustedDirs?: readonly string[] | undefined;
  readonly metrics: FilterMetrics;
  readonly store: GroupStore;
  readonly limits?: Partial<TrialLimits> | undefined;
  /** Longest stay of calls on a replaced set, ms; default any. */
  readonly drainDeadlineMs?: number | undefined;
  /** Something about these filters changed. */
  readonly onChange: (ids: readonly string[]) => void;
}
