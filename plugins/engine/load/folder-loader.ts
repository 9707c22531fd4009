import { resolve, sep } from 'node:path';
import { AppError } from '../../../server/core/errors.ts';
import { filterUnknown } from '../filter-errors.ts';
import { createImportProbe, type ImportProbe } from '../isolation/import-probe.ts';
import { defaultWorkerLimits } from '../isolation/worker-host.ts';
import { type LoadOptions, loadFilters } from './load-filters.ts';
import type { LoadedFilter } from './loaded-filter.ts';
import { type FilterFolder, readFolders } from './read-folders.ts';

interface FolderLoaderOptions extends LoadOptions {
  readonly dirs: readonly string[];
  /** Folders of `dirs` whose files need no thread before the first import; default all. */
  readonly trustedDirs?: readonly string[] | undefined;
}

/** Ids of filters that differ between two sets. */
export interface FilterChanges {
  readonly added: readonly string[];
  readonly replaced: readonly string[];
  readonly removed: readonly string[];
}

/** Loads the filters of the folders, a whole set or nothing. */
export interface FolderLoader {
  /**
   * Throws what is wrong with the set: a server must not start with part of its filters. A configuration in `stored`
   * that no longer fits is dropped there instead, and the server's own taken.
   */
  loadFirst(stored: Record<string, unknown>): Promise<LoadedFilter[]>;
  /**
   * What the folders hold now; filters of unchanged folders are those of `current`. `stored` are configurations in
   * place of the server's. Undefined: watched, and refused before. Throws what is wrong.
   */
  loadNext(
    current: readonly LoadedFilter[],
    stored: Readonly<Record<string, unknown>>,
    isWatched: boolean,
  ): Promise<LoadedFilter[] | undefined>;
  close(): Promise<void>;
}

/** Times that folders are read when they change meanwhile. */
const maxReads = 3;

function fingerprintOf(folders: readonly FilterFolder[]): string {
  return folders.map(({ file, hash }) => `${file}\0${hash}`).join('\n');
}

/** What differs between two sets; the same id with another instance counts as replaced. */
export function changesOf(before: readonly LoadedFilter[], after: readonly LoadedFilter[]): FilterChanges {
  const old = new Map(before.map((filter) => [filter.id, filter]));
  const ids = new Set(after.map((filter) => filter.id));
  return {
    added: after.filter(({ id }) => !old.has(id)).map(({ id }) => id),
    replaced: after.filter((filter) => old.has(filter.id) && old.get(filter.id) !== filter).map(({ id }) => id),
    removed: before.filter(({ id }) => !ids.has(id)).map(({ id }) => id),
  };
}

/** `check` throws what is wrong with the set that a reload would make. */
export function createFolderLoader(
  options: FolderLoaderOptions,
  check: (filters: readonly LoadedFilter[]) => void,
): FolderLoader {
  const { dirs, log } = options;
  const { clock, openTimeoutMs, workerLimits: limits = defaultWorkerLimits } = options;
  const { trustedDirs } = options;
  const probe = createImportProbe({ clock, log, openTimeoutMs, limits, hidesEnv: options.isIsolated !== undefined });
  let refusedFingerprint = '';

  /** A set that does not serve yet has no calls that a bad file could cost, but a loop in it would hang the start. */
  function firstProbeOf({ folder }: FilterFolder): ImportProbe | undefined {
    const isTrusted = trustedDirs?.some((dir) => folder.startsWith(resolve(dir) + sep)) ?? true;
    return isTrusted ? undefined : probe;
  }

  async function loadAll(config: LoadOptions['config']): Promise<LoadedFilter[]> {
    const first = await loadFilters(await readFolders(dirs), [], { ...options, config }, firstProbeOf);
    const surplus = Object.keys(options.config).find((id) => !first.some((filter) => filter.id === id));
    if (surplus === undefined) return first;
    await Promise.all(first.map((filter) => filter.close()));
    throw filterUnknown(surplus);
  }

  /** Those that were opened for a set that is refused are closed again. */
  async function checkOrClose(filters: readonly LoadedFilter[], current: readonly LoadedFilter[]): Promise<void> {
    try {
      check(filters);
    } catch (error) {
      await Promise.all(filters.filter((filter) => !current.includes(filter)).map((filter) => filter.close()));
      throw error;
    }
  }

  async function loadNext(
    current: readonly LoadedFilter[],
    stored: Readonly<Record<string, unknown>>,
    isWatched: boolean,
    reads: number,
  ): Promise<LoadedFilter[] | undefined> {
    const folders = await readFolders(dirs);
    const fingerprint = fingerprintOf(folders);
    // The watcher reports one save many times: refused content is tried again by hand only.
    if (isWatched && fingerprint === refusedFingerprint) return undefined;
    try {
      const filters = await loadFilters(
        folders,
        current,
        { ...options, config: { ...options.config, ...stored } },
        () => probe,
      );
      await checkOrClose(filters, current);
      refusedFingerprint = '';
      return filters;
    } catch (error) {
      // What was read while somebody wrote it is read again.
      if (reads > 1 && fingerprintOf(await readFolders(dirs)) !== fingerprint) {
        return loadNext(current, stored, isWatched, reads - 1);
      }
      refusedFingerprint = fingerprint;
      throw error;
    }
  }

  return {
    loadFirst: async (stored) => {
      // The thread ends with the start, also with one that fails.
      await using _ = { [Symbol.asyncDispose]: () => probe.close() };
      for (;;) {
        try {
          return await loadAll({ ...options.config, ...stored });
        } catch (error) {
          const isConfig = error instanceof AppError && error.reason === 'FILTER_CONFIG_INVALID';
          const id = isConfig ? error.metadata['filter'] : undefined;
          if (id === undefined || !(id in stored)) throw error;
          log.error('stored configuration dropped: it no longer fits', { filter: id, error });
          delete stored[id];
        }
      }
    },
    loadNext: (current, stored, isWatched) => loadNext(current, stored, isWatched, maxReads),
    close: () => probe.close(),
  };
}
