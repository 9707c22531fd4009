import assert from 'node:assert/strict';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { reapKernels } from '../../notebooks-runner/kernel/kernel-folders.ts';
import { Code } from '../../server/core/codes.ts';
import { startChildScript, startCommand } from '../support/child-script.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { waitUntil } from '../support/wait-until.ts';
import {
  code,
  codeCells,
  createNotebookBed,
  type NotebookBed,
  notebookOf,
  printed,
  processesNaming,
  statuses,
} from './notebook-bed.ts';

async function forgingKernels(bed: NotebookBed, behaviour: string): Promise<string> {
  const folder = join(bed.path, 'specs', behaviour);
  await mkdir(folder, { recursive: true });
  const script = new URL('./children/forging-kernel.ts', import.meta.url).pathname;
  const argv = [process.execPath, '--disable-warning=ExperimentalWarning', script, '{connection_file}', behaviour];
  await writeFile(
    join(folder, 'kernel.json'),
    JSON.stringify({ argv, display_name: behaviour, language: 'typescript' }),
  );
  return join(bed.path, 'specs');
}

describe('a notebook that misbehaves', () => {
  it('does not fill the disk beyond its bound, by many files or by one', async function () {
    if (process.platform !== 'linux') this.skip();
    await using bed = await createNotebookBed();
    const many =
      'for (let i = 0; ; i++) { await Deno.writeFile("f" + i, new Uint8Array(1_000_000)); await new Promise((r) => setTimeout(r, 2)); }';
    const filled = await bed.run([code(many), code('1')], { limits: { maxDiskBytes: 20_000_000 } });
    assert.deepEqual([filled.status, filled.failure?.ename], ['killed', 'DiskLimitExceeded']);
    const one =
      'const file = await Deno.open("f", { write: true, create: true }); for (;;) await file.write(new Uint8Array(1_000_000));';
    const large = await bed.run([code(one)], { limits: { maxDiskBytes: 5_000_000 } });
    assert.notEqual(large.status, 'succeeded');
    assert.match(`${large.failure?.ename} ${large.failure?.evalue}`, /DiskLimitExceeded|too large/i);
  });

  it('keeps the limits of the system, and those of its runner where they are lower', async function () {
    if (process.platform !== 'linux') this.skip();
    await using bed = await createNotebookBed();
    const shown =
      'console.log(/open files +(\\d+) +(\\d+)/.exec(Deno.readTextFileSync("/proc/self/limits"))?.slice(1).join())';
    const own = await bed.run([code(shown)], { limits: { maxOpenFiles: 300 } });
    assert.equal(printed(codeCells(own.notebook)[0]), '300,300\n');
    const inputPath = join(bed.path, 'in.ipynb');
    await writeFile(inputPath, JSON.stringify(notebookOf(code(shown))));
    const args = [inputPath, bed.outputPath, join(bed.path, 'kernels')];
    const script = new URL('children/run-notebook-child.ts', import.meta.url);
    await using child = startChildScript(script, args, ['prlimit', '--nofile=512:512']);
    assert.equal(await child.ended, 0, child.errors());
    assert.equal(printed(codeCells(await bed.readOutput())[0]), '512,512\n');
  });

  it('runs where a program for limits cannot do what it should, without that', async function () {
    if (process.platform !== 'linux') this.skip();
    await using bed = await createNotebookBed();
    const bin = join(bed.path, 'bin');
    await mkdir(bin);
    const old = '#!/bin/sh\necho "setpriv: unrecognized option \'--pdeathsig\'" >&2\nexit 1\n';
    await writeFile(join(bin, 'setpriv'), old, { mode: 0o755 });
    const inputPath = join(bed.path, 'in.ipynb');
    await writeFile(inputPath, JSON.stringify(notebookOf(code('console.log("runs")'))));
    const script = new URL('children/run-notebook-child.ts', import.meta.url).pathname;
    const args = [
      '--disable-warning=ExperimentalWarning',
      script,
      inputPath,
      bed.outputPath,
      join(bed.path, 'kernels'),
    ];
    const env = { ...process.env, PATH: `${bin}:${process.env['PATH']}` };
    await using child = startCommand([process.execPath, ...args], env);
    assert.equal(await child.ended, 0, child.errors());
    assert.equal(printed(codeCells(await bed.readOutput())[0]), 'runs\n');
  });

  it('does not flood its output beyond the cap, and the run goes on to its time limit in bounded memory', async () => {
    await using bed = await createNotebookBed();
    const before = process.memoryUsage().rss;
    const record = await bed.run(
      [
        code(
          'const line = "x".repeat(10_000); for (;;) { for (let i = 0; i < 20; i++) console.log(line); await new Promise((r) => setTimeout(r, 0)); }',
        ),
      ],
      {
        cellTimeoutMs: 1_500,
        interruptGraceMs: 100,
        limits: { maxCellOutputBytes: 1_000_000 },
      },
    );
    assert.equal(record.status, 'timed_out');
    const [cell] = record.cells;
    assert.ok((cell?.keptBytes ?? 0) <= 1_010_000 && (cell?.droppedBytes ?? 0) > 1_000_000);
    assert.match(printed(codeCells(record.notebook)[0], 'stderr'), /output truncated/);
    assert.ok(process.memoryUsage().rss - before < 400_000_000);
  });

  it('leaves no process behind that took itself out of its group', async function () {
    if (process.platform !== 'linux') this.skip();
    await using bed = await createNotebookBed();
    const marker = join(bed.path, 'daemon-marker');
    const spawn = `new Deno.Command("setsid", { args: ["sh", "-c", "sleep 600; : ${marker}"], stdin: "null", stdout: "null", stderr: "null" }).spawn().unref();
await new Promise((r) => setTimeout(r, 400));`;
    const record = await bed.run([code(spawn)]);
    assert.equal(record.status, 'succeeded');
    assert.deepEqual(processesNaming(marker), []);
  });
});

describe('a kernel that misbehaves', () => {
  it('is refused when it signs with another key, and the error says so', async () => {
    await using bed = await createNotebookBed();
    const dirs = [await forgingKernels(bed, 'forged')];
    const run = bed.run([code('1')], { kernelName: 'forged', kernels: { dirs }, startTimeoutMs: 2_500 });
    const error = await rejectsWith(run, Code.UNAVAILABLE, 'KERNEL_START_FAILED');
    assert.match(error.message, /[1-9]\d* of its messages were malformed or carried a wrong signature/);
  });

  it('is given up when it never answers though it listens', async () => {
    await using bed = await createNotebookBed();
    const dirs = [await forgingKernels(bed, 'deaf')];
    const run = bed.run([code('1')], { kernelName: 'deaf', kernels: { dirs }, startTimeoutMs: 1_000 });
    const error = await rejectsWith(run, Code.UNAVAILABLE, 'KERNEL_START_FAILED');
    assert.match(error.message, /not ready after 1000 ms/);
  });

  // It signs as it should, and so proves too that only the key is wrong with the forger above.
  it('may send what no kernel should: the rest is kept, in a document that can be read', async () => {
    await using bed = await createNotebookBed();
    const dirs = [await forgingKernels(bed, 'odd')];
    const record = await bed.run([code('1'), code('2')], { kernelName: 'odd', kernels: { dirs }, exitGraceMs: 100 });
    assert.deepEqual(statuses(record), ['succeeded', 'succeeded']);
    assert.match(record.warnings.join(), /updates of widgets were dropped/);
    const cells = codeCells(await bed.readOutput());
    assert.deepEqual(cells[1]?.outputs, cells[0]?.outputs);
    assert.deepEqual(
      [
        cells[0]?.execution_count,
        cells[0]?.outputs.map((output) => ('data' in output ? output.data : output.output_type)),
      ],
      [
        null,
        [
          'stream',
          {},
          { 'image/png': '5', 'text/plain': 'ab' },
          { 'text/plain': 'new' },
          { 'application/json': '[value nested too deeply to be kept]' },
          {},
          'error',
          'stream',
        ],
      ],
    );
    assert.deepEqual([printed(cells[0], '__proto__'), printed(cells[0])], ['proto', '\ufffd\ufffd']);
  });
});

describe('what a killed runner left', () => {
  it('is removed at the next start: folders and processes whose owner is gone, nothing else', async function () {
    if (process.platform !== 'linux') this.skip();
    await using bed = await createNotebookBed();
    const parent = join(bed.path, 'kernels');
    const marker = join(bed.path, 'daemon-marker');
    const daemons = () => processesNaming(marker).length;
    const script = new URL('./children/run-notebook-child.ts', import.meta.url);
    const source = join(bed.path, 'source.ipynb');
    const cell =
      code(`new Deno.Command("setsid", { args: ["sh", "-c", "sleep 601; : ${marker}"], stdin: "null", stdout: "null", stderr: "null" }).spawn().unref();
await new Promise((r) => setTimeout(r, 60_000));`);
    const metadata = { kernelspec: { name: 'deno', display_name: 'Deno' } };
    await writeFile(source, JSON.stringify({ nbformat: 4, nbformat_minor: 4, metadata, cells: [cell] }));
    await using child = startChildScript(script, [source, bed.outputPath, parent]);
    await waitUntil('the daemon runs', () => daemons() > 0, 20_000);
    const [folder = ''] = await readdir(parent);
    assert.equal(await reapKernels(parent), 0, 'the owner lives');
    await child.kill();
    await mkdir(join(parent, 'unrelated'));
    assert.equal(await reapKernels(parent), 1);
    assert.deepEqual(await readdir(parent), ['unrelated']);
    assert.match(folder, /^showrunner-kernel-\w*-\d+-/);
    await waitUntil('the daemon is gone', () => daemons() === 0);
  });
});
