import type { LoadedFilter } from '../load/loaded-filter.ts';
import type { TrialLimits } from './compare-versions.ts';
import type { GroupStore, StoredGroup, StoredStage } from './group-store.ts';
import type { FilterSource, StageOptions } from './stage-filter.ts';
import type { Trial, TrialShare } from './trial.ts';

/** A version of a group: what was staged, and the open filter made of it. */
export interface GroupMember {
  readonly given: FilterSource;
  readonly filter: LoadedFilter;
}

/** Versions that were staged together and move together. */
export interface FilterGroup extends TrialShare {
  readonly id: string;
  readonly stage: StoredStage;
  /** Of active groups the highest one gives the version of an id. */
  readonly order: number;
  readonly members: readonly GroupMember[];
  readonly trial: Trial | undefined;
  readonly explanation: string;
}

/** Where a group is to go. */
export interface Promotion extends TrialShare {
  readonly stage: 'shadow' | 'canary' | 'active';
}

/** How a group ended: taken back, or closed because newer versions cover it. */
export type EndedStage = 'rolled_back' | 'closed';

/** What the groups need of the engine around them. */
export interface FilterGroupsDeps {
  readonly options: Omit<StageOptions, 'checkVersion'>;
  readonly store: GroupStore;
  readonly limits: TrialLimits;
  /** The versions from folders. */
  base(): readonly LoadedFilter[];
  /** Filters that are switched off. */
  disabled(): ReadonlySet<string>;
  /** Makes the set that serves anew. */
  swap(): void;
  /** A group has ended: its versions take no new calls. */
  ended(group: FilterGroup, stage: EndedStage, why: string): void;
  /** A canary is worse than what it is compared with. */
  worse(group: string, why: string): void;
}

/** The groups of staged versions, from staging to their end. */
export interface FilterGroups {
  readonly list: readonly FilterGroup[];
  /** The group that gives the active version of the id. */
  activeFor(id: string): FilterGroup | undefined;
  /** What serves: the active version of each id, and the trials beside them. */
  compose(): { readonly actives: readonly LoadedFilter[]; readonly trials: readonly Trial[] };
  /** What serves, with other versions from folders, and with `exchanged` in place of those of the same id. */
  servingWith(base: readonly LoadedFilter[], exchanged?: readonly LoadedFilter[]): readonly LoadedFilter[];
  /** Throws FILTER_REFUSED. */
  stage(sources: readonly FilterSource[]): Promise<FilterGroup>;
  /** Throws FILTER_NOT_FOUND, FILTER_REFUSED. */
  promote(id: string, promotion: Promotion): Promise<FilterGroup>;
  /** Ends the group; the versions before are active again. Idempotent. Throws FILTER_NOT_FOUND. */
  rollback(id: string, why: string): Promise<void>;
  /** Replaces a member's filter by the same version with another configuration. */
  reconfigure(group: FilterGroup, filter: LoadedFilter, config: unknown): Promise<void>;
  /** Stages what the store kept; a group that is refused is set aside. Gives those. */
  restore(): Promise<readonly { readonly group: StoredGroup; readonly why: string }[]>;
  /** Lets go of every group; what calls still hold is closed after them. */
  close(): Promise<void>;
}
