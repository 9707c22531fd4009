import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cell, CodeCell, Notebook } from '../../notebooks-runner/nbformat/notebook.ts';
import { readNotebook } from '../../notebooks-runner/nbformat/read-notebook.ts';
import { runNotebook } from '../../notebooks-runner/run/run-notebook.ts';
import type { RunNotebookOptions } from '../../notebooks-runner/run/run-options.ts';
import type { RunEvent, RunRecord } from '../../notebooks-runner/run/run-record.ts';
import { systemClock } from '../../server/core/clock.ts';
import { silentLogger } from '../../server/core/log.ts';
import { listProcesses } from '../support/processes.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { waitUntil } from '../support/wait-until.ts';

/** A code cell as documents before 4.5 have it. */
export function code(source: string, ...tags: string[]): object {
  return { cell_type: 'code', metadata: tags.length > 0 ? { tags } : {}, source, outputs: [], execution_count: null };
}

export function markdown(source: string): object {
  return { cell_type: 'markdown', metadata: {}, source };
}

/** An nbformat 4.4 document for the Deno kernel. */
export function notebookOf(...cells: object[]): Record<string, unknown> {
  return { nbformat: 4, nbformat_minor: 4, metadata: { kernelspec: { name: 'deno', display_name: 'Deno' } }, cells };
}

/** A folder of its own for runs on real kernels; when disposed it asserts that no kernel process is left. */
export interface NotebookBed extends AsyncDisposable {
  readonly path: string;
  readonly outputPath: string;
  run(cells: readonly object[], options?: Partial<RunNotebookOptions>): Promise<RunRecord>;
  /** The output notebook as it is on disk, checked as nbformat. */
  readOutput(): Promise<Notebook>;
}

export async function createNotebookBed(): Promise<NotebookBed> {
  const dir = await createTempDir();
  const outputPath = join(dir.path, 'out', 'output.ipynb');
  return {
    path: dir.path,
    outputPath,
    run: (cells, options = {}) =>
      runNotebook({
        ...(options.inputPath === undefined ? { notebook: notebookOf(...cells) } : {}),
        outputPath,
        runtimeDir: join(dir.path, 'kernels'),
        hostEnv: process.env,
        clock: systemClock,
        log: silentLogger,
        ...options,
      }),
    readOutput: async () => readNotebook(await readFile(outputPath)).notebook,
    [Symbol.asyncDispose]: async () => {
      // A killed runner's kernel dies by a signal that the system sends a moment later.
      await waitUntil('no kernel process is left', () => processesNaming(dir.path).length === 0);
      await dir[Symbol.asyncDispose]();
    },
  };
}

/** Command lines of the processes that mention the text. */
export function processesNaming(text: string): string[] {
  return listProcesses()
    .map(({ command }) => command)
    .filter((command) => command.includes(text));
}

/** Runs `act` once, when the first event for which `isIt` holds arrives. */
export function onceOn(isIt: (event: RunEvent) => boolean, act: (event: RunEvent) => void): (event: RunEvent) => void {
  let isDone = false;
  return (event) => {
    if (isDone || !isIt(event)) return;
    isDone = true;
    act(event);
  };
}

/** Text that a cell printed to a stream. */
export function printed(cell: Cell | undefined, stream = 'stdout'): string {
  return outputsOf(cell)
    .map((output) => (output.output_type === 'stream' && output.name === stream ? output.text : ''))
    .join('');
}

export function outputsOf(cell: Cell | undefined): CodeCell['outputs'] {
  assert.equal(cell?.cell_type, 'code');
  return cell.cell_type === 'code' ? cell.outputs : [];
}

/** Code cells of a notebook, in order. */
export function codeCells(notebook: Notebook): CodeCell[] {
  return notebook.cells.filter((cell) => cell.cell_type === 'code');
}

/** Asserts that the cell tells the four times of its run as nbclient does, in the order in which they come. */
export function assertTimed(cell: Cell | undefined): void {
  const times = cell?.metadata['execution'] as Readonly<Record<string, string>> | undefined;
  const names = ['iopub.status.busy', 'iopub.execute_input', 'shell.execute_reply', 'iopub.status.idle'];
  assert.deepEqual(Object.keys(times ?? {}).toSorted(), names.toSorted());
  const [busy = 0, input = 0, reply = 0, idle = 0] = names.map((name) => Date.parse(times?.[name] ?? ''));
  assert.ok(busy <= input && input <= reply && input <= idle, JSON.stringify(times));
}

export function statuses(record: RunRecord): string[] {
  return record.cells.map((cell) => cell.status);
}
