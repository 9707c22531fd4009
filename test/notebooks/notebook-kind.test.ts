import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readNotebook } from '../../notebooks-runner/nbformat/read-notebook.ts';
import { systemClock } from '../../server/core/clock.ts';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { silentLogger } from '../../server/core/log.ts';
import { openFolderObjects } from '../../server/stores/objects/folder-objects.ts';
import type { ObjectStore } from '../../server/stores/objects/object-store.ts';
import { createNotebookKind } from '../../workers/notebook/notebook-kind.ts';
import { parseNotebookParams } from '../../workers/notebook/params.ts';
import type { NotebookResult } from '../../workers/notebook/result.ts';
import { storeSideFiles } from '../../workers/notebook/side-files.ts';
import type { JobContext, JobProgress, Json } from '../../workers/queue/job-kind.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { code, codeCells, notebookOf, printed, processesNaming } from './notebook-bed.ts';

const notebooksDir = join(import.meta.dirname, '../../notebooks');

interface KindBed extends AsyncDisposable {
  readonly objects: ObjectStore;
  readonly progress: readonly JobProgress[];
  put(key: string, content: string | object): Promise<void>;
  run(
    params: Json,
    options?: { signal?: AbortSignal; onProgress?: (report: JobProgress) => void },
  ): Promise<NotebookResult>;
}

async function createKindBed(): Promise<KindBed> {
  const dir = await createTempDir();
  const objects = await openFolderObjects({ dir: join(dir.path, 'objects'), clock: systemClock, log: silentLogger });
  const kind = createNotebookKind({ objects, notebooksDir, hostEnv: process.env, log: silentLogger });
  const progress: JobProgress[] = [];
  let runs = 0;
  return {
    objects,
    progress,
    put: async (key, content) => {
      await objects.put(key, Buffer.from(typeof content === 'string' ? content : JSON.stringify(content)));
    },
    run: async (params, { signal = new AbortController().signal, onProgress = () => {} } = {}) => {
      const work = await createTempDir();
      const context: JobContext = {
        jobId: `job${++runs}`,
        attempt: 1,
        fence: 1n,
        signal,
        log: silentLogger,
        clock: systemClock,
        workDir: work.path,
        progress: (report) => {
          progress.push(report);
          onProgress(report);
        },
        step: (_name, run) => run(),
        children: () => Promise.reject(new Error('a notebook job has no children')),
      };
      try {
        return await kind.run(context, kind.parseParams(params));
      } finally {
        assert.deepEqual(processesNaming(work.path), []);
        await work[Symbol.asyncDispose]();
      }
    },
    [Symbol.asyncDispose]: async () => {
      await objects.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

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
    await bed.put('n.ipynb', notebookOf(code('for (;;) {}')));
    const over = bed.run({ notebook: 'n.ipynb', limits: { cpuSeconds: 2 } });
    const { metadata, message } = await rejectsWith(over, Code.FAILED_PRECONDITION, 'NOTEBOOK_FAILED');
    assert.equal(metadata['ename'], 'CpuLimitExceeded');
    assert.match(message, /more processor time than it may/);
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

  it('keeps what the notebook wrote beside its output, but no links, hidden files and inputs', async () => {
    await using bed = await createKindBed();
    await bed.put('in.csv', 'a,b');
    const source = `Deno.mkdirSync("plots/2026", { recursive: true });
      Deno.writeTextFileSync("plots/2026/a.svg", "<svg/>");
      Deno.writeTextFileSync("table.csv", "1,2");
      Deno.writeTextFileSync(".cache", "x");
      Deno.writeTextFileSync("odd:name", "x");
      Deno.symlinkSync("/etc/passwd", "passwd");`;
    await bed.put('n.ipynb', notebookOf(code(source)));
    const inputs = [{ key: 'in.csv', as: 'in.csv' }];
    const { files, omittedFiles } = await bed.run({ notebook: 'n.ipynb', inputs });
    assert.deepEqual(
      files.map(({ path, bytes }) => [path, bytes]),
      [
        ['plots/2026/a.svg', 6],
        ['table.csv', 3],
      ],
    );
    assert.equal(omittedFiles, 1);
    assert.equal(Buffer.from(await bed.objects.read(files[0]?.key ?? '')).toString(), '<svg/>');
    assert.equal(files[1]?.key, 'notebooks/runs/job1/attempt-1/table.csv');
  });

  it('keeps a bounded number of files', async () => {
    await using dir = await createTempDir();
    for (let i = 0; i < 105; i++) await writeFile(join(dir.path, `f${i}`), '');
    const keys: string[] = [];
    const objects: Pick<ObjectStore, 'putFile'> = {
      putFile: async (key) => {
        keys.push(key);
        return { key, bytes: 0, sha256: '', contentType: '', modifiedMs: 0 };
      },
    };
    const where = { dir: dir.path, prefix: 'p/', except: new Set(['f1']) };
    const { files, omitted } = await storeSideFiles(objects, where, new AbortController().signal);
    assert.deepEqual([files.length, omitted, keys.includes('p/f1')], [100, 4, false]);
  });

  it('ends a run over the limits of its job', async () => {
    await using bed = await createKindBed();
    await bed.put('n.ipynb', notebookOf(code('const held = []; for (;;) held.push(new Uint8Array(8e6).fill(1))')));
    const over = bed.run({ notebook: 'n.ipynb', limits: { memoryMib: 600 } });
    await assert.rejects(over, (error) => error instanceof AppError && /memory/i.test(error.message));
    await bed.put('loud.ipynb', notebookOf(code('for (let i = 0; i < 300; i++) console.log("x".repeat(9_999))')));
    const { outputKey } = await bed.run({ notebook: 'loud.ipynb', limits: { outputMib: 1, cpuSeconds: 600 } });
    const size = (await bed.objects.stat(outputKey))?.bytes ?? 0;
    assert.ok(size > 900_000 && size < 2_000_000, `${size} bytes`);
  });

  it('leaves scraps that are too large for a result in the notebook', async () => {
    await using bed = await createKindBed();
    const scrap = (name: string, data: string) =>
      code(
        `await Deno.jupyter.display({ "application/scrapbook.scrap.json+json": { name: "${name}", data: ${data}, encoder: "json", version: 1 } }, { raw: true })`,
      );
    await bed.put('n.ipynb', notebookOf(scrap('large', '"x".repeat(300_000)'), scrap('small', '1')));
    const { scraps, omittedScraps } = await bed.run({ notebook: 'n.ipynb' });
    assert.deepEqual([scraps, omittedScraps], [{ small: 1 }, ['large']]);
  });
});

describe('the parameters of a notebook job', () => {
  const faulty: readonly [params: Json, field: string][] = [
    [null, 'params'],
    [{}, 'params.notebook'],
    [{ notebook: '../n.ipynb' }, 'params.notebook'],
    [{ notebook: '/etc/n.ipynb' }, 'params.notebook'],
    [{ notebook: 'shipped/../../etc/passwd' }, 'params.notebook'],
    [{ notebook: 'shipped/' }, 'params.notebook'],
    [{ notebook: 'n', outputKey: 'titles/t/master.m3u8' }, 'params.outputKey'],
    [{ notebook: 'n', outputKey: 'notebooks/../x.ipynb' }, 'params.outputKey'],
    [{ notebook: 'notebooks/n.ipynb', outputKey: 'notebooks/n.ipynb' }, 'params.outputKey'],
    [{ notebook: 'n', parameters: [] }, 'params.parameters'],
    [{ notebook: 'n', inputs: {} }, 'params.inputs'],
    [{ notebook: 'n', inputs: ['k'] }, 'params.inputs[0]'],
    [{ notebook: 'n', inputs: [{ key: 'a/../b', as: 'x' }] }, 'params.inputs[0].key'],
    [{ notebook: 'n', inputs: [{ key: 'k', as: '../x' }] }, 'params.inputs[0].as'],
    [{ notebook: 'n', inputs: [{ key: 'k', as: '/x' }] }, 'params.inputs[0].as'],
    [{ notebook: 'n', inputs: [{ key: 'k', as: 'a//b' }] }, 'params.inputs[0].as'],
    [
      {
        notebook: 'n',
        inputs: [
          { key: 'k', as: 'x' },
          { key: 'l', as: 'x' },
        ],
      },
      'params.inputs[1].as',
    ],
    [{ notebook: 'n', cellTimeoutMs: -1 }, 'params.cellTimeoutMs'],
    [{ notebook: 'n', runTimeoutMs: '5' }, 'params.runTimeoutMs'],
    [{ notebook: 'n', kernel: 'x' }, 'params.kernel'],
    [{ notebook: 'n', onlyTags: 'x' }, 'params.onlyTags'],
    [{ notebook: 'n', skipTags: [''] }, 'params.skipTags'],
    [{ notebook: 'n', from: 3 }, 'params.from'],
    [{ notebook: 'n', until: 'x'.repeat(201) }, 'params.until'],
    [{ notebook: 'n', resumeFrom: 'models/x.ipynb' }, 'params.resumeFrom'],
    [{ notebook: 'n', idleTimeoutMs: 1.5 }, 'params.idleTimeoutMs'],
    [{ notebook: 'n', report: 'yes' }, 'params.report'],
    [{ notebook: 'n', limits: 7 }, 'params.limits'],
    [{ notebook: 'n', limits: { memoryMib: 5_000 } }, 'params.limits.memoryMib'],
    [{ notebook: 'n', limits: { cpuSeconds: 0.5 } }, 'params.limits.cpuSeconds'],
    [{ notebook: 'n', limits: { constructor: 1 } }, 'params.limits.constructor'],
  ];
  for (const [params, field] of faulty) {
    it(`are refused at ${field}: ${JSON.stringify(params)}`, async () => {
      const parse = async () => parseNotebookParams(params);
      const error = await rejectsWith(parse(), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
      assert.deepEqual(error.fields.map((fault) => fault.field).includes(field), true);
    });
  }
});

describe('the shipped notebooks', () => {
  const dataDir = join(import.meta.dirname, '../../data/ml-latest-small');

  /** A slice of the real ratings with predictions that are off by known amounts. */
  async function slice() {
    const ratings = (await readFile(join(dataDir, 'ratings.csv'), 'utf8')).trim().split('\n').slice(1, 5_001);
    const rows = ratings.map((line, index) => {
      const [userId = '', movieId = '', rating = ''] = line.split(',');
      const error = ((index * 37) % 21) / 10 - 1;
      return { userId, movieId, rating: Number(rating), prediction: Number((Number(rating) + error).toFixed(3)) };
    });
    const body = rows.map((row) => `${row.userId},${row.movieId},${row.rating},${row.prediction}`);
    return { rows, csv: ['userId,movieId,rating,prediction', ...body].join('\n') };
  }

  const inputs = [
    { key: 'models/m/predictions.csv', as: 'predictions.csv' },
    { key: 'datasets/movies.csv', as: 'movies.csv' },
  ];

  it('offline-metrics computes the errors that an independent computation gives', async () => {
    await using bed = await createKindBed();
    const { rows, csv } = await slice();
    const movies = await readFile(join(dataDir, 'movies.csv'), 'utf8');
    await bed.put('models/m/predictions.csv', csv);
    await bed.put('datasets/movies.csv', movies);
    const parameters = { modelVersion: 'm <1>', metric: 'mae', minRatings: 200 };
    const result = await bed.run({ notebook: 'shipped/offline-metrics', parameters, inputs });

    const genresOf = new Map(
      movies
        .trim()
        .split('\n')
        .slice(1)
        .map((line) => [
          line.slice(0, line.indexOf(',')),
          line
            .slice(line.lastIndexOf(',') + 1)
            .trim()
            .split('|'),
        ]),
    );
    const metricsOf = (some: typeof rows) => ({
      ratings: some.length,
      rmse: Math.sqrt(some.reduce((sum, row) => sum + (row.prediction - row.rating) ** 2, 0) / some.length),
      mae: some.reduce((sum, row) => sum + Math.abs(row.prediction - row.rating), 0) / some.length,
    });
    const genres = [...new Set([...genresOf.values()].flat())];
    const expected = genres
      .map((genre) => ({ genre, ...metricsOf(rows.filter((row) => genresOf.get(row.movieId)?.includes(genre))) }))
      .filter((entry) => entry.ratings >= 200)
      .sort((a, b) => b.mae - a.mae);
    const overall = metricsOf(rows);
    const { overall_rmse: rmse, overall_mae: mae, ratings, model_version: version, by_genre: byGenre } = result.scraps;
    assert.ok(Math.abs(Number(rmse) - overall.rmse) < 1e-9 && Math.abs(Number(mae) - overall.mae) < 1e-9);
    assert.deepEqual([ratings, version], [5_000, 'm <1>']);
    const found = byGenre as unknown as typeof expected;
    assert.deepEqual(
      found.map((entry) => [entry.genre, entry.ratings]),
      expected.map((entry) => [entry.genre, entry.ratings]),
    );
    for (const [index, entry] of found.entries()) {
      assert.ok(
        Math.abs(entry.mae - (expected[index]?.mae ?? 0)) < 1e-9 &&
          Math.abs(entry.rmse - (expected[index]?.rmse ?? 0)) < 1e-9,
      );
    }

    const { notebook } = readNotebook(await bed.objects.read(result.outputKey));
    const data = codeCells(notebook).flatMap((cell) =>
      cell.outputs.flatMap((output) => ('data' in output ? [output.data] : [])),
    );
    const svg = String(data.find((bundle) => 'image/svg+xml' in bundle)?.['image/svg+xml']);
    assert.equal(svg.match(/<rect /g)?.length, expected.length);
    assert.match(String(data.find((bundle) => 'text/html' in bundle)?.['text/html']), /model m &lt;1&gt;/);
  });

  it('offline-metrics refuses data that is not sane', async () => {
    const header = 'userId,movieId,rating,prediction\n';
    const cases: readonly [predictions: string, says: RegExp][] = [
      ['userId,movieId,rating\n1,1,4\n', /must begin with/],
      [header, /holds no ratings/],
      [`${header}1,1,9,4\n`, /rating "9" is not between/],
      [`${header}1,1,4,\n`, /prediction "" is not a number/],
      [`${header}1,1,4\n`, /4 fields expected, 3 found/],
      [`${header}1,999999999,4,4\n`, /1 of 1 ratings are of movies/],
    ];
    await using bed = await createKindBed();
    await bed.put('datasets/movies.csv', 'movieId,title,genres\n1,"A, ""B"" (1995)",Drama|Comedy\n');
    for (const [predictions, says] of cases) {
      await bed.put('models/m/predictions.csv', predictions);
      const error = await rejectsWith(
        bed.run({ notebook: 'shipped/offline-metrics', inputs }),
        Code.FAILED_PRECONDITION,
        'NOTEBOOK_FAILED',
      );
      assert.match(error.message, says);
    }
  });

  it('offline-metrics refuses a metric that it does not know before it starts', async () => {
    await using bed = await createKindBed();
    const run = bed.run({ notebook: 'shipped/offline-metrics', parameters: { metric: 'ndcg' } });
    await rejectsWith(run, Code.INVALID_ARGUMENT, 'NOTEBOOK_PARAMETERS_INVALID');
  });
});
