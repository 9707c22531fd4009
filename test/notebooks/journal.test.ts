import assert from 'node:assert/strict';
import { access, cp, mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { readNotebook } from '../../notebooks-runner/nbformat/read-notebook.ts';
import { journalPathOf } from '../../notebooks-runner/run/journal-file.ts';
import { recoverOutput } from '../../notebooks-runner/run/recover-output.ts';
import { Code } from '../../server/core/codes.ts';
import { createSeededRandom } from '../../server/core/random.ts';
import { startChildScript } from '../support/child-script.ts';
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
} from './notebook-bed.ts';

const childScript = new URL('./children/run-notebook-child.ts', import.meta.url);
const forever = 'await new Promise((resolve) => setTimeout(resolve, 600_000))';

function statusesIn(cells: ReturnType<typeof codeCells>): string[] {
  return cells.map((cell) => (cell.metadata['showrunner'] as { status: string }).status);
}

async function readOutputAt(path: string) {
  return readNotebook(await readFile(path)).notebook;
}

/** Runs in this process until a cell waits for ever; gives a copy of output and journal as a killed runner leaves them. */
async function interruptedRun(bed: NotebookBed, cells: object[]): Promise<string> {
  const controller = new AbortController();
  const run = bed.run([...cells, code(`console.log("at the end"); ${forever}`), code('2')], {
    signal: controller.signal,
    saveIntervalMs: 600_000,
    interruptGraceMs: 20,
  });
  const journal = journalPathOf(bed.outputPath);
  const text = () => readFile(journal, 'utf8').catch(() => '');
  await waitUntil('the last cell talks', async () => (await text()).includes('at the end\\n'), 20_000);
  const copy = join(bed.path, 'copy');
  await cp(dirname(bed.outputPath), copy, { recursive: true });
  controller.abort();
  await run;
  const owned = (await readFile(join(copy, '.output.ipynb.journal'), 'utf8')).replace(
    `"owner":{"pid":${process.pid},`,
    '"owner":{"pid":999999999,',
  );
  await writeFile(join(copy, '.output.ipynb.journal'), owned);
  return join(copy, 'output.ipynb');
}

const display = (id: string, text: string, type = 'display_data') =>
  `await Deno.jupyter.broadcast("${type}", { data: { "text/plain": "${text}" }, metadata: {}, transient: { display_id: "${id}" } });`;
const varied = [
  code('console.log("a"); console.error("b"); console.log("c\\nd")'),
  code(display('x', 'old') + display('y', 'kept')),
  code('console.log("gone"); await Deno.jupyter.broadcast("clear_output", { wait: false }); console.log("é 😀")'),
  code(display('x', 'new', 'update_display_data')),
  code('throw new TypeError("expected")', 'raises-exception'),
];

describe('the journal of a run', () => {
  it('holds every output at once, and gives the whole document back when the runner was killed', async () => {
    await using bed = await createNotebookBed();
    const path = await interruptedRun(bed, varied);
    assert.deepEqual(statusesIn(codeCells(await readOutputAt(path))), Array(7).fill('pending'), 'the last save is old');
    assert.equal(await recoverOutput(path), true);
    const notebook = await readOutputAt(path);
    const cells = codeCells(notebook);
    assert.deepEqual(statusesIn(cells), [...Array(5).fill('succeeded'), 'killed', 'not_run']);
    assert.deepEqual([printed(cells[0]), printed(cells[0], 'stderr')], ['a\nc\nd\n', 'b\n']);
    assert.match(JSON.stringify(cells[1]?.outputs), /"new".*"kept"/);
    assert.equal(printed(cells[2]), 'é 😀\n');
    assert.equal(cells[4]?.outputs[0]?.output_type, 'error');
    assert.equal(printed(cells[5]), 'at the end\n');
    assert.deepEqual(cells[5]?.outputs.at(-1), {
      output_type: 'error',
      ename: 'RunnerKilled',
      evalue: 'the process that ran the notebook ended without a word',
      traceback: [],
    });
    const own = notebook.metadata['showrunner'] as Record<string, unknown>;
    const paper = notebook.metadata['papermill'] as Record<string, unknown>;
    assert.deepEqual([own['status'], paper['exception'], typeof paper['duration']], ['killed', true, 'number']);
    assert.match(notebook.cells[0]?.source ?? '', /This run was killed/);
    assert.equal((notebook.metadata['language_info'] as Record<string, unknown>)['name'], 'typescript');
    assert.deepEqual(await readdir(dirname(path)), ['output.ipynb']);
    assert.equal(await recoverOutput(path), false, 'once is enough');
  });

  it('can end in the middle of any line', async () => {
    await using bed = await createNotebookBed();
    const path = await interruptedRun(bed, varied);
    const journal = journalPathOf(path);
    const text = await readFile(journal);
    const document = await readFile(path);
    const random = createSeededRandom(7);
    const headerEnd = text.indexOf('\n') + 1;
    for (let round = 0; round < 40; round++) {
      const length = headerEnd + Math.floor(random.next() * (text.length - headerEnd));
      await writeFile(journal, text);
      await truncate(journal, length);
      await writeFile(path, document);
      assert.equal(await recoverOutput(path), true);
      const states = statusesIn(codeCells(await readOutputAt(path)));
      assert.match(states.join(' '), /^(succeeded ?)*(killed ?)?(not_run ?)*$/);
    }
    await writeFile(journal, text.subarray(0, headerEnd - 1));
    await truncate(journal, headerEnd - 10);
    await writeFile(path, document);
    assert.equal(await recoverOutput(path), false, 'without a whole header the saved document stands');
    assert.deepEqual(await readFile(path), document);
  });

  it('does not undo a run whose last save had come through', async () => {
    await using bed = await createNotebookBed();
    const path = await interruptedRun(bed, [code('1')]);
    const journal = await readFile(journalPathOf(path));
    await recoverOutput(path);
    const document = await readFile(path);
    await writeFile(journalPathOf(path), journal);
    assert.equal(await recoverOutput(path), false);
    assert.deepEqual(await readFile(path), document);
    await assert.rejects(access(journalPathOf(path)));
  });

  it('is gone after a run that ended by itself, and keeps a second run from the same output', async () => {
    await using bed = await createNotebookBed();
    const controller = new AbortController();
    const first = bed.run([code(forever)], { signal: controller.signal, interruptGraceMs: 20 });
    await waitUntil('the first run has begun', () =>
      access(journalPathOf(bed.outputPath)).then(
        () => true,
        () => false,
      ),
    );
    await rejectsWith(bed.run([code('1')]), Code.FAILED_PRECONDITION, 'NOTEBOOK_OUTPUT_IN_USE');
    assert.equal(await recoverOutput(bed.outputPath), false, 'a run that goes on is not recovered');
    controller.abort();
    await first;
    assert.deepEqual(await readdir(dirname(bed.outputPath)), ['output.ipynb']);
    assert.equal((await bed.run([code('1')])).status, 'succeeded');
  });

  it('lets one of several runs that begin together write to an output', async () => {
    await using bed = await createNotebookBed();
    const ends = await Promise.allSettled(Array.from({ length: 4 }, () => bed.run([code('1')])));
    const reasons = ends.map((end) => (end.status === 'fulfilled' ? end.value.status : end.reason.reason)).sort();
    assert.deepEqual(reasons, [...Array(3).fill('NOTEBOOK_OUTPUT_IN_USE'), 'succeeded']);
    assert.deepEqual(await readdir(dirname(bed.outputPath)), ['output.ipynb']);
    assert.equal((await bed.run([code('1')])).status, 'succeeded', 'the output is free again');
  });

  it('stays small under displays that are updated all the time', async () => {
    await using bed = await createNotebookBed();
    const big = `"${'x'.repeat(1_000)}" + i`;
    const update = `for (let i = 0; i < 3000; i++) { await Deno.jupyter.broadcast("update_display_data", { data: { "text/plain": ${big} }, metadata: {}, transient: { display_id: "d" } }); }`;
    const record = await bed.run([code(display('d', 'first')), code(update)]);
    assert.match(JSON.stringify(codeCells(record.notebook)[0]?.outputs), /x2999"/);
  });
});

describe('a runner that is killed at random points', () => {
  const cache = process.env['NODE_COMPILE_CACHE'];
  before(() => {
    process.env['NODE_COMPILE_CACHE'] ??= join(import.meta.dirname, '../../node_modules/.cache/node-compile');
  });
  after(() => {
    if (cache === undefined) delete process.env['NODE_COMPILE_CACHE'];
  });

  it('never loses what it had stored, never leaves a kernel, and can be resumed', async function () {
    if (process.platform !== 'linux') this.skip();
    this.timeout(180_000);
    await using bed = await createNotebookBed();
    const noise =
      'for (let i = 0; i < 200; i++) { console.log("line " + i); if (i % 20 === 0) await new Promise((r) => setTimeout(r, 2)); }';
    const inputPath = join(bed.path, 'source.ipynb');
    await writeFile(inputPath, JSON.stringify(notebookOf(...Array.from({ length: 10 }, () => code(noise)))));
    const random = createSeededRandom(20_261_123);
    // The bench does a hundred.
    const rounds = 9;
    const seen = new Set<string>();
    for (let done = 0; done < rounds; ) {
      const batch = Array.from({ length: Math.min(3, rounds - done) }, async (_, lane) => {
        const outputPath = join(bed.path, `lane-${done + lane}`, 'output.ipynb');
        await mkdir(dirname(outputPath));
        await using child = startChildScript(childScript, [inputPath, outputPath, join(bed.path, 'kernels')]);
        const point = Math.floor(random.next() * 14);
        const passed = () => child.lines.filter((line) => line !== 'cell:output').length;
        await waitUntil('the moment to kill', () => passed() >= point || child.process.exitCode !== null, 60_000);
        await child.kill();
        const finished = child.lines.filter((line) => line === 'cell:finished').length;
        if (await recoverOutput(outputPath)) {
          const cells = codeCells(await readOutputAt(outputPath));
          const states = statusesIn(cells);
          assert.match(states.join(' '), /^(succeeded ?)*(killed ?)?(not_run ?)*$/);
          const succeeded = states.filter((state) => state === 'succeeded').length;
          assert.ok(succeeded >= finished - 1, `${finished} cells were reported, ${succeeded} are stored`);
          for (const cell of cells.slice(0, succeeded)) assert.equal(printed(cell).split('\n').length, 201);
          seen.add(states.join());
        }
        await rm(dirname(outputPath), { recursive: true });
      });
      await Promise.all(batch);
      done += batch.length;
    }
    assert.ok(seen.size > 2, 'the rounds were killed at different moments');
    await waitUntil('no kernel is left', () => processesNaming(bed.path).length === 0, 10_000);
  });

  it('finishes the next time, from the document that it left', async () => {
    await using bed = await createNotebookBed();
    const path = await interruptedRun(bed, [code('console.log("done before")')]);
    await recoverOutput(path);
    const record = await bed.run([code('console.log("done before")'), code('console.log("now")')], {
      resumeFrom: path,
    });
    assert.deepEqual([record.status, record.cells.map((cell) => cell.replay)], ['succeeded', ['same', undefined]]);
  });
});
