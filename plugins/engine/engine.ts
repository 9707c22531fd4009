import type { CallPipeline } from '../../server/core/call.ts';
import type { Clock } from '../../server/core/clock.ts';
import type { Logger } from '../../server/core/log.ts';
import type { Random } from '../../server/core/random.ts';
import { type CallExplanation, createCallRecords, explainRecord } from './call-record.ts';
import type { Capabilities } from './capabilities.ts';
import { describeSnapshot, type SnapshotDescription } from './describe-snapshot.ts';
import { createFilterFaults } from './filter-faults.ts';
import { createFilterMetrics } from './filter-metrics.ts';
import { createFilterSets, type ReloadReport } from './filter-sets.ts';
import { closedSession, createSession } from './session.ts';
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

/**
 * Loads all filters and gives the pipeline that server/rpc calls. Throws FILTER_LOAD_FAILED, FILTER_INVALID,
 * FILTER_CONFIG_INVALID, FILTER_DUPLICATE, FILTER_MISSING, or FILTER_NOT_FOUND for a configuration without its filter,
 * when any filter is bad. Later reloads keep the old set instead.
 */
export async function createFilterEngine(options: FilterEngineOptions): Promise<FilterEngine> {
  const { dirs, config, log, clock, random, capabilities, required = [], openTimeoutMs = 10_000 } = options;
  const metrics = createFilterMetrics();
  const records = createCallRecords(options.recentCalls ?? 512);
  const deps = { clock, records, metrics, faults: createFilterFaults(clock, metrics) };
  const sets = await createFilterSets({
    ...{ dirs, config, required, log, clock, random, capabilities, openTimeoutMs, metrics },
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
    explain: (callId) => {
      const record = records.find(callId);
      return record && explainRecord(record);
    },
    setDisabled: sets.setDisabled,
    close: () => {
      isClosed = true;
      watcher?.close();
      return sets.close();
    },
  };
}
