import type { OutputChanges } from '../outputs/output-changes.ts';
import type { Redactor } from '../outputs/redactor.ts';
import type { PreparedRun } from './prepare-run.ts';
import type { RunLimits, RunNotebookOptions } from './run-options.ts';
import type { RunEvent } from './run-record.ts';
import type { RunState } from './run-state.ts';
import type { StopRequest } from './stop-request.ts';

/** What the parts of one run share. */
export interface RunContext {
  readonly options: RunNotebookOptions;
  readonly limits: Required<RunLimits>;
  readonly prepared: PreparedRun;
  /** Takes the run's secrets out of texts. */
  readonly redactor: Redactor;
  readonly state: RunState;
  readonly changes: OutputChanges;
  readonly stop: StopRequest;
  readonly emit: (event: RunEvent) => void;
  /** The document changed. */
  readonly onChange: () => void;
}
