import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { reapKernels } from '../../notebooks-runner/kernel/kernel-folders.ts';
import { isJsonObject } from '../../notebooks-runner/nbformat/json-value.ts';
import { readNotebook } from '../../notebooks-runner/nbformat/read-notebook.ts';
import { recoverOutput } from '../../notebooks-runner/run/recover-output.ts';
import { createSeededRandom } from '../../server/core/random.ts';
import type { BenchRow } from '../report.ts';
import { notebookOf } from './notebook-documents.ts';

const script = join(import.meta.dirname, 'run-child.ts');
const cells = 12;
const linesPerCell = 200;

/**
 * Kills runners, or their kernels, with SIGKILL at random points: every output must then be a valid notebook that says
 * so, hold everything that the runner had reported, and nothing may be left of kernels.
 */
export async function killLoop(dir: string, rounds: number): Promise<BenchRow[]> {
  const random = createSeededRandom(4_711);
  await mkdir(dir, { recursive: true });
  const source = join(dir, 'source.ipynb');
  const noise = `for (let i = 0; i < ${linesPerCell}; i++) { console.log("line " + i); if (i % 40 === 0) await new Promise((r) => setTimeout(r, 1)); }`;
  await writeFile(
    source,
    JSON.stringify(
      notebookOf(
        'deno',
        Array.from({ length: cells }, () => noise),
      ),
    ),
  );
  let lost = 0;
  let invalid = 0;
  for (let round = 0; round < rounds; round++) {
    const verdict = await oneRound(dir, source, Math.floor(random.next() * (cells + 2)), random.next() < 0.3);
    lost += verdict.lost;
    if (!verdict.isValid) invalid++;
  }
  const left = (await readdir(join(dir, 'kernels'))).length;
  await reapKernels(join(dir, 'kernels'));
  const stillLeft = (await readdir(join(dir, 'kernels'))).length;
  await rm(dir, { recursive: true, force: true });
  const what = `${rounds} runners or kernels killed at random points`;
  return [
    { measure: `${what}: outputs not valid`, ours: invalid, unit: 'runs', goal: '0', reached: invalid === 0 },
    { measure: `${what}: reported cells lost`, ours: lost, unit: 'cells', goal: '0', reached: lost === 0 },
    {
      measure: `${what}: kernel folders left after a reap of ${left}`,
      ours: stillLeft,
      unit: 'folders',
      goal: '0',
      reached: stillLeft === 0,
    },
  ];
}

async function oneRound(dir: string, source: string, point: number, isKernelKilled: boolean) {
  const output = join(dir, 'output.ipynb');
  const args = ['--disable-warning=ExperimentalWarning', script, source, output, join(dir, 'kernels')];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  let text = '';
  let isKilled = false;
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    text += piece;
    if (isKilled || text.split('cell:started').length - 1 < point) return;
    isKilled = true;
    const kernel = Number(/^kernel (\d+)$/m.exec(text)?.[1] ?? 0);
    if (isKernelKilled && kernel > 0) process.kill(kernel, 'SIGKILL');
    else child.kill('SIGKILL');
  });
  await ended;
  const reported = text.split('cell:finished succeeded').length - 1;
  await recoverOutput(output);
  try {
    const { notebook } = readNotebook(await readFile(output));
    const whole = notebook.cells.filter((cell) => {
      const own = cell.metadata['showrunner'];
      const isDone = cell.cell_type === 'code' && isJsonObject(own) && own['status'] === 'succeeded';
      return (
        isDone &&
        cell.outputs[0]?.output_type === 'stream' &&
        cell.outputs[0].text.split('\n').length === linesPerCell + 1
      );
    }).length;
    // What was reported in the last moment may not have reached the journal.
    return { lost: Math.max(0, reported - 1 - whole), isValid: true };
  } catch {
    return { lost: reported, isValid: reported === 0 && text === '' };
  }
}
