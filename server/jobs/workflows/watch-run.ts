import { notFound } from '../../core/errors.ts';
import { isTerminal, type JobRecord } from '../job-record.ts';
import type { JobStore } from '../job-store.ts';
import type { NextChange } from '../next-change.ts';
import type { RunRows } from './run-rows.ts';
import type { RunRow } from './run-state.ts';

/** A run as it is at a moment. */
export interface RunView {
  readonly job: JobRecord;
  readonly row: RunRow;
}

/** Runs with all their nodes, for whoever looks on. */
export interface RunViews {
  /** Throws WORKFLOW_RUN_NOT_FOUND for a job that is no run, or that has not begun. */
  get(id: string): Promise<RunView>;
  /** The run now and whenever it has changed, until it has ended. Throws WORKFLOW_RUN_NOT_FOUND. */
  watch(id: string, signal: AbortSignal): AsyncGenerator<RunView>;
}

/** Reads the stored row at the watcher's own pace: of changes that come faster it sees the last. */
export function createRunViews(store: JobStore, rows: RunRows, nextChange: NextChange): RunViews {
  const get = async (id: string) => {
    const [job, loaded] = await Promise.all([store.find(id), rows.find(id)]);
    if (job === undefined || loaded === undefined) throw notFound('workflow_run', `jobs/${id}`);
    return { job, row: loaded.row, version: loaded.version };
  };
  return {
    get,
    watch: async function* watch(id, signal) {
      let shown = '';
      for (;;) {
        signal.throwIfAborted();
        const turn = new AbortController();
        const change = nextChange(id, AbortSignal.any([signal, turn.signal]));
        try {
          const view = await get(id);
          const now = `${view.version} ${view.job.state}`;
          if (now !== shown) yield view;
          shown = now;
          // The nodes of a run that was ended from outside are brought to their end right after it.
          const isOver =
            isTerminal(view.job.state) && Object.values(view.row.nodes).every((node) => node.endMs !== undefined);
          if (isOver) return;
          await change.done;
        } finally {
          turn.abort();
          change.drop();
        }
      }
    },
  };
}
