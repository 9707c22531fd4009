import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { ObjectStore } from '../../stores/objects/object-store.ts';
import type { RecordsStore } from '../../stores/records/records-store.ts';
import { jobBusy } from '../job-errors.ts';
import { decode, encode, isConflict, type JobStore } from '../job-store.ts';
import type { RunRow } from './run-state.ts';

interface RunObjectsDeps {
  readonly records: RecordsStore;
  readonly store: Pick<JobStore, 'find'>;
  readonly objects: Pick<ObjectStore, 'stat' | 'list' | 'delete'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Pause between two rounds, in ms. Default 10 minutes. */
  readonly everyMs?: number;
}

/** Sees to it that results of items leave the object store with their run. */
export interface RunObjects {
  /** Takes down that a run will store results of items, before it does. Repeating it is harmless. */
  note(runId: string, row: RunRow): Promise<void>;
  /**
   * Keeps results of an earlier run for one that restarts it and takes them over. False when they are there no longer,
   * or about to go.
   */
  keepFor(runId: string, resultsKey: string): Promise<boolean>;
  /** Removes the objects of a run whose record is gone, unless a later run needs them. True when they are removed. */
  remove(runId: string): Promise<boolean>;
  /** Removes those of all such runs, from where a crash left off. Gives of how many. */
  sweep(): Promise<number>;
  /** Sweeps now and then until closed. */
  start(): void;
  close(): Promise<void>;
}

/** One row per run with items, for as long as it has objects. */
interface ObjectsRow {
  /** Runs that have taken results over. */
  readonly usedBy: readonly string[];
  /** They are being removed, for good. */
  readonly isGoing?: true;
}

const partition = 'jobs/run-objects';
const pageRows = 100;
const pageObjects = 200;
const maxTries = 20;
const defaultEveryMs = 600_000;

/** Key of the list of a node's results. */
export function resultsKeyOf(runId: string, nodeId: string): string {
  return `jobs/${runId}/${nodeId}/results.json`;
}

/** Key of the results of one chunk of its items. */
export function chunkKeyOf(runId: string, nodeId: string, chunk: number): string {
  return `jobs/${runId}/${nodeId}/items-${String(chunk).padStart(3, '0')}.jsonl`;
}

/** Nothing else that somebody keeps below the same prefix. */
const ourKey = /^jobs\/[^/]+\/[^/]+\/(results\.json|items-\d{3,}\.jsonl)$/;

/** One row per run that has stored results of items. Throws JOB_BUSY when others change it again and again. */
export function createRunObjects(deps: RunObjectsDeps): RunObjects {
  const { records, store, objects, clock, log, everyMs = defaultEveryMs } = deps;
  const stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();

  const load = async (runId: string) => {
    const stored = await records.get(partition, runId);
    if (stored === undefined) return { row: { usedBy: [] } as ObjectsRow, version: 'absent' as const };
    return { row: decode<ObjectsRow>(stored.value), version: stored.version };
  };
  /** `decide` gives undefined to leave the row. Gives what is stored then. */
  const change = async (runId: string, decide: (row: ObjectsRow) => Promise<ObjectsRow | undefined>) => {
    for (let tries = 0; tries < maxTries; tries++) {
      const { row, version } = await load(runId);
      const decided = await decide(row);
      if (decided === undefined) return row;
      try {
        await records.put(partition, runId, encode(decided), { ifVersion: version });
        return decided;
      } catch (error) {
        if (!isConflict(error)) throw error;
      }
    }
    throw jobBusy(`jobs/${runId}`);
  };
  const isThere = async (runId: string) => (await store.find(runId)) !== undefined;

  const deleteAll = async (runId: string) => {
    for (let after = ''; ; ) {
      const page = await objects.list(`jobs/${runId}/`, { limit: pageObjects, ...(after === '' ? {} : { after }) });
      for (const { key } of page) if (ourKey.test(key)) await objects.delete(key);
      after = page.at(-1)?.key ?? '';
      if (page.length < pageObjects) return;
    }
  };
  const remove = async (runId: string) => {
    // Marked first: from then on no run takes them over, and whoever goes on after a crash knows that they must go.
    const row = await change(runId, async (now) => {
      if (now.isGoing || (await isThere(runId))) return undefined;
      for (const user of now.usedBy) if (await isThere(user)) return undefined;
      return { ...now, isGoing: true };
    });
    if (!row.isGoing) return false;
    await deleteAll(runId);
    await records.delete(partition, runId);
    return true;
  };
  const sweep = async () => {
    let removed = 0;
    for (let from = ''; !stopping.signal.aborted; ) {
      const rows = await records.scan(partition, { limit: pageRows, ...(from === '' ? {} : { from }) });
      for (const { key } of rows) if (!stopping.signal.aborted && (await remove(key))) removed++;
      if (rows.length < pageRows) break;
      from = `${rows.at(-1)?.key}\0`;
    }
    return removed;
  };
  const run = async () => {
    while (!stopping.signal.aborted) {
      try {
        const removed = await sweep();
        if (removed > 0) log.info('results of items are removed with their runs', { runs: removed });
      } catch (error) {
        log.warn('results of items could not be removed', { error: messageOf(error) });
      }
      await clock.sleep(everyMs, stopping.signal).catch(() => {});
    }
  };

  return {
    note: async (runId, { workflow }) => {
      if (!workflow.nodes.some(({ foreach }) => foreach !== undefined)) return;
      try {
        await records.put(partition, runId, encode({ usedBy: [] } satisfies ObjectsRow), { ifVersion: 'absent' });
      } catch (error) {
        if (!isConflict(error)) throw error;
      }
    },
    keepFor: async (runId, resultsKey) => {
      const [, owner = ''] = resultsKey.split('/');
      const row = await change(owner, async (now) => {
        if (now.isGoing || now.usedBy.includes(runId)) return undefined;
        const users = await Promise.all(now.usedBy.map(async (user) => ((await isThere(user)) ? [user] : [])));
        return { usedBy: [...users.flat(), runId] };
      });
      return !row.isGoing && (await objects.stat(resultsKey)) !== undefined;
    },
    remove,
    sweep,
    start: () => {
      running = run();
    },
    close: async () => {
      stopping.abort();
      await running;
    },
  };
}
