import { rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { replaceFile } from '../../server/core/replace-file.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../nbformat/json-value.ts';
import type { CodeCell, Notebook } from '../nbformat/notebook.ts';
import { checkNotebook, readNotebook } from '../nbformat/read-notebook.ts';
import { writeNotebook } from '../nbformat/write-notebook.ts';
import { withMarkers } from './error-markers.ts';
import { isInUse, journalPathOf, readJournal } from './journal-file.ts';
import type { JournalLine } from './journal-lines.ts';
import { outputTarget } from './output-target.ts';
import { readSource } from './source-guard.ts';

const failure = {
  ename: 'RunnerKilled',
  evalue: 'the process that ran the notebook ended without a word',
  traceback: [],
};

/**
 * Finishes the output notebook of a runner that was killed: everything its journal holds is put in, the cell that ran
 * becomes `killed`, later ones `not_run`, and markers say so. True when there was something to recover; false when
 * the run had ended well, still goes on, or left no journal.
 */
export async function recoverOutput(outputPath: string): Promise<boolean> {
  const target = await outputTarget(outputPath);
  const path = journalPathOf(target);
  if (await isInUse(path)) return false;
  const journal = await readJournal(path);
  if (journal === undefined) return false;
  const { notebook } = checkNotebook(journal.header.document);
  if (await hasEnded(outputPath, startTimeOf(notebook))) {
    await rm(path, { force: true });
    return false;
  }
  for (const line of journal.lines) apply(notebook, parseLine(line));
  const endMs = (await stat(path)).mtimeMs;
  const temp = join(dirname(target), `.${basename(target)}.${process.pid}-0.tmp`);
  await replaceFile(target, writeNotebook(conclude(notebook, endMs)), { temp });
  await rm(path, { force: true });
  return true;
}

/** The last save may have come through just before the runner was killed. */
async function hasEnded(outputPath: string, startTime: JsonValue | undefined): Promise<boolean> {
  try {
    const { notebook } = readNotebook((await readSource(outputPath, Number.MAX_SAFE_INTEGER)).bytes);
    const own = notebook.metadata['showrunner'];
    return isJsonObject(own) && own['status'] !== 'running' && startTimeOf(notebook) === startTime;
  } catch {
    return false;
  }
}

function startTimeOf({ metadata }: Notebook): JsonValue | undefined {
  const own = metadata['showrunner'];
  return isJsonObject(own) ? own['start_time'] : undefined;
}

function parseLine(line: string): JournalLine | undefined {
  try {
    return JSON.parse(line) as JournalLine;
  } catch {
    return undefined;
  }
}

function apply(notebook: Notebook, line: JournalLine | undefined): void {
  if (line === undefined) return;
  if (!('cell' in line)) {
    Object.assign(notebook.metadata, line.metadata);
    return;
  }
  const cell = notebook.cells[line.cell];
  if (cell?.cell_type !== 'code') return;
  if ('metadata' in line) {
    cell.execution_count = line.count;
    Object.assign(cell.metadata, line.metadata);
  } else if ('outputs' in line) cell.outputs = [...line.outputs];
  else if ('output' in line) cell.outputs[line.at] = line.output;
  else {
    const output = cell.outputs[line.at];
    if (output?.output_type === 'stream') output.text += line.text;
  }
}

/** Ends the states of a run that nobody ended. */
function conclude(notebook: Notebook, endMs: number): Notebook {
  const end = new Date(endMs).toISOString();
  let at: number | undefined;
  for (const [index, cell] of notebook.cells.entries()) {
    if (cell.cell_type !== 'code') continue;
    const status = ownOf(cell.metadata)['status'];
    if (status === 'pending') Object.assign(ownOf(cell.metadata), { status: 'not_run' });
    if (status !== 'running') continue;
    at = index;
    endCell(cell, end);
  }
  Object.assign(ownOf(notebook.metadata), {
    status: 'killed',
    end_time: end,
    failure: { cell_id: at === undefined ? null : (notebook.cells[at]?.id ?? null), ...failure },
  });
  const paper = notebook.metadata['papermill'];
  if (isJsonObject(paper)) Object.assign(paper, { exception: true, ...timesOf(paper, end) });
  const count = at === undefined ? null : ((notebook.cells[at] as CodeCell).execution_count ?? null);
  const whole = { ...failure, cellIndex: at, sourceIndex: undefined, cellId: undefined };
  return { ...notebook, cells: withMarkers(notebook.cells, 'killed', whole, count) };
}

function endCell(cell: CodeCell, end: string): void {
  Object.assign(ownOf(cell.metadata), {
    status: 'killed',
    error: { ename: failure.ename, evalue: failure.evalue },
  });
  const paper = cell.metadata['papermill'];
  if (isJsonObject(paper)) Object.assign(paper, { status: 'failed', exception: true, ...timesOf(paper, end) });
  cell.outputs.push({ output_type: 'error', ...failure });
}

function timesOf({ start_time: start }: { start_time?: JsonValue }, end: string): JsonObject {
  const duration = typeof start === 'string' ? Math.max(0, Date.parse(end) - Date.parse(start)) / 1000 : null;
  return { end_time: end, duration };
}

function ownOf(metadata: JsonObject): JsonObject {
  const own = metadata['showrunner'];
  if (isJsonObject(own)) return own;
  const added: JsonObject = {};
  metadata['showrunner'] = added;
  return added;
}
