import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createKernelPool } from '../notebooks-runner/kernel/kernel-pool.ts';
import type { KernelSearch } from '../notebooks-runner/kernel/kernelspec.ts';
import { runNotebook } from '../notebooks-runner/run/run-notebook.ts';
import type { RunNotebookOptions } from '../notebooks-runner/run/run-options.ts';
import type { RunEvent } from '../notebooks-runner/run/run-record.ts';
import { openNotebooksPython } from '../scripts/notebooks-python.ts';
import { systemClock } from '../server/core/clock.ts';
import { silentLogger } from '../server/core/log.ts';
import { killLoop } from './notebooks/kill-loop.ts';
import { type Language, notebookOf, printLines } from './notebooks/notebook-documents.ts';
import { peakMemory } from './notebooks/peak-memory.ts';
import type { BenchReport, BenchRow } from './report.ts';
import { median } from './statistics.ts';

const run = promisify(execFile);
const command = join(import.meta.dirname, '..', 'scripts', 'showrunner.js');
const rounds = 5;
const warmRounds: Readonly<Record<Language, number>> = { deno: 100, python3: 50 };
const manyCells = 500;
const manyMoreCells = 2_000;
const lines = 200_000;
const parallelRuns = 20;
const settleMs = 150;

/** What all measurements share. */
interface Bed {
  readonly dir: string;
  readonly kernels: KernelSearch;
  /** Path of papermill; the reason as `missing` where it cannot be had. */
  readonly papermill: { readonly path: string } | { readonly missing: string };
}

/** TypeScript notebooks beside papermill's runs of the same, whole commands in turn, then what only ours can show. */
export async function runNotebooksBench(): Promise<BenchReport> {
  await using bed = await openBed();
  const rows = [
    ...(await ofLanguage(bed, 'deno')),
    ...(await parallel(bed)),
    ...(await killLoop(join(bed.dir, 'kills'), 100)),
  ];
  return { name: 'notebooks', rows };
}

/** Python notebooks on ipykernel beside papermill; no rows where it cannot be installed. */
export async function runPythonNotebooksBench(): Promise<BenchReport> {
  await using bed = await openBed();
  return { name: 'notebooks-python', rows: 'path' in bed.papermill ? await ofLanguage(bed, 'python3') : [] };
}

async function openBed(): Promise<Bed & AsyncDisposable> {
  const dir = await mkdtemp(join(tmpdir(), 'showrunner-bench-notebooks-'));
  const remove = { [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }) };
  const python = await openNotebooksPython();
  if (typeof python === 'string') return { dir, kernels: {}, papermill: { missing: python }, ...remove };
  const papermill = { path: join(python.python, '..', 'papermill') };
  return { dir, kernels: { dirs: [python.kernelsDir] }, papermill, ...remove };
}

async function ofLanguage(bed: Bed, language: Language): Promise<BenchRow[]> {
  return [
    ...(await cold(bed, language)),
    ...(await warm(bed, language)),
    ...(await large(bed, language)),
    await printed(bed, language),
  ];
}

const nameOf: Readonly<Record<Language, string>> = { deno: 'TypeScript', python3: 'Python' };

async function cold(bed: Bed, language: Language): Promise<BenchRow[]> {
  const source = await write(bed, `one-${language}`, notebookOf(language, ['1 + 1']));
  const times = await sideBySide(bed, language, source, { ours: rounds, theirs: rounds });
  return compared(bed, `${nameOf[language]}, 1 cell, whole command, kernel cold`, times, 0.35);
}

/** Runs on kernels that waited: read, run, write durably, in one process; and how soon their first cell runs. */
async function warm(bed: Bed, language: Language): Promise<BenchRow[]> {
  const source = await write(bed, `warm-${language}`, notebookOf(language, ['1 + 1']));
  await using pool = createKernelPool({ clock: systemClock, log: silentLogger });
  const times: number[] = [];
  const starts: number[] = [];
  for (let round = 0; round <= warmRounds[language]; round++) {
    while (round > 0 && pool.idle() === 0) await systemClock.sleep(20);
    // The kernel before ends in the background.
    await systemClock.sleep(settleMs);
    const startedMs = performance.now();
    const onEvent = ({ type }: RunEvent) => {
      if (round > 0 && type === 'cell:started') starts.push(performance.now() - startedMs);
    };
    const record = await runNotebook({ ...options(bed, source), pool, onEvent });
    if (record.status !== 'succeeded') throw new Error(`the run ${record.status}`);
    if (round > 0) times.push(performance.now() - startedMs);
  }
  const ours = median(times);
  const p99 = starts.toSorted((x, y) => x - y)[Math.ceil(0.99 * starts.length) - 1] ?? Number.NaN;
  const name = nameOf[language];
  return [
    {
      measure: `${name}, 1 cell, kernel warm: read, run, write`,
      ours,
      unit: 'ms',
      goal: '≤ 20 ms',
      reached: ours <= 20,
    },
    {
      measure: `${name}, kernel warm: from the call to the first cell, p99 of ${warmRounds[language]}`,
      ours: p99,
      unit: 'ms',
      goal: '< 100 ms',
      reached: p99 < 100,
    },
  ];
}

async function large(bed: Bed, language: Language): Promise<BenchRow[]> {
  const cells = (count: number) =>
    notebookOf(
      language,
      Array.from({ length: count }, (_, i) => `x = ${i}`),
      'x = 0',
    );
  const source = await write(bed, `many-${language}`, cells(manyCells));
  const more = await write(bed, `more-${language}`, cells(manyMoreCells));
  // Papermill saves the whole file twice a cell: one round of it is long enough.
  const times = await sideBySide(bed, language, source, { ours: rounds, theirs: 1 });
  const growth = (await ourCommand(bed, more)) / times.ours / (manyMoreCells / manyCells);
  const measure = `${nameOf[language]}, ${manyCells} cells, whole command`;
  return [
    ...compared(bed, measure, times, 0.1),
    { measure, ours: times.ours / 1000, unit: 's', goal: '≤ 2.5 s', reached: times.ours <= 2_500 },
    {
      measure: `${nameOf[language]}, ${manyMoreCells} cells, time per cell beside ${manyCells}`,
      ours: growth,
      unit: 'x',
      goal: '≤ 1.2x (linear)',
      reached: growth <= 1.2,
    },
  ];
}

/** A cell that prints many lines: how many are kept, in order, and how fast. */
async function printed(bed: Bed, language: Language): Promise<BenchRow> {
  const source = await write(bed, `lines-${language}`, notebookOf(language, [printLines(language, lines)]));
  const startedMs = performance.now();
  const record = await runNotebook(options(bed, source));
  const seconds = (performance.now() - startedMs) / 1000;
  const [cell] = record.notebook.cells;
  const text = cell?.cell_type === 'code' && cell.outputs[0]?.output_type === 'stream' ? cell.outputs[0].text : '';
  const expected = Array.from({ length: lines }, (_, i) => `line ${i}\n`).join('');
  const kept = text === expected ? lines : text.split('\n').length - 1;
  return {
    measure: `${nameOf[language]}, ${lines.toLocaleString('en-US')} printed lines kept in order, in ${seconds.toFixed(1)} s`,
    ours: kept,
    unit: 'lines',
    goal: 'all',
    reached: text === expected,
  };
}

/** Many runs at once on one pool: all succeed, and no more kernels run than the pool lets. */
async function parallel(bed: Bed): Promise<BenchRow[]> {
  const source = await write(
    bed,
    'parallel',
    notebookOf(
      'deno',
      Array.from({ length: 10 }, (_, i) => `x = ${i}`),
      'x = 0',
    ),
  );
  const maxRunning = 2 * availableParallelism();
  await using pool = createKernelPool({ clock: systemClock, log: silentLogger, maxRunning, maxIdle: 1 });
  await using memory = peakMemory(process.pid);
  const startedMs = performance.now();
  const runs = Array.from({ length: parallelRuns }, (_, i) =>
    runNotebook({ ...options(bed, source), outputPath: join(bed.dir, `parallel-${i}.ipynb`), pool }),
  );
  const records = await Promise.all(runs);
  const seconds = (performance.now() - startedMs) / 1000;
  const failed = records.filter((record) => record.status !== 'succeeded').length;
  const peak = memory.bytes() / 2 ** 20;
  const goal = (maxRunning + 2) * 250 + 300;
  return [
    {
      measure: `${parallelRuns} runs at once, at most ${maxRunning} kernels`,
      ours: seconds,
      unit: 's',
      reached: failed === 0,
      goal: 'all succeed',
    },
    {
      measure: `${parallelRuns} runs at once, peak memory with all kernels`,
      ours: peak,
      unit: 'MiB',
      goal: `≤ ${goal} MiB`,
      reached: peak <= goal,
    },
  ];
}

function options(bed: Bed, inputPath: string): RunNotebookOptions {
  return {
    inputPath,
    outputPath: join(bed.dir, 'out.ipynb'),
    kernels: bed.kernels,
    hostEnv: process.env,
    clock: systemClock,
    log: silentLogger,
  };
}

async function write({ dir }: Bed, name: string, document: object): Promise<string> {
  const path = join(dir, `${name}.ipynb`);
  await writeFile(path, JSON.stringify(document));
  return path;
}

/** Median wall times in ms of three commands for the same notebook. */
interface SideBySide {
  readonly ours: number;
  /** Papermill's; undefined where it is not here. */
  readonly theirs: number | undefined;
  /** The least that a client can do, which no runner can beat: the kernel's own time and a Node that asks it. */
  readonly bare: number;
}

/** The commands in turn, so that what else the machine does meets all alike. */
async function sideBySide(
  bed: Bed,
  language: Language,
  source: string,
  count: { readonly ours: number; readonly theirs: number },
): Promise<SideBySide> {
  const ours: number[] = [];
  const theirs: number[] = [];
  const bare: number[] = [];
  await ourCommand(bed, source);
  for (let round = 0; round < Math.max(count.ours, count.theirs); round++) {
    if (round < count.ours) {
      ours.push(await ourCommand(bed, source));
      bare.push(await bareClient(bed, language, source));
    }
    if (round < count.theirs && 'path' in bed.papermill) theirs.push(await papermill(bed, bed.papermill.path, source));
  }
  return { ours: median(ours), theirs: theirs.length === 0 ? undefined : median(theirs), bare: median(bare) };
}

async function bareClient({ dir, kernels }: Bed, language: Language, source: string): Promise<number> {
  const script = join(import.meta.dirname, 'notebooks', 'bare-child.ts');
  const work = await mkdtemp(join(dir, 'bare-'));
  const args = ['--disable-warning=ExperimentalWarning', script, source, language, work, ...(kernels.dirs ?? [])];
  const startedMs = performance.now();
  await run(process.execPath, args);
  return performance.now() - startedMs;
}

async function ourCommand({ dir, kernels }: Bed, source: string): Promise<number> {
  const dirs = (kernels.dirs ?? []).flatMap((path) => ['--kernels-dir', path]);
  const startedMs = performance.now();
  await run(process.execPath, [command, 'notebooks', 'run', source, join(dir, 'ours.ipynb'), ...dirs]);
  const ms = performance.now() - startedMs;
  if (!(await readFile(join(dir, 'ours.ipynb'), 'utf8')).includes('"status": "succeeded"'))
    throw new Error('ours failed');
  return ms;
}

/** Papermill finds the Deno kernel by a kernelspec that names the same binary as ours. */
async function papermill({ dir }: Bed, path: string, source: string): Promise<number> {
  const { writeDenoKernelspec } = await import('./notebooks/deno-kernelspec.ts');
  const env = { ...process.env, JUPYTER_PATH: await writeDenoKernelspec(join(dir, 'jupyter')) };
  const startedMs = performance.now();
  await run(path, ['--no-progress-bar', source, join(dir, 'theirs.ipynb')], { env, maxBuffer: 2 ** 26 });
  return performance.now() - startedMs;
}

function compared(bed: Bed, measure: string, { ours, theirs, bare }: SideBySide, goal: number): BenchRow[] {
  const floor: BenchRow = {
    measure: `${measure}, beside a client that checks, keeps and writes nothing`,
    ours,
    unit: 'ms',
    peer: { name: 'bare client', value: bare },
    ratio: ours / bare,
  };
  if (theirs === undefined) {
    const reason = 'missing' in bed.papermill ? bed.papermill.missing : '';
    return [{ measure: `${measure} (papermill is not here: ${reason})`, ours, unit: 'ms' }, floor];
  }
  const ratio = ours / theirs;
  const peer = { name: 'papermill', value: theirs };
  const row: BenchRow = {
    ...{ measure, ours, unit: 'ms', peer, ratio },
    goal: `≤ ${goal.toFixed(2)}x`,
    reached: ratio <= goal,
  };
  return [row, floor];
}
