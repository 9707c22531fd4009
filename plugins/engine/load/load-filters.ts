import type { Clock } from '../../../server/core/clock.ts';
import { messageOf } from '../../../server/core/errors.ts';
import type { Logger } from '../../../server/core/log.ts';
import type { Random } from '../../../server/core/random.ts';
import type { Capabilities } from '../contract/capabilities.ts';
import type { TextMatcher } from '../contract/glob.ts';
import type { Filter } from '../filter.ts';
import { filterDuplicate, filterLoadFailed, filterMissing, filterOrderInvalid } from '../filter-errors.ts';
import type { ImportProbe } from '../isolation/import-probe.ts';
import { isolateFilter } from '../isolation/isolated-filter.ts';
import { type DeclaredFilter, declarationOf } from '../isolation/isolation-protocol.ts';
import { defaultWorkerLimits, type WorkerLimits } from '../isolation/worker-host.ts';
import { runSelfTests } from '../kit/self-test.ts';
import { orderFaults, type Placed } from '../set/running-order.ts';
import { withDeadline } from '../with-deadline.ts';
import { checkFilter } from './check-filter.ts';
import { importFilter } from './import-filter.ts';
import { type LoadedFilter, type OpenFilterOptions, openFilter } from './loaded-filter.ts';
import { type FilterFolder, hashFolder } from './read-folders.ts';

/** What loading a set of filters needs. */
export interface LoadOptions {
  /** Configuration by filter id. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Ids that must be present. */
  readonly required: readonly string[];
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
  /** What filters may use beside their call; default none. */
  readonly capabilities?: Capabilities | undefined;
  /** Longest import and longest open of one filter, in ms. */
  readonly openTimeoutMs: number;
  /** Filters that run in a worker whatever they say; default none. */
  readonly isIsolated?: TextMatcher | undefined;
  readonly workerLimits?: WorkerLimits | undefined;
  readonly onQuarantine?: OpenFilterOptions['onQuarantine'];
  readonly onClosed?: OpenFilterOptions['onClosed'];
}

interface Staged {
  readonly source: FilterFolder;
  readonly definition: Filter<unknown, unknown>;
}

const maxTries = 3;

/** Runs the filter's own code in the server's thread. */
async function importHere(source: FilterFolder, { clock, openTimeoutMs }: LoadOptions): Promise<unknown> {
  // A top-level await that never settles must not block reloads for good.
  const expired = () => filterLoadFailed(source.file, `import took over ${openTimeoutMs} ms`);
  const module = await withDeadline({ clock, timeoutMs: openTimeoutMs, expired }, () => importFilter(source));
  return module.filter;
}

/** The definition that serves: one that is to run in a worker passes everything on to it. */
async function define(source: FilterFolder, options: LoadOptions, probe: ImportProbe | undefined) {
  if (probe === undefined) return place(source, await importHere(source, options), options);
  const declared = await probe.declare(source, false);
  if (declared.isolation !== 'worker' && !options.isIsolated?.(declared.id)) {
    return checkFilter(await importHere(source, options), source.file);
  }
  // Its code never runs in the server's thread.
  const isIsolated = declared.isolation !== 'worker';
  return isolate(source, isIsolated ? await probe.declare(source, true) : declared, isIsolated, options);
}

function isolate(source: FilterFolder, declared: DeclaredFilter, isIsolated: boolean, options: LoadOptions) {
  const { clock, log, openTimeoutMs, workerLimits: limits = defaultWorkerLimits } = options;
  return isolateFilter(declared, { source, isIsolated, limits, clock, log, openTimeoutMs });
}

function place(source: FilterFolder, exported: unknown, options: LoadOptions): Filter<unknown, unknown> {
  const id = (exported as { id?: unknown } | undefined)?.id;
  const isIsolated = typeof id === 'string' && (options.isIsolated?.(id) ?? false);
  const definition = checkFilter(exported, source.file, isIsolated ? 'worker' : undefined);
  if (!isIsolated && definition.isolation !== 'worker') return definition;
  return isolate(source, declarationOf(definition, 'worker'), isIsolated, options);
}

/** Imports a filter. A folder that changes meanwhile (a save, a deployment) is read again: no mix of versions is run. */
async function stage(found: FilterFolder, options: LoadOptions, probe: ImportProbe | undefined): Promise<Staged> {
  let source = found;
  for (let tries = 1; ; tries++) {
    const definition = await define(source, options, probe);
    const hash = await hashFolder(source.folder);
    if (hash === source.hash) return { source, definition };
    if (tries === maxTries) throw filterLoadFailed(source.file, 'keeps changing while it is loaded');
    source = { ...source, hash };
  }
}

function checkSet(files: readonly (Placed & { readonly file: string })[], required: readonly string[]): void {
  const byId = Map.groupBy(files, ({ id }) => id);
  for (const [id, same] of byId) {
    if (same.length > 1)
      throw filterDuplicate(
        id,
        same.map(({ file }) => file),
      );
  }
  for (const id of required) if (!byId.has(id)) throw filterMissing(id);
  const faults = orderFaults(files);
  if (faults.length > 0) throw filterOrderInvalid(faults);
}

/**
 * Loads a whole set, all or nothing: folders with unchanged content keep their filter from `current`, the others are
 * imported (first by the probe that `probeOf` gives), checked and opened. On any fault the newly opened ones are closed
 * again and the first fault is thrown.
 */
export async function loadFilters(
  folders: readonly FilterFolder[],
  current: readonly LoadedFilter[],
  options: LoadOptions,
  probeOf: (source: FilterFolder) => ImportProbe | undefined,
): Promise<LoadedFilter[]> {
  const kept: LoadedFilter[] = [];
  const staged: Staged[] = [];
  for (const source of folders) {
    const same = current.find((filter) => filter.file === source.file && filter.hash === source.hash);
    if (same === undefined) staged.push(await stage(source, options, probeOf(source)));
    else kept.push(same);
  }
  checkSet(
    [...kept, ...staged.map(({ source, definition }) => ({ ...definition, file: source.file }))],
    options.required,
  );

  for (const { source, definition } of staged) {
    await runSelfTests({ ...options, ...source, definition, rawConfig: options.config[definition.id] });
  }
  const opened = await Promise.allSettled(
    staged.map(({ source, definition }) =>
      openFilter({ ...options, ...source, definition, rawConfig: options.config[definition.id] }),
    ),
  );
  const filters = opened.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const faults = opened.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
  if (faults.length === 0) return [...kept, ...filters];
  await Promise.all(filters.map((filter) => filter.close()));
  for (const fault of faults.slice(1)) options.log.error('filter cannot be loaded', { error: messageOf(fault) });
  throw faults[0];
}
