import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checkNotebook } from '../../notebooks-runner/nbformat/read-notebook.ts';
import { injectParameters } from '../../notebooks-runner/parameters/inject-parameters.ts';
import { type CellSelection, selectCells } from '../../notebooks-runner/run/select-cells.ts';
import { Code } from '../../server/core/codes.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { code, codeCells, createNotebookBed, notebookOf, outputsOf, printed, statuses } from './notebook-bed.ts';

describe('selecting cells', () => {
  const cells = [
    code('const a = 1', 'parameters'),
    code('console.log("first", a)', 'one'),
    code('console.log("second")', 'two', 'slow'),
    code('console.log("third")', 'three'),
  ];
  /** Positions of the cells that would run, with parameters given. */
  const chosen = (select: CellSelection, among: readonly object[] = cells) => {
    const { notebook } = injectParameters(checkNotebook(notebookOf(...among)).notebook, { a: 2 }, 'typescript', 'deno');
    const isChosen = selectCells(notebook, select);
    return codeCells(notebook).flatMap((cell, index) => (isChosen(cell) ? [index] : []));
  };

  it('runs only cells of some tags, with the parameters', () =>
    assert.deepEqual(chosen({ onlyTags: ['one'] }), [0, 1, 2]));

  it('leaves out cells of some tags', () => assert.deepEqual(chosen({ skipTags: ['slow', 'one'] }), [0, 1, 4]));

  it('runs from one cell to another, named by tag or position', () => {
    assert.deepEqual(chosen({ from: 'two' }), [0, 1, 3, 4]);
    assert.deepEqual(chosen({ until: '2' }), [0, 1, 2]);
    assert.deepEqual(chosen({ from: 'two', until: 'two' }), [0, 1, 3]);
  });

  it('takes all cells of a tag that several have for what it runs from and until', () => {
    const tagged = [code('const a = 1', 'parameters'), code('0'), code('1', 'train'), code('2', 'train'), code('3')];
    assert.deepEqual(chosen({ from: 'train', until: 'train' }, tagged), [0, 1, 3, 4]);
  });

  it('runs what was chosen and says which cells were left out', async () => {
    await using bed = await createNotebookBed();
    const record = await bed.run(cells, { select: { skipTags: ['slow'], until: 'two' }, parameters: { a: 2 } });
    assert.deepEqual(statuses(record), ['succeeded', 'succeeded', 'succeeded', 'skipped', 'skipped']);
    assert.deepEqual(
      codeCells(record.notebook).map((cell) => printed(cell)),
      ['', '', 'first 2\n', '', ''],
    );
  });

  it('refuses tags and cells that are not there', async () => {
    await using bed = await createNotebookBed();
    for (const select of [{ onlyTags: ['nine'] }, { from: 'nine' }, { until: '9' }, { from: 'three', until: 'one' }]) {
      await rejectsWith(bed.run(cells, { select }), Code.INVALID_ARGUMENT, 'NOTEBOOK_SELECTION_INVALID');
    }
  });
});

describe('resuming a run', () => {
  it('replays what had succeeded, compares it, and goes on where it failed', async () => {
    await using bed = await createNotebookBed();
    const log = join(bed.path, 'effects');
    const cells = (last: string) => [
      code('const n = 1', 'parameters'),
      code('const state = n * 10; console.log("state", state)'),
      code('console.log(crypto.randomUUID())'),
      code(`await Deno.writeTextFile(${JSON.stringify(log)}, "x", { append: true }); console.log("sent")`, 'run-once'),
      code(last),
    ];
    const failed = await bed.run(cells('throw new Error("broken")'), { parameters: { n: 4 } });
    assert.equal(failed.status, 'failed');
    const earlier = join(bed.path, 'earlier.ipynb');
    await writeFile(earlier, await readFile(bed.outputPath));
    const record = await bed.run(cells('console.log(state + 2)'), { resumeFrom: earlier });
    assert.equal(record.status, 'succeeded');
    assert.deepEqual(
      record.cells.map((cell) => cell.replay),
      ['same', undefined, 'same', 'changed', 'kept', undefined],
    );
    assert.equal(printed(codeCells(record.notebook).at(-1)), '42\n');
    assert.equal(printed(codeCells(record.notebook).at(-2)), 'sent\n');
    assert.equal(await readFile(log, 'utf8'), 'x');
    assert.match(record.warnings.join(), /cells\[3\]: shows something else/);
    assert.deepEqual(record.parameters, { n: 4 });
  });

  it('compares what cells showed without regard to the order of MIME types', async () => {
    await using bed = await createNotebookBed();
    const data = '{ "text/plain": "a", "text/html": "<b>b</b>", "application/json": { z: 1, a: 2 } }';
    const show = `await Deno.jupyter.broadcast("display_data", { data: ${data}, metadata: {}, transient: {} })`;
    await bed.run([code(show), code('throw 1')]);
    const earlier = join(bed.path, 'earlier.ipynb');
    await writeFile(earlier, await readFile(bed.outputPath));
    const record = await bed.run([code(show), code('2')], { resumeFrom: earlier });
    assert.deepEqual(
      record.cells.map((cell) => cell.replay),
      ['same', undefined],
    );
  });

  it('takes cells from the first changed one on as new', async () => {
    await using bed = await createNotebookBed();
    await bed.run([code('console.log(1)'), code('console.log(2)'), code('throw 1')]);
    const earlier = join(bed.path, 'earlier.ipynb');
    await writeFile(earlier, await readFile(bed.outputPath));
    const record = await bed.run([code('console.log(1)'), code('console.log(22)'), code('3')], { resumeFrom: earlier });
    assert.deepEqual(
      record.cells.map((cell) => cell.replay),
      ['same', undefined, undefined],
    );
  });
});

describe('options of a run', () => {
  it('hides the source of code cells in a report, and keeps what else Jupyter notes of them', async () => {
    await using bed = await createNotebookBed();
    const cell = { ...code('1'), metadata: { jupyter: { outputs_hidden: false } } };
    await bed.run([cell], { isReport: true });
    assert.deepEqual((await bed.readOutput()).cells[0]?.metadata['jupyter'], {
      outputs_hidden: false,
      source_hidden: true,
    });
  });

  for (const [what, cell] of [
    ['a tag', code('await new Promise(() => { setTimeout(() => {}, 60_000) })', 'timeout:300ms')],
    [
      'metadata',
      {
        ...code('await new Promise(() => { setTimeout(() => {}, 60_000) })'),
        metadata: { showrunner: { timeout_seconds: 0.3 } },
      },
    ],
  ] as const) {
    it(`limits one cell by ${what}, and keeps that in the output`, async () => {
      await using bed = await createNotebookBed();
      const record = await bed.run([code('1'), cell], { cellTimeoutMs: 60_000, interruptGraceMs: 50 });
      assert.deepEqual([record.status, record.failure?.evalue], ['timed_out', 'the cell took longer than 300 ms']);
      const { metadata } = codeCells(await bed.readOutput())[1] ?? assert.fail();
      if (what === 'metadata')
        assert.equal((metadata['showrunner'] as Record<string, unknown>)['timeout_seconds'], 0.3);
    });
  }

  it('refuses a time limit that is none', async () => {
    await using bed = await createNotebookBed();
    for (const tag of ['timeout:soon', 'timeout:0s', 'timeout=99h']) {
      await rejectsWith(bed.run([code('1', tag)]), Code.INVALID_ARGUMENT, 'NOTEBOOK_INVALID');
    }
  });

  it('ends a cell that puts nothing out for too long, but not one that goes on talking', async () => {
    await using bed = await createNotebookBed();
    const wait = (ms: number) => `await new Promise((resolve) => setTimeout(resolve, ${ms}));`;
    const talk = `for (let i = 0; i < 8; i++) { console.log(i); ${wait(150)} }`;
    const record = await bed.run([code(talk), code(`console.log("x"); ${wait(60_000)}`)], {
      idleTimeoutMs: 1_000,
      interruptGraceMs: 50,
    });
    assert.deepEqual([record.failure?.ename, statuses(record)], ['IdleTimeout', ['succeeded', 'timed_out']]);
    assert.equal(outputsOf(codeCells(record.notebook)[1]).length, 2);
  });

  it('puts files into the working directory before the first cell', async () => {
    await using bed = await createNotebookBed();
    const fillCwd = (dir: string) => writeFile(join(dir, 'given.txt'), 'here');
    const record = await bed.run([code('console.log(await Deno.readTextFile("given.txt"))')], { fillCwd });
    assert.equal(printed(codeCells(record.notebook)[0]), 'here\n');
  });

  it('reads the same notebook document without changing it', async () => {
    await using bed = await createNotebookBed();
    const document = notebookOf(code('1'));
    const before = structuredClone(document);
    await bed.run([], { notebook: document, isReport: true });
    assert.deepEqual(document, before);
  });
});
