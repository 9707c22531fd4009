import type { CallPipeline } from '../../server/core/call.ts';
import type { Clock } from '../../server/core/clock.ts';
import { AppError, messageOf } from '../../server/core/errors.ts';
import type { Logger } from '../../server/core/log.ts';
import type { Random } from '../../server/core/random.ts';
import { type CallExplanation, createCallRecords, explainRecord } from './call-record.ts';
import { describeSnapshot, type SnapshotDescription } from './describe-snapshot.ts';
import { filterLoadFailed, filterUnknown } from './filter-errors.ts';
import { createFilterFaults } from './filter-faults.ts';
import { createFilterMetrics } from './filter-metrics.ts';
import { loadFilters } from './load-filters.ts';
import type { LoadedFilter } from './loaded-filter.ts';
import { type FilterFolder, readFolders } from './read-folders.ts';
import { closedSession, createSession } from './session.ts';
import { createSnapshot, type Snapshot } from './snapshot.ts';
import { watchFolders } from './watch-folders.ts';

/** Settings of the filter engine. */
export interface FilterEngineOptions {
  /** Folders of filters: the shipped one and any number of others. */
  readonly dirs: readonly string[];
  /** Configuration by filter id. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
  /** Ids without which a set is refused, so that a lost folder cannot open the door; default none. */
  readonly required?: readonly string[];
  /** Reload when a folder changes; default true. */
  readonly watch?: boolean;
  /** Quiet time after a change before the reload, in ms; default 200. */
  readonly debounceMs?: number;
  /** Longest import, open or close of one filter, in ms; default 10,000. */
  readonly openTimeoutMs?: number;
  /** Ended calls that `explain` remembers; default 512. */
  readonly recentCalls?: number;
}

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

export interface FilterEngine extends CallPipeline {
  /** Loads what changed on disk and swaps the set at once, or keeps the old one; never rejects. */
  reload(): Promise<ReloadReport>;
  /** The set that serves now. */
  snapshot(): SnapshotDescription;
  /** What the filters did in a recently ended call; undefined when it is unknown or forgotten. */
  explain(callId: string): CallExplanation | undefined;
  /** Takes a filter out of new calls, or back in. Throws FILTER_NOT_FOUND. */
  setDisabled(id: string, isDisabled: boolean): void;
  /** Stops watching, refuses new calls, and resolves when the last call ended and every filter is closed. */
  close(): Promise<void>;
}

function difference(before: readonly LoadedFilter[], after: readonly LoadedFilter[]) {
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
 * Loads all filters and gives the pipeline that server/rpc calls. Throws FILTER_LOAD_FAILED, FILTER_INVALID,
 * FILTER_CONFIG_INVALID, FILTER_DUPLICATE or FILTER_MISSING when any filter is bad: a server must not start with part
 * of its filters. Later reloads keep the old set instead.
 */
export async function createFilterEngine(options: FilterEngineOptions): Promise<FilterEngine> {
  const { dirs, config, log, clock, random, required = [], openTimeoutMs = 10_000 } = options;
  const metrics = createFilterMetrics();
  const records = createCallRecords(options.recentCalls ?? 512);
  const faults = createFilterFaults(clock, metrics);
  const deps = { clock, records, faults, metrics };
  const loadOptions = { config, required, log, clock, random, openTimeoutMs };

  const folders = readFolders(dirs);
  const filters = await loadFilters(folders, [], loadOptions);
  let current: Snapshot = createSnapshot(1, filters, new Set());
  let failedFingerprint = '';
  let reloading: Promise<unknown> = Promise.resolve();
  let closing: Promise<void> | undefined;
  const retiring = new Set<Promise<void>>();
  for (const id of Object.keys(config)) {
    if (!filters.some((filter) => filter.id === id)) {
      await current.retire();
      throw filterUnknown(id);
    }
  }

  function swap(filtersOfNext: readonly LoadedFilter[], disabled: ReadonlySet<string>): void {
    const old = current;
    current = createSnapshot(old.version + 1, filtersOfNext, disabled);
    const retired = old.retire().then(() => void retiring.delete(retired));
    retiring.add(retired);
  }

  async function reloadNow(isWatched: boolean): Promise<ReloadReport> {
    const startedAt = clock.monotonic();
    const report = (result: ReloadReport['result'], error?: AppError, changes = difference([], [])): ReloadReport => {
      metrics.reloaded(result);
      const durationMs = clock.monotonic() - startedAt;
      return { result, snapshotVersion: current.version, ...changes, error, durationMs };
    };
    if (closing !== undefined) return report('unchanged');
    let fingerprint = '';
    try {
      const found = readFolders(dirs);
      fingerprint = fingerprintOf(found);
      // The watcher reports one save many times: a set that was refused is tried again when it changes, or by hand.
      if (isWatched && fingerprint === failedFingerprint) return report('unchanged');
      const before = current.filters;
      const after = await loadFilters(found, before, loadOptions);
      const changes = difference(before, after);
      failedFingerprint = '';
      if ([...changes.added, ...changes.replaced, ...changes.removed].length === 0) return report('unchanged');
      swap(after, current.disabled);
      log.info('filters reloaded', { version: current.version, ...changes });
      return report('ok', undefined, changes);
    } catch (error) {
      const fault = error instanceof AppError ? error : filterLoadFailed(dirs.join(', '), messageOf(error), error);
      failedFingerprint = fingerprint;
      log.error('filters not reloaded, the old set serves on', { version: current.version, error: fault });
      return report('failed', fault);
    }
  }

  function reload(isWatched: boolean): Promise<ReloadReport> {
    const next = reloading.then(() => reloadNow(isWatched));
    reloading = next;
    return next;
  }

  const watcher =
    options.watch === false
      ? undefined
      : watchFolders({
          ...{ dirs, clock, log, debounceMs: options.debounceMs ?? 200 },
          changed: () => void reload(true),
        });

  async function closeAll(): Promise<void> {
    watcher?.close();
    await reloading;
    await Promise.all([current.retire(), ...retiring]);
  }

  return {
    open: (call) => {
      if (closing !== undefined) return closedSession();
      const snapshot = current;
      const chain = snapshot.chainFor(call);
      return chain.slots.length === 0 ? undefined : createSession(call, chain, snapshot, deps);
    },
    reload: () => reload(false),
    snapshot: () => describeSnapshot(current),
    explain: (callId) => {
      const record = records.find(callId);
      return record && explainRecord(record);
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
