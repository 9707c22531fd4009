import type { CallPipeline } from '../../server/core/call.ts';
import type { Clock } from '../../server/core/clock.ts';
import type { Logger } from '../../server/core/log.ts';
import type { Random } from '../../server/core/random.ts';
import { type CallExplanation, createCallRecords, explainRecord } from './call/call-record.ts';
import { closedSession, createSession } from './call/session.ts';
import type { Capabilities } from './contract/capabilities.ts';
import { globMatcher } from './contract/glob.ts';
import { createFilterAdmin, type FilterAdmin } from './filter-admin.ts';
import { createFilterFaults } from './filter-faults.ts';
import { createFilterMetrics } from './filter-metrics.ts';
import { defaultWorkerLimits, type WorkerLimits } from './isolation/worker-host.ts';
import { readSignerKeys } from './load/filter-signature.ts';
import { createLeakWatch } from './load/leak-watch.ts';
import { watchFolders } from './load/watch-folders.ts';
import { describeSnapshot, type SnapshotDescription } from './set/describe-snapshot.ts';
import { createFilterSets } from './set/filter-sets.ts';
import type { FilterSets, ReloadReport } from './set/filter-sets-contract.ts';
import type { TrialLimits } from './versions/compare-versions.ts';
import { memoryGroupStore, openGroupStore } from './versions/group-store.ts';

/** Settings of the filter engine. */
export interface FilterEngineOptions {
  /** Folders of filters: the shipped one and any number of others. */
  readonly dirs: readonly string[];
  /**
   * Those of `dirs` whose files the start imports without a look in a thread first; of any other a loop at the top
   * level fails the start by `openTimeoutMs` instead of hanging it. Default all.
   */
  readonly trustedDirs?: readonly string[];
  /** Configuration by filter id. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
  /** What filters may use beside their call, e.g. connections to other servers; default none. */
  readonly capabilities?: Capabilities | undefined;
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
  /** Folder in which staged versions, switches and configurations outlive a restart; default none. */
  readonly stateDir?: string | undefined;
  /** PEM file of ed25519 public keys: staged sources must be signed by one of them; default no signatures. */
  readonly signersFile?: string | undefined;
  /** Globs on ids of filters that run in a worker thread whatever they say; default none. */
  readonly isolated?: readonly string[];
  /** Bounds of filters that run in a worker thread; default `defaultWorkerLimits`. */
  readonly workerLimits?: Partial<WorkerLimits>;
  /** Calls that run on a replaced set for longer than this are ended (UNAVAILABLE FILTERS_REPLACED), ms; default never. */
  readonly drainDeadlineMs?: number | undefined;
  /** When a canary counts as worse than the active version; default `defaultTrialLimits`. */
  readonly trialLimits?: Partial<TrialLimits>;
}

/** The filters of a server at work: the pipeline for server/rpc, reloads, and what operators do. */
export interface FilterEngine extends CallPipeline {
  /** Stages, trials, switches, configurations, listings. */
  readonly admin: FilterAdmin;
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

/**
 * Loads all filters and gives the pipeline that server/rpc calls. Throws FILTER_LOAD_FAILED, FILTER_INVALID,
 * FILTER_CONFIG_INVALID, FILTER_DUPLICATE, FILTER_MISSING, or FILTER_NOT_FOUND for a configuration without its filter,
 * when any filter is bad. Later reloads keep the old set instead.
 */
export async function createFilterEngine(options: FilterEngineOptions): Promise<FilterEngine> {
  const { dirs, config, log, clock, random, capabilities, required = [], openTimeoutMs = 10_000 } = options;
  const metrics = createFilterMetrics();
  const records = createCallRecords(options.recentCalls ?? 512);
  const deps = {
    ...{ clock, records, metrics, faults: createFilterFaults(clock, metrics) },
    current: () => sets.current,
  };
  const explain = (callId: string) => {
    const record = records.find(callId);
    return record && explainRecord(record);
  };
  const leaks = createLeakWatch(clock, log);
  const stopObserving = metrics.observeUncollected(() => leaks.uncollected);
  const { admin, changed: tellWatchers } = createFilterAdmin(() => ({ sets, explain }));
  const sets: FilterSets = await createFilterSets({
    ...{ dirs, config, required, log, clock, random, capabilities, openTimeoutMs, metrics },
    trustedDirs: options.trustedDirs,
    store: options.stateDir === undefined ? memoryGroupStore : openGroupStore(options.stateDir, log),
    signers: options.signersFile === undefined ? [] : readSignerKeys(options.signersFile),
    isIsolated: options.isolated?.length ? globMatcher(options.isolated) : undefined,
    workerLimits: { ...defaultWorkerLimits, ...options.workerLimits },
    limits: options.trialLimits,
    drainDeadlineMs: options.drainDeadlineMs,
    onChange: tellWatchers,
    onQuarantine: (id, isOut) => {
      if (isOut) metrics.quarantined(id);
      tellWatchers([id]);
    },
    onClosed: (id, held) => leaks.closed(id, held),
  });
  const changed = () => void sets.reload(true);
  const watcher =
    options.watch === false
      ? undefined
      : watchFolders({ dirs, clock, log, debounceMs: options.debounceMs ?? 200, changed });
  let isClosed = false;

  return {
    open: (call) => {
      if (isClosed) return closedSession();
      const snapshot = sets.current;
      const chain = snapshot.chainFor(call);
      return chain.slots.length === 0 ? undefined : createSession(call, chain, snapshot, deps);
    },
    reload: () => sets.reload(false),
    snapshot: () => describeSnapshot(sets.current),
    admin,
    explain,
    setDisabled: (id, isDisabled) => sets.setDisabled(id, isDisabled),
    close: () => {
      isClosed = true;
      watcher?.close();
      stopObserving();
      return sets.close();
    },
  };
}
