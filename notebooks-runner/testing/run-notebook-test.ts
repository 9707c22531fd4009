import { basename, dirname, join } from 'node:path';
import { messageOf } from '../../server/core/errors.ts';
import { replaceFile } from '../../server/core/replace-file.ts';
import { type CodeCell, hasTag, type Notebook, tagsOf } from '../nbformat/notebook.ts';
import { readNotebook } from '../nbformat/read-notebook.ts';
import { writeNotebook } from '../nbformat/write-notebook.ts';
import { runNotebook } from '../run/run-notebook.ts';
import type { RunNotebookOptions } from '../run/run-options.ts';
import type { CellRecord, RunRecord } from '../run/run-record.ts';
import { isUnchanged, readSource, refuseSamePath, type SourceFile } from '../run/source-guard.ts';
import { normaliseText, shownOutputs } from './normalise-output.ts';
import type { TestCase, TestSuite } from './test-report.ts';
import { readTestSettings, type TestSettings } from './test-settings.ts';

/** A cell with this tag is one assertion: it passes when it raises nothing. The cells behind it run in any case. */
const testTag = 'test';
/** The stored outputs of a cell with this tag are what it must show again. */
const goldenTag = 'golden';

const maxBytes = 64 * 1_048_576;

interface NotebookTestOptions {
  readonly path: string;
  /** How the report names it. Default the path. */
  readonly label?: string;
  readonly run: Omit<RunNotebookOptions, 'inputPath' | 'notebook' | 'parameters' | 'cwd'>;
  /** Stores what golden cells show now as what they must show. Default false: the notebook is only read. */
  readonly isUpdate?: boolean;
}

/**
 * Runs one notebook as a test, in its own folder and a fresh kernel, with the parameters of its test settings: one case
 * per cell tagged `test` or `golden`, and one for the notebook as a whole. Never rejects for a fault of the notebook.
 */
export async function runNotebookTest(options: NotebookTestOptions): Promise<TestSuite> {
  const { path, label = path } = options;
  const { clock } = options.run;
  const startedMs = clock.monotonic();
  const suite = (cases: readonly TestCase[]): TestSuite => ({
    path: label,
    durationMs: clock.monotonic() - startedMs,
    cases,
  });
  try {
    const source = await readSource(path, maxBytes);
    // The run gets the notebook without its path, and so cannot tell.
    if (options.run.outputPath !== undefined) await refuseSamePath(source, options.run.outputPath);
    const { notebook } = readNotebook(source.bytes);
    const settings = readTestSettings(notebook);
    if (settings.skip !== undefined) return suite([whole('skipped', 0, settings.skip)]);
    const { parameters, runTimeoutMs } = settings;
    const document = withTolerantTests(notebook);
    const cwd = dirname(path);
    const record = await runNotebook({ ...options.run, notebook: document, parameters, cwd, runTimeoutMs });
    if (options.isUpdate === true) await updateGolden(source, notebook, record);
    return suite(casesOf(notebook, record, settings, options.isUpdate === true));
  } catch (error) {
    return suite([whole('error', clock.monotonic() - startedMs, messageOf(error))]);
  }
}

/** A failed assertion does not hide the others. */
function withTolerantTests(notebook: Notebook): Notebook {
  const cells = notebook.cells.map((cell) =>
    hasTag(cell, testTag)
      ? { ...cell, metadata: { ...cell.metadata, tags: [...new Set([...tagsOf(cell), 'raises-exception'])] } }
      : cell,
  );
  return { ...notebook, cells };
}

function casesOf(notebook: Notebook, record: RunRecord, settings: TestSettings, isUpdate: boolean): TestCase[] {
  const cases = record.cells.flatMap((cell): TestCase[] => {
    const source = cell.sourceIndex === undefined ? undefined : notebook.cells[cell.sourceIndex];
    if (source?.cell_type !== 'code') return [];
    const found: TestCase[] = [];
    if (hasTag(source, testTag)) found.push(assertionCase(source, cell, settings));
    if (hasTag(source, goldenTag) && !isUpdate) found.push(goldenCase(source, cell, record, settings));
    return found;
  });
  const { failure, durationMs } = record;
  const end =
    failure === undefined
      ? whole('passed', durationMs, '')
      : whole(
          'error',
          durationMs,
          oneLine(failure.ename, failure.evalue),
          clean(failure.traceback.join('\n'), settings),
        );
  return [...cases, end];
}

function assertionCase(source: CodeCell, cell: CellRecord, settings: TestSettings): TestCase {
  const base = { name: nameOf(source, cell), durationMs: cell.durationMs ?? 0 };
  if (cell.status === 'skipped') return { ...base, status: 'skipped', message: 'not selected', detail: '' };
  if (cell.error === undefined && cell.status === 'succeeded') {
    return { ...base, status: 'passed', message: '', detail: '' };
  }
  const { ename, evalue, traceback } = cell.error ?? {
    ename: cell.status,
    evalue: 'the cell did not run',
    traceback: [],
  };
  const detail = clean(traceback.join('\n'), settings);
  return { ...base, status: 'failed', message: oneLine(ename, evalue), detail };
}

function goldenCase(source: CodeCell, cell: CellRecord, record: RunRecord, settings: TestSettings): TestCase {
  const base = { name: `${nameOf(source, cell)} shows its golden output`, durationMs: cell.durationMs ?? 0 };
  const wanted = textOf(source.outputs, settings);
  const found = textOf(outputsById(record, cell.id), settings);
  if (wanted === found) return { ...base, status: 'passed', message: '', detail: '' };
  const message =
    source.outputs.length === 0 ? 'no golden output is stored: store it by --update' : 'shows something else';
  return { ...base, status: 'failed', message, detail: firstDifference(wanted, found) };
}

function textOf(outputs: CodeCell['outputs'], { normalisers }: TestSettings): string {
  return JSON.stringify(shownOutputs(outputs, normalisers), null, 1);
}

function outputsById(record: RunRecord, id: string): CodeCell['outputs'] {
  const cell = record.notebook.cells.find((candidate) => candidate.id === id);
  return cell?.cell_type === 'code' ? cell.outputs : [];
}

/** The lines from the first that differs on, wanted and found. */
function firstDifference(wanted: string, found: string): string {
  const [a, b] = [wanted.split('\n'), found.split('\n')];
  const at = a.findIndex((line, index) => line !== b[index]);
  const from = at < 0 ? a.length : at;
  const part = (lines: string[], sign: string) => lines.slice(from, from + 10).map((line) => `${sign} ${line}`);
  return [`line ${from + 1}`, ...part(a, '-'), ...part(b, '+')].join('\n');
}

/** The cell's own name, else its first comment or line. */
function nameOf(cell: CodeCell, { index }: CellRecord): string {
  const name = cell.metadata['name'];
  if (typeof name === 'string' && name !== '') return name;
  const line =
    cell.source
      .trim()
      .split('\n')[0]
      ?.replace(/^(?:\/\/|#|%)+\s*/, '') ?? '';
  return line === '' ? `cell ${index}` : line.slice(0, 100);
}

/** As a report shows it: without colours, and only the first of several lines. */
function oneLine(ename: string, evalue: string): string {
  return normaliseText(`${ename}: ${evalue}`, ['ansi']).split('\n')[0] ?? '';
}

function clean(text: string, { normalisers }: TestSettings): string {
  return normaliseText(text, ['ansi', ...normalisers]);
}

function whole(status: TestCase['status'], durationMs: number, message: string, detail = message): TestCase {
  return { name: 'runs to its end', status, durationMs, message, detail: status === 'passed' ? '' : detail };
}

/** Replaces the stored outputs of golden cells, by a whole new file, unless somebody changed it meanwhile. */
async function updateGolden(source: SourceFile, notebook: Notebook, record: RunRecord): Promise<void> {
  if (record.failure !== undefined || !(await isUnchanged(source))) return;
  for (const cell of record.cells) {
    const target = cell.sourceIndex === undefined ? undefined : notebook.cells[cell.sourceIndex];
    if (target?.cell_type !== 'code' || !hasTag(target, goldenTag)) continue;
    target.outputs = outputsById(record, cell.id);
    target.execution_count = cell.executionCount;
  }
  const { path } = source;
  const temp = join(dirname(path), `.${basename(path)}.${process.pid}-0.tmp`);
  await replaceFile(path, writeNotebook(notebook), { temp });
}
