import { AppError, messageOf } from '../../server/core/errors.ts';
import { filterLoadFailed, filterUnknown } from './filter-errors.ts';
import type { FilterMetrics } from './filter-metrics.ts';
import { type LoadOptions, loadFilters } from './load-filters.ts';
import type { LoadedFilter } from './loaded-filter.ts';
import { type FilterFolder, readFolders } from './read-folders.ts';
import { createSnapshot, type Snapshot } from './snapshot.ts';

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
}

/** The set of filters that serves, and how it is exchanged for the next. */
export interface FilterSets {
  /** One pointer: a call reads it once. */
  readonly current: Snapshot;
  /** `isWatched`: content that was refused before is not tried again. Never rejects; one reload runs at a time. */
  reload(isWatched: boolean): Promise<ReloadReport>;
  /** Throws FILTER_NOT_FOUND. */
  setDisabled(id: string, isDisabled: boolean): void;
  /** No reload any more; resolves when every set has seen its last call and is closed. Idempotent. */
  close(): Promise<void>;
}

export interface FilterSetsOptions extends LoadOptions {
  readonly dirs: readonly string[];
  readonly metrics: FilterMetrics;
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

/** Loads the first set. Throws what is wrong with it: a server must not start with part of its filters. */
async function loadFirst({ dirs, ...options }: FilterSetsOptions): Promise<Snapshot> {
  const first = createSnapshot(1, await loadFilters(readFolders(dirs), [], options), new Set());
  const surplus = Object.keys(options.config).find((id) => !first.filters.some((filter) => filter.id === id));
  if (surplus === undefined) return first;
  await first.retire();
  throw filterUnknown(surplus);
}

export async function createFilterSets(options: FilterSetsOptions): Promise<FilterSets> {
  const { dirs, log, clock, metrics } = options;
  const retiring = new Set<Promise<void>>();
  let current = await loadFirst(options);
  let refusedFingerprint = '';
  let reloading: Promise<unknown> = Promise.resolve();
  let closing: Promise<void> | undefined;

  function swap(filters: readonly LoadedFilter[], disabled: ReadonlySet<string>): void {
    const old = current;
    // The new set takes hold of its filters before the old one lets go: those in both stay open.
    current = createSnapshot(old.version + 1, filters, disabled);
    const retired = old.retire().then(() => void retiring.delete(retired));
    retiring.add(retired);
  }

  /** Gives the changes that were made, or undefined when there were none. */
  async function loadNext(isWatched: boolean): Promise<Changes | undefined> {
    const folders = readFolders(dirs);
    const fingerprint = fingerprintOf(folders);
    // The watcher reports one save many times: refused content is tried again by hand only.
    if (isWatched && fingerprint === refusedFingerprint) return undefined;
    // Stands for as long as loading does not succeed.
    refusedFingerprint = fingerprint;
    const filters = await loadFilters(folders, current.filters, options);
    refusedFingerprint = '';
    const changes = changesOf(current.filters, filters);
    if (changes.added.length + changes.replaced.length + changes.removed.length === 0) return undefined;
    swap(filters, current.disabled);
    log.info('filters reloaded', { version: current.version, ...changes });
    return changes;
  }

  async function reloadNow(isWatched: boolean): Promise<ReloadReport> {
    const startedAt = clock.monotonic();
    const none: Changes = { added: [], replaced: [], removed: [] };
    const report = (result: ReloadReport['result'], changes: Changes, error?: AppError): ReloadReport => {
      metrics.reloaded(result);
      const durationMs = clock.monotonic() - startedAt;
      return { result, snapshotVersion: current.version, ...changes, error, durationMs };
    };
    if (closing !== undefined) return report('unchanged', none);
    try {
      const changes = await loadNext(isWatched);
      return changes === undefined ? report('unchanged', none) : report('ok', changes);
    } catch (error) {
      const fault = error instanceof AppError ? error : filterLoadFailed(dirs.join(', '), messageOf(error), error);
      log.error('filters not reloaded, the old set serves on', { version: current.version, error: fault });
      return report('failed', none, fault);
    }
  }

  async function closeAll(): Promise<void> {
    await reloading;
    await Promise.all([current.retire(), ...retiring]);
  }

  return {
    get current() {
      return current;
    },
    reload: (isWatched) => {
      const next = reloading.then(() => reloadNow(isWatched));
      reloading = next;
      return next;
    },
    setDisabled: (id, isDisabled) => {
      if (!current.filters.some((filter) => filter.id === id)) throw filterUnknown(id);
      if (current.disabled.has(id) === isDisabled) return;
      const disabled = new Set(current.disabled);
      if (isDisabled) disabled.add(id);
      else disabled.delete(id);
      swap(current.filters, disabled);
      log.warn('filter switched', { filter: id, disabled: isDisabled });
    },
    close: () => {
      closing ??= closeAll();
      return closing;
    },
  };
}
