import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readNotebook } from '../../notebooks-runner/nbformat/read-notebook.ts';
import { Code } from '../../server/core/codes.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createKindBed } from './kind-bed.ts';
import { code, codeCells, notebookOf, printed } from './notebook-bed.ts';

describe('the notebook job', () => {
  it('runs a stored notebook on copies of its inputs and stores the output', async () => {
    await using bed = await createKindBed();
    const source = JSON.stringify(
      notebookOf(
        code('const greeting = "x";', 'parameters'),
        code(
          'const text = await Deno.readTextFile("data/in.txt"); await Deno.writeTextFile("data/in.txt", "overwritten");',
        ),
        code(
          'console.log(greeting, text); await Deno.jupyter.display({ "application/scrapbook.scrap.json+json": { name: "length", data: text.length, encoder: "json", version: 1 } }, { raw: true })',
        ),
      ),
    );
    await bed.put('notebooks/mine.ipynb', source);
    await bed.put('datasets/in.txt', 'input');
    const result = await bed.run({
      notebook: 'notebooks/mine.ipynb',
      parameters: { greeting: 'hello' },
      inputs: [{ key: 'datasets/in.txt', as: 'data/in.txt' }],
    });
    assert.deepEqual([result.status, result.outputKey], ['succeeded', 'notebooks/runs/job1/output.ipynb']);
    const { name, version, isPrewarmed } = result.kernel;
    assert.deepEqual([name, isPrewarmed], ['deno', false]);
    assert.match(version, /^\d+\.\d+/);
    assert.deepEqual(
      result.cells.map((cell) => cell.status),
      ['succeeded', 'succeeded', 'succeeded', 'succeeded'],
    );
    assert.deepEqual([result.scraps, result.omittedScraps], [{ length: 5 }, []]);
    assert.equal(result.sourceSha256, createHash('sha256').update(source).digest('hex'));
    assert.equal((await bed.objects.stat(result.outputKey))?.contentType, 'application/x-ipynb+json');
    const { notebook } = readNotebook(await bed.objects.read(result.outputKey));
    assert.equal(printed(codeCells(notebook)[3]), 'hello input\n');
    assert.equal((notebook.metadata['papermill'] as Record<string, unknown>)['input_path'], 'notebooks/mine.ipynb');
    assert.equal(Buffer.from(await bed.objects.read('datasets/in.txt')).toString(), 'input');
    assert.equal(Buffer.from(await bed.objects.read('notebooks/mine.ipynb')).toString(), source);
    assert.deepEqual([bed.progress[0]?.stage, bed.progress.at(-1)?.fraction], ['start kernel', 1]);
  });

  it('fails as a user failure with cell and error after it stored the output', async () => {
    await using bed = await createKindBed();
    await bed.put(
      'n.ipynb',
      notebookOf(code('Deno.writeTextFileSync("seen.txt", "so far")'), code('throw new RangeError("too far")')),
    );
    const run = bed.run({ notebook: 'n.ipynb', outputKey: 'notebooks/out/failed.ipynb' });
    const error = await rejectsWith(run, Code.FAILED_PRECONDITION, 'NOTEBOOK_FAILED');
    const { cell, ename, evalue, status, output_key: outputKey } = error.metadata as Record<string, string>;
    assert.deepEqual(
      [cell, ename, evalue, status, outputKey],
      ['1', 'RangeError', 'too far', 'failed', 'notebooks/out/failed.ipynb'],
    );
    assert.deepEqual(
      [error.metadata['files'], error.metadata['files_prefix']],
      ['1', 'notebooks/runs/job1/attempt-1/'],
    );
    assert.equal(Buffer.from(await bed.objects.read('notebooks/runs/job1/attempt-1/seen.txt')).toString(), 'so far');
    const { notebook } = readNotebook(await bed.objects.read('notebooks/out/failed.ipynb'));
    assert.match(notebook.cells[0]?.source ?? '', /RangeError: too far/);
  });

  it('fails with the time limit of a cell as its cause', async () => {
    await using bed = await createKindBed();
    await bed.put('n.ipynb', notebookOf(code('for (;;) {}')));
    const error = await rejectsWith(
      bed.run({ notebook: 'n.ipynb', cellTimeoutMs: 300 }),
      Code.FAILED_PRECONDITION,
      'NOTEBOOK_FAILED',
    );
    assert.deepEqual([error.metadata['status'], error.metadata['ename']], ['timed_out', 'CellTimeout']);
  });

  it('may be tried again when somebody else killed its kernel', async () => {
    await using bed = await createKindBed();
    await bed.put('n.ipynb', notebookOf(code('Deno.kill(Deno.pid, "SIGKILL")')));
    await rejectsWith(bed.run({ notebook: 'n.ipynb' }), Code.UNAVAILABLE, 'NOTEBOOK_KERNEL_KILLED');
  });

  it('fails for good with its limit of processor time as the cause', async function () {
    if (process.platform !== 'linux') this.skip();
    await using bed = await createKindBed();
    // That the system sends this signal is tested with the runner; to burn the time here too would only take it.
    const tell = 'console.log(/cpu time +(\\d+) /.exec(Deno.readTextFileSync("/proc/self/limits"))?.[1]);';
    const end = 'Deno.kill(Deno.pid, "SIGXCPU"); await new Promise((r) => setTimeout(r, 60_000));';
    await bed.put('n.ipynb', notebookOf(code(tell), code(end)));
    const over = bed.run({ notebook: 'n.ipynb', limits: { cpuSeconds: 77 } });
    const { metadata, message } = await rejectsWith(over, Code.FAILED_PRECONDITION, 'NOTEBOOK_FAILED');
    assert.equal(metadata['ename'], 'CpuLimitExceeded');
    assert.match(message, /more processor time than it may/);
    const { notebook } = readNotebook(await bed.objects.read(metadata['output_key'] ?? ''));
    assert.equal(printed(codeCells(notebook)[0]), '77\n');
  });

  it('ends soon when it is cancelled, and keeps what there is under a key of the attempt', async () => {
    await using bed = await createKindBed();
    await bed.put(
      'n.ipynb',
      notebookOf(code('console.log("begun"); await new Promise((r) => setTimeout(r, 600_000))')),
    );
    const controller = new AbortController();
    const reason = new Error('cancelled by test');
    let abortedAt = 0;
    const run = bed.run(
      { notebook: 'n.ipynb' },
      {
        signal: controller.signal,
        onProgress: ({ message }) => {
          if (message !== 'cell 0') return;
          abortedAt = performance.now();
          controller.abort(reason);
        },
      },
    );
    await assert.rejects(run, reason);
    assert.ok(performance.now() - abortedAt < 10_000);
    assert.equal(await bed.objects.stat('notebooks/runs/job1/output.ipynb'), undefined);
    const { notebook } = readNotebook(await bed.objects.read('notebooks/runs/job1/attempt-1.ipynb'));
    assert.match(JSON.stringify(notebook.metadata['showrunner']), /"status":"cancelled"/);
  });

  it('refuses unknown parameters of the notebook, absent notebooks and malformed ones', async () => {
    await using bed = await createKindBed();
    await bed.put('n.ipynb', notebookOf(code('const a = 1', 'parameters')));
    await bed.put('bad.ipynb', '{"cells": 1}');
    const unknown = bed.run({ notebook: 'n.ipynb', parameters: { b: 1 } });
    await rejectsWith(unknown, Code.INVALID_ARGUMENT, 'NOTEBOOK_PARAMETERS_INVALID');
    await rejectsWith(bed.run({ notebook: 'bad.ipynb' }), Code.INVALID_ARGUMENT, 'NOTEBOOK_INVALID');
    await bed.put('big.ipynb', ' '.repeat(64 * 1024 * 1024 + 1));
    const error = await rejectsWith(bed.run({ notebook: 'big.ipynb' }), Code.INVALID_ARGUMENT, 'NOTEBOOK_INVALID');
    assert.match(error.message, /over the limit of 67108864/);
    await rejectsWith(bed.run({ notebook: 'absent.ipynb' }), Code.NOT_FOUND, 'OBJECT_NOT_FOUND');
    await rejectsWith(bed.run({ notebook: 'shipped/absent' }), Code.NOT_FOUND, 'NOTEBOOK_NOT_FOUND');
  });

  it('runs the cells that it is told to, and resumes a run that failed with the parameters of that', async () => {
    await using bed = await createKindBed();
    const cells = [
      code('const a = 1', 'parameters'),
      code('let b = a', 'first'),
      code('throw new Error("not ready")', 'broken'),
      code('console.log(typeof b)', 'last'),
    ];
    await bed.put('n.ipynb', notebookOf(...cells));
    const states = async (params: object) => {
      const { cells: ended } = await bed.run({ notebook: 'n.ipynb', parameters: { a: 5 }, ...params });
      return ended.map(({ status }) => status);
    };
    const [ran, left] = ['succeeded', 'skipped'];
    assert.deepEqual(await states({ until: 'last', skipTags: ['broken'], from: 'last' }), [ran, ran, left, left, ran]);
    const missing = bed.run({ notebook: 'n.ipynb', parameters: { a: 5 }, from: 'nowhere' });
    await rejectsWith(missing, Code.INVALID_ARGUMENT, 'NOTEBOOK_SELECTION_INVALID');
    const failed = bed.run({ notebook: 'n.ipynb', parameters: { a: 5 }, outputKey: 'notebooks/failed.ipynb' });
    await rejectsWith(failed, Code.FAILED_PRECONDITION, 'NOTEBOOK_FAILED');
    await bed.put('n.ipynb', notebookOf(...cells.with(2, code('console.log(b)', 'broken'))));
    const { outputKey } = await bed.run({ notebook: 'n.ipynb', resumeFrom: 'notebooks/failed.ipynb' });
    const { notebook } = readNotebook(await bed.objects.read(outputKey));
    assert.equal(printed(notebook.cells[3]), '5\n');
  });
});
