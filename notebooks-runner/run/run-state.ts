import type { Clock } from '../../server/core/clock.ts';
import type { JsonObject } from '../nbformat/json-value.ts';
import type { CodeCell, Notebook } from '../nbformat/notebook.ts';
import { writeNotebook } from '../nbformat/write-notebook.ts';
import { noChanges, type OutputChanges } from '../outputs/output-changes.ts';
import { withMarkers } from './error-markers.ts';
import { createJournalLines } from './journal-lines.ts';
import type { PreparedRun } from './prepare-run.ts';
import { stampCodeCell, stampNotebook, stampTextCell } from './record-metadata.ts';
import type { CellError, CellRecord, KernelFacts, RunFailure, RunRecord, RunStatus } from './run-record.ts';
import { scrapsOf } from './scraps.ts';

/** A code cell and its record. */
export interface RunningCell {
  readonly cell: CodeCell;
  readonly record: CellRecord;
}

/** How the run as a whole ended. */
export interface RunEnd {
  readonly status: RunStatus;
  readonly error?: CellError | undefined;
  /** The cell at fault. */
  readonly at?: CellRecord | undefined;
  readonly isStoppedEarly?: boolean;
}

/** The one place where states change: every change shows in the records and in the document at once. */
export interface RunState {
  readonly cells: readonly RunningCell[];
  /** The document as it is now. */
  render(): string;
  /** What changed since the last call, as lines of the journal. */
  drainJournal(): string;
  warn(warning: string): void;
  setKernel(facts: Partial<KernelFacts>, languageInfo?: CodeCell['metadata'][string]): void;
  /** Puts the widgets' state into the document. */
  setWidgets(state: JsonObject | undefined): void;
  /** Applies changes to a record, then to the cell's metadata. */
  update(cell: RunningCell, change: Partial<CellRecord>): void;
  /** Ends the run: cells that never started become `not_run`; markers are set on failure. */
  conclude(end: RunEnd): void;
  /** The final record; call after `conclude`. */
  record(isSourceUnchanged: boolean): RunRecord;
}

interface RunStateOptions {
  readonly prepared: PreparedRun;
  /** What the document says about where it comes from and goes to. */
  readonly labels: { readonly input: string; readonly output: string };
  readonly outputPath: string | undefined;
  readonly clock: Clock;
  /** Where the run's outputs note their changes, for the journal. Default: there is no journal. */
  readonly changes?: OutputChanges;
}

/** Starts the run's clock and marks every code cell as pending. `record` throws before `conclude`. */
export function createRunState({
  prepared,
  labels,
  outputPath,
  clock,
  changes = noChanges,
}: RunStateOptions): RunState {
  const { spec, warnings, sourceSha256, parameters, exactParameters } = prepared;
  const startedAtMs = clock.now();
  const startedMs = clock.monotonic();
  let notebook: Notebook = prepared.notebook;
  let kernel: KernelFacts = {
    name: spec.name,
    language: spec.language,
    implementation: '',
    version: '',
    peakMemoryBytes: 0,
    readyAfterMs: undefined,
    isPrewarmed: false,
  };
  let ended:
    | { readonly end: RunEnd; readonly durationMs: number; readonly failure: RunFailure | undefined }
    | undefined;
  const cells = notebook.cells.flatMap((cell, index): RunningCell[] =>
    cell.cell_type === 'code' ? [{ cell, record: newRecord(cell, index, prepared.sourceIndexOf(index)) }] : [],
  );
  const journal = createJournalLines(notebook.cells, changes);
  for (const cell of notebook.cells) if (cell.cell_type !== 'code') stampTextCell(cell);
  for (const { cell, record } of cells) stampCodeCell(cell, record);

  function stamp(): void {
    stampNotebook(notebook.metadata, {
      status: ended?.end.status ?? 'running',
      startedAtMs,
      endedAtMs: ended === undefined ? undefined : startedAtMs + ended.durationMs,
      labels,
      sourceSha256,
      parameters,
      exactParameters,
      kernel,
      failure: ended?.failure,
      isStoppedEarly: ended?.end.isStoppedEarly ?? false,
      warnings,
    });
  }

  function update(target: RunningCell, change: Partial<CellRecord>): void {
    Object.assign(target.record, change);
    if (change.executionCount !== undefined) target.cell.execution_count = change.executionCount;
    stampCodeCell(target.cell, target.record);
    journal.noteCell(target.cell);
  }

  return {
    cells,
    render: () => {
      stamp();
      return writeNotebook(notebook);
    },
    drainJournal: () => {
      if (journal.isMetadataNew()) stamp();
      return journal.drain(notebook.metadata);
    },
    warn: (warning) => {
      warnings.push(warning);
      journal.noteMetadata();
    },
    setKernel: (facts, languageInfo) => {
      kernel = { ...kernel, ...facts };
      if (languageInfo !== undefined) notebook.metadata['language_info'] = languageInfo;
      journal.noteMetadata();
    },
    setWidgets: (state) => {
      if (state !== undefined) notebook.metadata['widgets'] = state;
      journal.noteMetadata();
    },
    update,
    conclude: (end) => {
      for (const target of cells) if (target.record.status === 'pending') update(target, { status: 'not_run' });
      const failure = end.error === undefined ? undefined : toFailure(end.error, end.at);
      // Whole milliseconds: the record's end is its start plus its duration.
      ended = { end, durationMs: Math.round(clock.monotonic() - startedMs), failure };
      if (failure === undefined) return;
      const marked = withMarkers(notebook.cells, end.status, failure, end.at?.executionCount ?? null);
      notebook = { ...notebook, cells: marked };
    },
    record: (isSourceUnchanged) => {
      if (ended === undefined) throw new Error('the run has not ended');
      stamp();
      const scraps = cells.flatMap(({ cell, record }) => scrapsOf(cell, record.index, warnings));
      return {
        status: ended.end.status,
        startedAtMs,
        endedAtMs: startedAtMs + ended.durationMs,
        durationMs: ended.durationMs,
        sourceSha256,
        isSourceUnchanged,
        outputPath,
        kernel,
        parameters,
        cells: cells.map(({ record }) => record),
        failure: ended.failure,
        isStoppedEarly: ended.end.isStoppedEarly ?? false,
        scraps: Object.fromEntries(scraps.map((scrap) => [scrap.name, scrap])),
        warnings,
        notebook,
      };
    },
  };
}

function newRecord(cell: CodeCell, index: number, sourceIndex: number | undefined): CellRecord {
  return {
    index,
    sourceIndex,
    id: cell.id,
    status: 'pending',
    executionCount: null,
    startedAtMs: undefined,
    durationMs: undefined,
    times: undefined,
    error: undefined,
    isErrorExpected: false,
    replay: undefined,
    keptBytes: 0,
    droppedBytes: 0,
    droppedOutputs: 0,
  };
}

function toFailure(error: CellError, at: CellRecord | undefined): RunFailure {
  return { ...error, cellIndex: at?.index, sourceIndex: at?.sourceIndex, cellId: at?.id };
}
