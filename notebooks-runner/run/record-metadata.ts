import { isJsonObject, type JsonObject, type JsonValue } from '../nbformat/json-value.ts';
import { type Cell, type Notebook, tagsOf } from '../nbformat/notebook.ts';
import type { CellRecord, CellStatus, KernelFacts, RunFailure, RunStatus } from './run-record.ts';

/** Version of the `showrunner` metadata and of what we say in Papermill's `version` key. */
const recordVersion = 1;
const paperVersion = `showrunner-${recordVersion}`;

/** What the notebook's metadata says about the run. */
export interface RunFacts {
  readonly status: RunStatus | 'running';
  readonly startedAtMs: number;
  readonly endedAtMs: number | undefined;
  readonly labels: { readonly input: string; readonly output: string };
  readonly sourceSha256: string;
  readonly parameters: JsonObject;
  /** Those that plain JSON does not keep as they are, tagged: what a resumed run gives again. */
  readonly exactParameters: JsonObject;
  readonly kernel: KernelFacts;
  readonly failure: RunFailure | undefined;
  readonly isStoppedEarly: boolean;
  readonly warnings: readonly string[];
}

/** Papermill's key for a cell status; ours tells more. */
const papermillStatus: Readonly<Record<CellStatus, 'pending' | 'running' | 'completed' | 'failed'>> = {
  pending: 'pending',
  running: 'running',
  succeeded: 'completed',
  failed: 'failed',
  timed_out: 'failed',
  killed: 'failed',
  cancelled: 'failed',
  skipped: 'pending',
  not_run: 'pending',
};

/**
 * Writes `metadata.papermill` with Papermill's keys, so that its tooling reads our files, and `metadata.showrunner`
 * with what those keys cannot say. Both are true at every save: an unfinished run says so.
 */
export function stampNotebook(metadata: JsonObject, facts: RunFacts): void {
  const { startedAtMs, endedAtMs, status, failure, kernel } = facts;
  metadata['papermill'] = {
    default_parameters: {},
    duration: secondsBetween(startedAtMs, endedAtMs),
    end_time: isoTime(endedAtMs),
    environment_variables: {},
    exception: failure === undefined ? null : true,
    input_path: facts.labels.input,
    output_path: facts.labels.output,
    parameters: facts.parameters,
    start_time: isoTime(startedAtMs),
    version: paperVersion,
  };
  // What the author declared stays, so that the output can be run and tested again.
  const { parameters, test } = (isJsonObject(metadata['showrunner']) ? metadata['showrunner'] : {}) as JsonObject;
  metadata['showrunner'] = {
    ...(parameters === undefined ? {} : { parameters }),
    ...(test === undefined ? {} : { test }),
    version: recordVersion,
    status,
    start_time: isoTime(startedAtMs),
    end_time: isoTime(endedAtMs),
    source_sha256: facts.sourceSha256,
    ...exactOf(facts.exactParameters),
    kernel: {
      name: kernel.name,
      implementation: kernel.implementation,
      version: kernel.version,
      ready_after_ms: kernel.readyAfterMs === undefined ? null : Math.round(kernel.readyAfterMs),
      peak_memory_bytes: kernel.peakMemoryBytes,
      prewarmed: kernel.isPrewarmed,
    },
    stopped_early: facts.isStoppedEarly,
    warnings: [...facts.warnings],
    ...(failure === undefined
      ? {}
      : { failure: { cell_id: failure.cellId ?? null, ename: failure.ename, evalue: failure.evalue.slice(0, 2_000) } }),
  };
}

/**
 * Writes what is known of a notebook that is only prepared; what an earlier run recorded besides stays, as its outputs
 * do.
 */
export function stampPrepared(
  notebook: Notebook,
  { labels, parameters, exactParameters }: Pick<RunFacts, 'labels' | 'parameters' | 'exactParameters'>,
): void {
  const { papermill, showrunner } = notebook.metadata;
  notebook.metadata['papermill'] = {
    default_parameters: {},
    environment_variables: {},
    ...(isJsonObject(papermill) ? papermill : {}),
    input_path: labels.input,
    output_path: labels.output,
    parameters,
    version: paperVersion,
  };
  const { exact_parameters: _earlier, ...own } = isJsonObject(showrunner) ? showrunner : {};
  const stamped = { ...own, ...exactOf(exactParameters) };
  if (Object.keys(stamped).length === 0) delete notebook.metadata['showrunner'];
  else notebook.metadata['showrunner'] = stamped;
  for (const cell of notebook.cells) cell.metadata['tags'] = [...tagsOf(cell)];
}

function exactOf(exactParameters: JsonObject): JsonObject {
  return Object.keys(exactParameters).length === 0 ? {} : { exact_parameters: exactParameters };
}

/**
 * Writes the same two records into a code cell, and `metadata.execution` as nbclient does: what stood there is of another
 * run.
 */
export function stampCodeCell(cell: Cell, record: CellRecord): void {
  const { status, startedAtMs, durationMs, error } = record;
  const endedAtMs = startedAtMs === undefined || durationMs === undefined ? undefined : startedAtMs + durationMs;
  const paper = papermillStatus[status];
  const exception = paper === 'failed' ? true : paper === 'completed' ? false : null;
  cell.metadata['papermill'] = papermillCell(paper, exception, startedAtMs, endedAtMs);
  delete cell.metadata['execution'];
  if (record.times !== undefined) cell.metadata['execution'] = { ...record.times };
  const own = cell.metadata['showrunner'];
  const timeout = isJsonObject(own) ? own['timeout_seconds'] : undefined;
  cell.metadata['showrunner'] = {
    ...(timeout === undefined ? {} : { timeout_seconds: timeout }),
    status,
    ...(record.replay === undefined ? {} : { replay: record.replay }),
    ...(error === undefined ? {} : { error: { ename: error.ename, evalue: error.evalue.slice(0, 2_000) } }),
    ...(record.isErrorExpected ? { error_expected: true } : {}),
    ...(record.droppedOutputs === 0
      ? {}
      : { dropped_outputs: record.droppedOutputs, dropped_output_bytes: record.droppedBytes }),
  };
  cell.metadata['tags'] = [...tagsOf(cell)];
}

/** Writes Papermill's record into a markdown or raw cell, which has nothing to run. */
export function stampTextCell(cell: Cell): void {
  cell.metadata['papermill'] = papermillCell('completed', false, undefined, undefined);
  cell.metadata['tags'] = [...tagsOf(cell)];
}

function papermillCell(
  status: string,
  exception: boolean | null,
  startedAtMs: number | undefined,
  endedAtMs: number | undefined,
): JsonObject {
  return {
    duration: secondsBetween(startedAtMs, endedAtMs),
    end_time: isoTime(endedAtMs),
    exception,
    start_time: isoTime(startedAtMs),
    status,
  };
}

function isoTime(timeMs: number | undefined): JsonValue {
  return timeMs === undefined ? null : new Date(timeMs).toISOString();
}

function secondsBetween(startMs: number | undefined, endMs: number | undefined): JsonValue {
  return startMs === undefined || endMs === undefined ? null : (endMs - startMs) / 1000;
}
