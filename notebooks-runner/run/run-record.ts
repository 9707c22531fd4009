import type { ExecuteTimes } from '../kernel/execute-times.ts';
import type { JsonObject, JsonValue } from '../nbformat/json-value.ts';
import type { Notebook } from '../nbformat/notebook.ts';

/** How a run ended. */
export type RunStatus = 'succeeded' | 'failed' | 'timed_out' | 'killed' | 'cancelled';

/** Where a code cell stands; all but the first two are final. */
export type CellStatus =
  | 'pending'
  | 'running'
  | 'succeeded'
  | 'failed'
  | 'timed_out'
  | 'killed'
  | 'cancelled'
  /** Empty, tagged `skip-execution`, or not selected. */
  | 'skipped'
  /** The run ended before it. */
  | 'not_run';

/** What went wrong, in the kernel's words or ours. */
export interface CellError {
  readonly ename: string;
  readonly evalue: string;
  readonly traceback: readonly string[];
}

/** The truthful account of one code cell; its sizes are of outputs, in bytes. */
export interface CellRecord {
  /** Position in the executed notebook: with the injected cell, without error markers. */
  readonly index: number;
  /** Position in the source; undefined for an injected cell that the source did not have. */
  readonly sourceIndex: number | undefined;
  readonly id: string;
  status: CellStatus;
  executionCount: number | null;
  /** Unix ms; undefined when it never started. */
  startedAtMs: number | undefined;
  durationMs: number | undefined;
  /** What the kernel says of the times; undefined until the cell has ended. */
  times: ExecuteTimes | undefined;
  error: CellError | undefined;
  /** True when the error was allowed by the tag `raises-exception`: the cell then succeeded. */
  isErrorExpected: boolean;
  /** When a run is resumed: whether a cell that had succeeded showed the same again, or was not run again. */
  replay: 'same' | 'changed' | 'kept' | undefined;
  keptBytes: number;
  droppedBytes: number;
  droppedOutputs: number;
}

/** A value that a notebook handed out by displaying scrapbook's MIME bundle. */
export interface Scrap {
  readonly name: string;
  readonly data: JsonValue;
  readonly encoder: string;
  readonly cellIndex: number;
}

/** What stopped a run. */
export interface RunFailure extends CellError {
  /** The cell at fault; undefined when none ran. */
  readonly cellIndex: number | undefined;
  readonly sourceIndex: number | undefined;
  readonly cellId: string | undefined;
}

/** The truthful account of one run. */
export interface RunRecord {
  readonly status: RunStatus;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly durationMs: number;
  /** Lower-case hex of the source bytes; of the written document when the notebook was given in memory. */
  readonly sourceSha256: string;
  /** True when the source file still has the same bytes and inode; always true in memory. */
  readonly isSourceUnchanged: boolean;
  readonly outputPath: string | undefined;
  readonly kernel: KernelFacts;
  readonly parameters: JsonObject;
  /** Code cells in order. */
  readonly cells: readonly CellRecord[];
  /** Undefined when the run succeeded. */
  readonly failure: RunFailure | undefined;
  /** True when the notebook ended itself cleanly (`sys.exit(0)`): the cells behind it are `not_run`. */
  readonly isStoppedEarly: boolean;
  /** By name; of two scraps with one name the later counts. */
  readonly scraps: Readonly<Record<string, Scrap>>;
  /** Repairs and doubts, e.g. a duplicate cell id or output that may be incomplete. */
  readonly warnings: readonly string[];
  /** The output notebook. */
  readonly notebook: Notebook;
}

/** Which kernel a run had, and what that took. */
export interface KernelFacts {
  readonly name: string;
  readonly language: string;
  /** From kernel_info; empty when the kernel never got ready. */
  readonly implementation: string;
  readonly version: string;
  /** Highest resident memory seen, in bytes; 0 when not measured. */
  readonly peakMemoryBytes: number;
  /** Start (or claim of a kernel that waited) to ready, in ms; undefined when it never got ready. */
  readonly readyAfterMs: number | undefined;
  /** True when the kernel was started ahead of the run. */
  readonly isPrewarmed: boolean;
}

/** Live progress of a run, in order. */
export type RunEvent =
  | { readonly type: 'run:started'; readonly codeCells: number }
  | { readonly type: 'kernel:ready'; readonly readyAfterMs: number; readonly pid: number }
  | { readonly type: 'cell:started'; readonly index: number; readonly id: string }
  | {
      readonly type: 'cell:output';
      readonly index: number;
      readonly kind: 'stream' | 'display' | 'update' | 'result' | 'error' | 'clear';
      /** Stream name; empty for other kinds. */
      readonly stream: string;
      /** Stream text, `text/plain` of displays and results, or the error's one-line text. */
      readonly text: string;
    }
  | {
      readonly type: 'cell:finished';
      readonly index: number;
      readonly id: string;
      readonly status: CellStatus;
      readonly durationMs: number;
    }
  | { readonly type: 'run:finished'; readonly status: RunStatus; readonly durationMs: number };
