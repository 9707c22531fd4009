import { AppError, messageOf } from '../../server/core/errors.ts';
import { defaultTrialLimits, type TrialLimits } from './compare-versions.ts';
import { filterLoadFailed, filterRefused, filterUnknown } from './filter-errors.ts';
import { createFilterGroups, type FilterGroup, type FilterGroups, type Promotion } from './filter-groups.ts';
import type { FilterMetrics } from './filter-metrics.ts';
import type { GroupStore, StoredSettings } from './group-store.ts';
import { loadFilters } from './load-filters.ts';
import { holdFilter, type LoadedFilter, releaseFilter } from './loaded-filter.ts';
import { createPastVersions, type PastVersions } from './past-versions.ts';
import { type FilterFolder, readFolders } from './read-folders.ts';
import { createSnapshot, type Snapshot } from './snapshot.ts';
import type { FilterSource, StageOptions } from './stage-filter.ts';

/** What a reload did. */
export interface ReloadReport {
  readonly result: 'ok' | 'unchanged' | 'failed';
  /** Version of the set that serves now. */
  readonly snapshotVersion: number;
  readonly added: readonly string[];
  readonly replaced: readonly string[];
  readonly removed: readonly string[];
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

export interface FilterSetsOptions extends Omit<StageOptions, 'checkVersion'> {
  readonly dirs: readonly string[];
  readonly metrics: FilterMetrics;
  readonly store: GroupStore;
  readonly limits?: Partial<TrialLimits> | undefined;
  /** Something about these filters changed. */
  readonly onChange: (ids: readonly string[]) => void;
}

type Changes = Pick<ReloadReport, 'added' | 'replaced' | 'removed'>;

function changesOf(before: readonly LoadedFilter[], after: readonly LoadedFilter[]): Changes {
  const old = new Map(before.map((filter) => [filter.id, filter]));
  const ids = new Set(after.map((filter) => filter.id));
  return {
    added: after.filter(({ id }) => !old.has(id)).map(({ id }) => id),
    replaced: after.filter((filter) => old.has(filter.id) && old.get(filter.id) !== filter).map(({ id }) => id),
    removed: before.filter(({ id }) => !ids.has(id)).map(({ id }) => id),
  };
}

function fingerprintOf(folders: readonly FilterFolder[]): string {
  return folders.map(({ file, hash }) => `${file}\0${hash}`).join('\n');
}

/**
 * Loads the first set from the folders. Throws what is wrong with it: a server must not start with part of its
 * filters. A stored configuration that no longer fits is dropped instead, and the server's own taken.
 */
async function loadFirst(options: FilterSetsOptions, stored: Record<string, unknown>): Promise<LoadedFilter[]> {
  const { dirs, log } = options;
  for (;;) {
    try {
      const config = { ...options.config, ...stored };
      const first = await loadFilters(readFolders(dirs), [], { ...options, config });
      const surplus = Object.keys(options.config).find((id) => !first.some((filter) => filter.id === id));
      if (surplus === undefined) return first;
      await Promise.all(first.map((filter) => filter.close()));
      throw filterUnknown(surplus);
    } catch (error) {
      const id = error instanceof AppError && error.reason === 'FILTER_CONFIG_INVALID' ? error.metadata['filter'] : '';
      if (id === undefined || !(id in stored)) throw error;
      log.error('stored configuration dropped: it no longer fits', { filter: id, error });
      delete stored[id];
    }
  }
}

/** Throws what `loadFirst` throws. Stored groups are staged again after it; one that is refused is set aside. */
export async function createFilterSets(options: FilterSetsOptions): Promise<FilterSets> {
  const { log, clock, store } = options;
  const settings = await store.readSettings();
  const configs: Record<string, unknown> = { ...settings.config };
  const base = await loadFirst(options, configs);
  const sets = new Sets(options, base, configs, settings);
  for (const { group, why } of await sets.groups.restore()) {
    for (const { id } of group.sources)
      sets.past.add({ id, version: '', stage: 'closed', explanation: why }, clock.now());
  }
  if (sets.groups.list.length > 0) {
    sets.swap();
    log.info('staged filters restored', { groups: sets.groups.list.map(({ id }) => id) });
  }
  return sets;
}

class Sets implements FilterSets {
  readonly past: PastVersions = createPastVersions();
  readonly groups: FilterGroups;
  base: readonly LoadedFilter[];
  current: Snapshot;
  swapMs = 0;
  readonly #options: FilterSetsOptions;
  readonly #configs: Record<string, unknown>;
  readonly #retiring = new Map<Snapshot, Promise<void>>();
  #disabled: ReadonlySet<string>;
  #refusedFingerprint = '';
  #queue: Promise<unknown> = Promise.resolve();
  #saving: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;

  constructor(
    options: FilterSetsOptions,
    base: readonly LoadedFilter[],
    configs: Record<string, unknown>,
    { disabled }: StoredSettings,
  ) {
    this.#options = options;
    this.#configs = configs;
    this.#disabled = new Set(disabled.filter((id) => !options.required.includes(id)));
    this.base = base;
    for (const filter of base) holdFilter(filter);
    this.current = createSnapshot(1, base, this.#disabled);
    this.groups = createFilterGroups({
      options,
      store: options.store,
      limits: { ...defaultTrialLimits, ...options.limits },
      base: () => this.base,
      swap: () => this.swap(),
      ended: (group, stage, explanation) => {
        const endedAtMs = options.clock.now();
        for (const { filter } of group.members) this.past.addFilter(filter, { stage, explanation }, endedAtMs);
        options.onChange(group.members.map(({ filter }) => filter.id));
      },
      worse: (group, why) => {
        const rollback = this.#enqueue(() => this.groups.rollback(group, `rolled back by itself: ${why}`));
        rollback.catch((error: unknown) => options.log.error('rollback failed', { group, error }));
      },
    });
  }

  get live(): readonly Snapshot[] {
    return [this.current, ...this.#retiring.keys()];
  }

  /** Exchanges the set in one step; the old one closes after its last call. */
  swap(): void {
    const startedAt = this.#options.clock.monotonic();
    const old = this.current;
    const { actives, trials } = this.groups.compose();
    // The new set takes hold of its filters before the old one lets go: those in both stay open.
    this.current = createSnapshot(old.version + 1, actives, this.#disabled, trials);
    this.#retiring.set(
      old,
      old.retire().then(() => void this.#retiring.delete(old)),
    );
    this.swapMs = this.#options.clock.monotonic() - startedAt;
  }

  /** Runs a step after those that were asked for before. */
  #enqueue<T>(step: () => Promise<T>): Promise<T> {
    const next = this.#queue.then(step);
    this.#queue = next.catch(() => {});
    return next;
  }

  reload(isWatched: boolean): Promise<ReloadReport> {
    return this.#enqueue(() => this.#reloadNow(isWatched));
  }

  async #reloadNow(isWatched: boolean): Promise<ReloadReport> {
    const { clock, metrics, log, dirs } = this.#options;
    const startedAt = clock.monotonic();
    const none: Changes = { added: [], replaced: [], removed: [] };
    const report = (result: ReloadReport['result'], changes: Changes, error?: AppError): ReloadReport => {
      metrics.reloaded(result);
      const durationMs = clock.monotonic() - startedAt;
      const swapMs = result === 'ok' ? this.swapMs : 0;
      return { result, snapshotVersion: this.current.version, ...changes, error, durationMs, swapMs };
    };
    if (this.#closing !== undefined) return report('unchanged', none);
    try {
      const changes = await this.#loadNext(isWatched);
      return changes === undefined ? report('unchanged', none) : report('ok', changes);
    } catch (error) {
      const fault = error instanceof AppError ? error : filterLoadFailed(dirs.join(', '), messageOf(error), error);
      log.error('filters not reloaded, the old set serves on', { version: this.current.version, error: fault });
      return report('failed', none, fault);
    }
  }

  /** Gives the changes that were made, or undefined when there were none. */
  async #loadNext(isWatched: boolean): Promise<Changes | undefined> {
    const { dirs, log, clock, onChange } = this.#options;
    const folders = readFolders(dirs);
    const fingerprint = fingerprintOf(folders);
    // The watcher reports one save many times: refused content is tried again by hand only.
    if (isWatched && fingerprint === this.#refusedFingerprint) return undefined;
    // Stands for as long as loading does not succeed.
    this.#refusedFingerprint = fingerprint;
    const config = { ...this.#options.config, ...this.#configs };
    const filters = await loadFilters(folders, this.base, { ...this.#options, config });
    this.#refusedFingerprint = '';
    const before = this.base;
    const changes = changesOf(before, filters);
    const ids = [...changes.added, ...changes.replaced, ...changes.removed];
    if (ids.length === 0) return undefined;
    this.#setBase(filters);
    const next = new Map(filters.map((filter) => [filter.id, filter]));
    for (const filter of before) {
      const successor = next.get(filter.id);
      if (successor === filter) continue;
      const explanation = successor === undefined ? 'its folder is gone' : `replaced by ${successor.version}`;
      this.past.addFilter(filter, { stage: 'closed', explanation }, clock.now());
    }
    log.info('filters reloaded', { version: this.current.version, ...changes });
    onChange(ids);
    return changes;
  }

  #setBase(filters: readonly LoadedFilter[]): void {
    const before = this.base;
    for (const filter of filters) holdFilter(filter);
    this.base = filters;
    this.swap();
    for (const filter of before) void releaseFilter(filter);
  }

  stage(sources: readonly FilterSource[]): Promise<FilterGroup> {
    return this.#change(async () => this.groups.stage(sources));
  }

  promote(group: string, promotion: Promotion): Promise<FilterGroup> {
    return this.#change(() => this.groups.promote(group, promotion));
  }

  rollback(group: string, why: string): Promise<void> {
    return this.#enqueue(() => this.groups.rollback(group, why));
  }

  #change(step: () => Promise<FilterGroup>): Promise<FilterGroup> {
    return this.#enqueue(async () => {
      const group = await step();
      this.#options.onChange(group.members.map(({ filter }) => filter.id));
      return group;
    });
  }

  setDisabled(id: string, isDisabled: boolean): void {
    const { log, required, onChange } = this.#options;
    if (!this.current.held.some((filter) => filter.id === id)) throw filterUnknown(id);
    if (isDisabled && required.includes(id)) throw filterRefused(id, 'required', 'the server does not run without it');
    if (this.#disabled.has(id) === isDisabled) return;
    const disabled = new Set(this.#disabled);
    if (isDisabled) disabled.add(id);
    else disabled.delete(id);
    this.#disabled = disabled;
    this.swap();
    log.warn('filter switched', { filter: id, disabled: isDisabled });
    this.#save();
    onChange([id]);
  }

  #save(): void {
    const { store, log } = this.#options;
    const settings = { disabled: [...this.#disabled], config: { ...this.#configs } };
    this.#saving = this.#saving.catch(() => {}).then(() => store.saveSettings(settings));
    this.#saving.catch((error: unknown) => log.error('filter settings not stored', { error }));
  }

  saved(): Promise<void> {
    return this.#saving;
  }

  setConfig(id: string, config: unknown): Promise<void> {
    return this.#enqueue(async () => {
      const group = this.groups.activeFor(id);
      const member = group?.members.find(({ filter }) => filter.id === id);
      const old = member?.filter ?? this.base.find((filter) => filter.id === id);
      if (old === undefined) throw filterUnknown(id);
      const filter = await old.reopen(config ?? this.#options.config[id]);
      if (group !== undefined) await this.groups.reconfigure(group, filter, filter.rawConfig);
      else {
        if (config === undefined) delete this.#configs[id];
        else this.#configs[id] = config;
        this.#setBase(this.base.map((each) => (each === old ? filter : each)));
        this.#save();
        await this.saved();
      }
      this.#options.log.warn('filter configured', { filter: id });
      this.#options.onChange([id]);
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    await this.#queue;
    await this.#saving.catch(() => {});
    const retired = this.current.retire();
    const released = [this.groups.close(), ...this.base.map(releaseFilter)];
    await Promise.all([retired, ...released, ...this.#retiring.values()]);
  }
}
