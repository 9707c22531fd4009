import type { RecordsStore } from '../../stores/records/records-store.ts';
import { decode, encode, isConflict } from '../job-store.ts';
import type { RunRow } from './run-state.ts';

interface LoadedRun {
  readonly row: RunRow;
  readonly version: bigint;
}

/** Rows of runs, and which runs wait for which kind of event. */
export interface RunRows {
  find(runId: string): Promise<LoadedRun | undefined>;
  /** False when the run has a row already. */
  create(runId: string, row: RunRow): Promise<boolean>;
  /** False when the row was changed meanwhile. `ttlMs` lets it expire. */
  replace(runId: string, row: RunRow, version: bigint, ttlMs?: number): Promise<boolean>;
  /** Runs that wait for events of the kind. */
  waitingFor(eventKind: string): Promise<string[]>;
  forgetSignals(runId: string, row: RunRow): Promise<void>;
}

const runs = 'jobs/workflow-runs';
const signals = (eventKind: string) => `jobs/signals/${eventKind}`;
const scanRows = 10_000;

/** Rows are kept until `replace` gives them a time to live. */
export function createRunRows(records: RecordsStore): RunRows {
  const put = async (runId: string, row: RunRow, ifVersion: bigint | 'absent', ttlMs?: number) => {
    try {
      await records.put(runs, runId, encode(row), { ifVersion, ...(ttlMs === undefined ? {} : { ttlMs }) });
      return true;
    } catch (error) {
      if (isConflict(error)) return false;
      throw error;
    }
  };
  return {
    find: async (runId) => {
      const stored = await records.get(runs, runId);
      return stored === undefined ? undefined : { row: decode<RunRow>(stored.value), version: stored.version };
    },
    create: async (runId, row) => {
      // First where events find it: a run that is noted in vain does no harm.
      for (const kind of eventKindsOf(row)) await records.put(signals(kind), runId, new Uint8Array());
      return put(runId, row, 'absent');
    },
    replace: (runId, row, version, ttlMs) => put(runId, row, version, ttlMs),
    waitingFor: async (eventKind) => {
      const found: string[] = [];
      for (let from = ''; ; ) {
        const rows = await records.scan(signals(eventKind), { limit: scanRows, ...(from === '' ? {} : { from }) });
        found.push(...rows.map(({ key }) => key));
        if (rows.length < scanRows) return found;
        from = `${rows.at(-1)?.key}\0`;
      }
    },
    forgetSignals: async (runId, row) => {
      for (const kind of eventKindsOf(row)) await records.delete(signals(kind), runId);
    },
  };
}

function eventKindsOf({ workflow }: RunRow): ReadonlySet<string> {
  return new Set(workflow.nodes.flatMap(({ work }) => (work.type === 'signal' ? [work.eventKind] : [])));
}
