import { AppError, messageOf } from '../../../server/core/errors.ts';
import {
  filterKeysInvalid,
  filterLoadFailed,
  filterRefused,
  filtersReplaced,
  filterUnknown,
} from '../filter-errors.ts';
import { changesOf, createFolderLoader, type FilterChanges, type FolderLoader } from '../load/folder-loader.ts';
import { holdFilter, type LoadedFilter, releaseFilter } from '../load/loaded-filter.ts';
import { defaultTrialLimits } from '../versions/compare-versions.ts';
import type { FilterGroup, FilterGroups, Promotion } from '../versions/filter-group.ts';
import { createFilterGroups } from '../versions/filter-groups.ts';
import type { StoredSettings } from '../versions/group-store.ts';
import { createPastVersions, type PastVersions } from '../versions/past-versions.ts';
import type { FilterSource } from '../versions/stage-filter.ts';
import type { FilterSets, FilterSetsOptions, ReloadReport } from './filter-sets-contract.ts';
import { keyFaults, newKeyFaults } from './key-faults.ts';
import { createSnapshot, type Snapshot } from './snapshot.ts';

/** Throws what `loadFirst` throws. Stored groups are staged again after it; one that is refused is set aside. */
export async function createFilterSets(options: FilterSetsOptions): Promise<FilterSets> {
  const { log, clock, store } = options;
  const settings = await store.readSettings();
  const configs: Record<string, unknown> = { ...settings.config };
  const folders = createFolderLoader(options, (filters) => sets.checkKeys(filters));
  const base = await folders.loadFirst(configs);
  const sets: Sets = new Sets(options, folders, base, configs, settings);
  for (const { group, why } of await sets.groups.restore()) {
    for (const { id } of group.sources)
      sets.past.add({ id, version: '', stage: 'closed', explanation: why }, clock.now());
  }
  const faults = keyFaults({ filters: sets.groups.servingWith(sets.base), disabled: sets.disabled });
  if (faults.length > 0) {
    await sets.close();
    throw filterKeysInvalid(faults);
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
  readonly #folders: FolderLoader;
  readonly #configs: Record<string, unknown>;
  readonly #retiring = new Map<Snapshot, Promise<void>>();
  disabled: ReadonlySet<string>;
  #queue: Promise<unknown> = Promise.resolve();
  #saving: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;

  constructor(
    options: FilterSetsOptions,
    folders: FolderLoader,
    base: readonly LoadedFilter[],
    configs: Record<string, unknown>,
    { disabled }: StoredSettings,
  ) {
    this.#options = options;
    this.#folders = folders;
    this.#configs = configs;
    this.disabled = new Set(disabled.filter((id) => !options.required.includes(id)));
    this.base = base;
    for (const filter of base) holdFilter(filter);
    this.current = createSnapshot(1, base, this.disabled);
    this.groups = createFilterGroups({
      options,
      store: options.store,
      limits: { ...defaultTrialLimits, ...options.limits },
      base: () => this.base,
      disabled: () => this.disabled,
      swap: () => this.swap(),
      ended: (group, stage, explanation) => {
        const endedAtMs = options.clock.now();
        for (const { filter } of group.members) this.past.addFilter(filter, { stage, explanation }, endedAtMs);
        options.onChange(group.members.map(({ filter }) => filter.id));
      },
      worse: (group, why) => {
        const rollback = this.#enqueue(() => this.#rollBack(group, `rolled back by itself: ${why}`));
        rollback.catch((error: unknown) => options.log.error('rollback failed', { group, error }));
      },
    });
  }

  /** Throws FILTER_KEYS_INVALID when the set with these versions from folders would lack a key that this one has. */
  checkKeys(base: readonly LoadedFilter[]): void {
    const faults = this.#keyFaults(this.groups.servingWith(base), this.disabled);
    if (faults.length > 0) throw filterKeysInvalid(faults);
  }

  #keyFaults(filters: readonly LoadedFilter[], disabled: ReadonlySet<string>): string[] {
    const { base, groups } = this;
    return newKeyFaults({ filters: groups.servingWith(base), disabled: this.disabled }, { filters, disabled });
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
    this.current = createSnapshot(old.version + 1, actives, this.disabled, trials);
    const cancel = this.#planStop(old);
    this.#retiring.set(
      old,
      old.retire().then(() => {
        cancel();
        this.#retiring.delete(old);
      }),
    );
    this.swapMs = this.#options.clock.monotonic() - startedAt;
  }

  /** Ends what still runs on the old set when its time is up. */
  #planStop(old: Snapshot): () => void {
    const { clock, log, drainDeadlineMs } = this.#options;
    if (drainDeadlineMs === undefined || drainDeadlineMs <= 0) return () => {};
    return clock.schedule(drainDeadlineMs, () => {
      const stopped = old.stopCalls(filtersReplaced(drainDeadlineMs));
      if (stopped > 0) log.warn('calls of a replaced filter set ended', { version: old.version, calls: stopped });
    });
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
    const none: FilterChanges = { added: [], replaced: [], removed: [] };
    const report = (result: ReloadReport['result'], changes: FilterChanges, error?: AppError): ReloadReport => {
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
  async #loadNext(isWatched: boolean): Promise<FilterChanges | undefined> {
    const { log, clock, onChange } = this.#options;
    const filters = await this.#folders.loadNext(this.base, this.#configs, isWatched);
    if (filters === undefined) return undefined;
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
    return this.#enqueue(() => this.#rollBack(group, why));
  }

  /** A version that is worse goes whatever the others require of it; what they lack then is told. */
  async #rollBack(group: string, why: string): Promise<void> {
    await this.groups.rollback(group, why);
    const faults = keyFaults({ filters: this.groups.servingWith(this.base), disabled: this.disabled });
    if (faults.length > 0) this.#options.log.error('filters lack context keys after a rollback', { group, faults });
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
    if (this.disabled.has(id) === isDisabled) return;
    const disabled = new Set(this.disabled);
    if (isDisabled) disabled.add(id);
    else disabled.delete(id);
    const [fault] = this.#keyFaults(this.groups.servingWith(this.base), disabled);
    if (fault !== undefined) throw filterRefused(id, 'keys', fault);
    this.disabled = disabled;
    this.swap();
    log.warn('filter switched', { filter: id, disabled: isDisabled });
    this.#save();
    onChange([id]);
  }

  #save(): void {
    const { store, log } = this.#options;
    const settings = { disabled: [...this.disabled], config: { ...this.#configs } };
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
      const [fault] = this.#keyFaults(this.groups.servingWith(this.base, [filter]), this.disabled);
      if (fault !== undefined) {
        await filter.close();
        throw filterRefused(id, 'keys', fault);
      }
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
    await this.#folders.close();
    const retired = this.current.retire();
    const released = [this.groups.close(), ...this.base.map(releaseFilter)];
    await Promise.all([retired, ...released, ...this.#retiring.values()]);
  }
}
