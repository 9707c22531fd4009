import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findKernelspec } from '../../notebooks-runner/kernel/kernelspec.ts';
import { hasTag } from '../../notebooks-runner/nbformat/notebook.ts';
import { CacheService } from '../../proto/gen/showrunner/cache/v1/cache_service_pb.ts';
import { JobService } from '../../proto/gen/showrunner/jobs/v1/job_service_pb.ts';
import { RunState } from '../../proto/gen/showrunner/notebooks/v1/notebook_pb.ts';
import { NotebookService, type WatchRunResponse } from '../../proto/gen/showrunner/notebooks/v1/notebook_service_pb.ts';
import { systemClock } from '../../server/core/clock.ts';
import { Code } from '../../server/core/codes.ts';
import { silentLogger } from '../../server/core/log.ts';
import { createRpcClient, type RpcClient } from '../../server/rpc/client.ts';
import { openFolderObjects } from '../../server/stores/objects/folder-objects.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { longestTestMs, type RunningServer, startServer } from '../support/run-server.ts';
import { createTempDir, type TempDir } from '../support/temp-dir.ts';
import { waitUntil } from '../support/wait-until.ts';
import { code, createNotebookBed, notebookOf } from './notebook-bed.ts';

const root = join(import.meta.dirname, '../..');

/**
 * Every file below a folder, whatever wrote it, that holds the text. What goes between the listing and the reading, as
 * the folders of kernels do, holds nothing any more.
 */
async function filesHolding(dir: string, text: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true }).catch(() => []);
  const found = entries.map(async (entry) => {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) return filesHolding(path, text);
    if (!entry.isFile()) return [];
    return (await readFile(path).catch(() => Buffer.of())).includes(text) ? [path] : [];
  });
  return (await Promise.all(found)).flat();
}

describe('notebooks of a running server', function () {
  this.timeout(longestTestMs);
  let server: RunningServer;
  let notebooks: RpcClient<typeof NotebookService>;
  let jobs: RpcClient<typeof JobService>;

  let prefix: TempDir;

  before(async () => {
    prefix = await createTempDir();
    const spec = join(prefix.path, 'share/jupyter/kernels/own');
    await mkdir(spec, { recursive: true });
    // Deno under another name, as the environment of a Python would have it.
    const { argv, env } = await findKernelspec('deno');
    await writeFile(
      join(spec, 'kernel.json'),
      JSON.stringify({ argv, env, display_name: 'Own', language: 'typescript' }),
    );
    server = await startServer({
      workers: 1,
      settings: { SHOWRUNNER_NOTEBOOK_SECRETS: 'IT_SECRET', IT_SECRET: 'it is secret', VIRTUAL_ENV: prefix.path },
    });
    const connection = { address: server.address, metadata: { 'x-api-key': server.apiKey } };
    notebooks = createRpcClient(NotebookService, connection);
    jobs = createRpcClient(JobService, connection);
  });
  after(async () => {
    notebooks?.close();
    jobs?.close();
    await server?.[Symbol.asyncDispose]();
    await prefix?.[Symbol.asyncDispose]();
  });

  /** Puts a notebook where the server finds it: the store of objects is a folder of its state. */
  async function storeBytes(body: Buffer): Promise<string> {
    const key = `notebooks/test/${createHash('sha256').update(body).digest('hex')}.ipynb`;
    const dir = join(server.stateDir, 'objects');
    const objects = await openFolderObjects({ dir, clock: systemClock, log: silentLogger });
    await objects.put(key, body);
    await objects.close();
    return key;
  }

  const storeDocument = (document: object) => storeBytes(Buffer.from(JSON.stringify(document)));
  const store = (...cells: object[]) => storeDocument(notebookOf(...cells));

  async function start(params: object): Promise<string> {
    const { job } = await jobs.createJob({ job: { kind: 'notebook', params: params as never } });
    return job?.name ?? '';
  }

  const printing =
    'for (let i = 0; i < 8; i++) { console.log("line " + i); await new Promise((r) => setTimeout(r, 150)); }';
  const signal = () => AbortSignal.timeout(60_000);

  it('are listed and inspected with what they take', async () => {
    const { notebooks: shipped } = await notebooks.listShippedNotebooks({});
    assert.deepEqual(
      shipped.map(({ name }) => name),
      ['grpc-integration', 'offline-metrics', 'ratings-quality', 'viewing-report'].map((name) => `shipped/${name}`),
    );
    const { notebook } = await notebooks.inspectNotebook({ notebook: 'shipped/offline-metrics' });
    assert.deepEqual(
      [notebook?.title, notebook?.kernel, notebook?.strict],
      ['Offline metrics of a rating model', 'deno', true],
    );
    const metric = notebook?.parameters.find(({ name }) => name === 'metric');
    assert.deepEqual(
      [metric?.type, metric?.defaultText, metric?.choices],
      ['"rmse" | "mae"', '"rmse"', ['"rmse"', '"mae"']],
    );
    for (const name of ['shipped/none', 'shipped/../package', 'notebooks/none.ipynb']) {
      await rejectsWith(notebooks.inspectNotebook({ notebook: name }), Code.NOT_FOUND, 'NOTEBOOK_NOT_FOUND');
    }
    for (const name of ['', '../x', '/etc/passwd']) {
      const bad = notebooks.inspectNotebook({ notebook: name });
      const { fields } = await rejectsWith(bad, Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
      assert.deepEqual(
        fields.map(({ field }) => field),
        ['notebook'],
      );
    }
    const large = await storeBytes(Buffer.alloc(64 * 1024 * 1024 + 1, ' '));
    await rejectsWith(notebooks.inspectNotebook({ notebook: large }), Code.INVALID_ARGUMENT, 'NOTEBOOK_INVALID');
  });

  it('run on the kernels that the environment of the server names', async () => {
    const metadata = { kernelspec: { name: 'own', display_name: 'Own' } };
    const job = await start({ notebook: await storeDocument({ ...notebookOf(code('1')), metadata }) });
    const states: unknown[] = [];
    for await (const { event } of notebooks.watchRun({ job }, { signal: signal() })) {
      if (event?.event.case === 'finished') states.push(event.event.value.state);
    }
    assert.deepEqual(states, [RunState.SUCCEEDED], JSON.stringify((await jobs.getJob({ name: job })).job?.error));
  });

  it('show their output while they run, and go on from where a watcher was', async () => {
    const job = await start({ notebook: await store(code(printing), code('console.log("end")')) });
    const seen: WatchRunResponse[] = [];
    for await (const answer of notebooks.watchRun({ job }, { signal: signal() })) {
      seen.push(answer);
      if (answer.event?.event.case === 'cellOutput') break;
    }
    const last = seen.at(-1)?.event;
    assert.ok(last?.event.case === 'cellOutput' && !last.event.value.text.includes('line 7'), 'output comes early');
    for await (const answer of notebooks.watchRun({ job, afterSequence: last.sequence }, { signal: signal() }))
      seen.push(answer);
    const sequences = seen.map(({ event }) => Number(event?.sequence));
    assert.deepEqual(
      sequences,
      [...new Set(sequences)].sort((a, b) => a - b),
    );
    const text = seen.map(({ event }) => (event?.event.case === 'cellOutput' ? event.event.value.text : '')).join('');
    assert.equal(text, `${Array.from({ length: 8 }, (_, i) => `line ${i}\n`).join('')}end\n`);
    const kinds = seen.map(({ event }) => event?.event.case).filter((kind, i, all) => kind !== all[i - 1]);
    assert.deepEqual([kinds[0], kinds[1], kinds.at(-1)], ['started', 'kernelReady', 'finished']);
    const end = seen.at(-1)?.event?.event;
    assert.equal(end?.case === 'finished' && end.value.state, RunState.SUCCEEDED);
    const again: unknown[] = [];
    for await (const answer of notebooks.watchRun({ job }, { signal: signal() })) again.push(answer);
    assert.equal(again.length >= seen.length, true, 'an ended run can be read from the start');
  });

  it('have a page of their output, also when they failed', async () => {
    const job = await start({
      notebook: await store(code('console.log("<b>hi</b>")'), code('throw new Error("on purpose")')),
    });
    for await (const _ of notebooks.watchRun({ job }, { signal: signal() }));
    const { html, contentSecurityPolicy, outputKey } = await notebooks.getRunPage({ run: { case: 'job', value: job } });
    const page = Buffer.from(html).toString();
    assert.match(page, /&lt;b&gt;hi&lt;\/b&gt;.*on purpose/s);
    assert.match(contentSecurityPolicy, /default-src 'none'/);
    const same = await notebooks.getRunPage({ run: { case: 'outputKey', value: outputKey } });
    assert.deepEqual(same.html, html);
    for (const value of ['models/x.ipynb', 'notebooks/x.txt', 'notebooks/../x.ipynb']) {
      const bad = notebooks.getRunPage({ run: { case: 'outputKey', value } });
      const { fields } = await rejectsWith(bad, Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
      assert.equal(fields[0]?.field, 'output_key');
    }
    const absent = notebooks.getRunPage({ run: { case: 'job', value: 'jobs/none' } });
    await rejectsWith(absent, Code.NOT_FOUND, 'JOB_NOT_FOUND');
  });

  it('get allowed secrets of the worker, and start on kernels that were started ahead', async () => {
    const notebook = await store(code('const key = "";', 'parameters'), code('console.log(key.length, key)'));
    const job = await start({ notebook, parameters: { key: { $secret: 'IT_SECRET' } } });
    let text = '';
    for await (const { event } of notebooks.watchRun({ job }, { signal: signal() })) {
      if (event?.event.case === 'cellOutput') text += event.event.value.text;
    }
    assert.equal(text, '12 [secret IT_SECRET]\n');
    const logs = JSON.stringify(server.logs());
    assert.deepEqual([logs.includes('it is secret'), await filesHolding(server.stateDir, 'it is secret')], [false, []]);
    assert.notDeepEqual(
      await filesHolding(server.stateDir, '[secret IT_SECRET]'),
      [],
      'the search finds what is there',
    );
    const plain = await store(code('1'));
    const readyAfterMs = async () => {
      const run = await start({ notebook: plain });
      let ms = Number.POSITIVE_INFINITY;
      for await (const { event } of notebooks.watchRun({ job: run }, { signal: signal() })) {
        if (event?.event.case !== 'kernelReady') continue;
        const { nanos = 0, seconds = 0n } = event.event.value.readyAfter ?? {};
        ms = Number(seconds) * 1000 + nanos / 1e6;
      }
      return ms;
    };
    // The next kernel starts when a run has ended: on a loaded machine it may not wait yet when the next run comes.
    await waitUntil('a run finds a kernel that waited', async () => (await readyAfterMs()) < 50, 60_000);
  });

  it('test the whole API of the server from another runtime', async () => {
    await using bed = await createNotebookBed();
    const record = await bed.run([], {
      inputPath: join(root, 'notebooks/grpc-integration.ipynb'),
      parameters: { address: server.address, projectDir: root, apiKey: { $secret: 'KEY' } },
      secrets: { resolve: () => server.apiKey },
    });
    assert.equal(record.failure, undefined, JSON.stringify(record.failure));
    const tests = record.notebook.cells.filter((cell) => hasTag(cell, 'test'));
    assert.ok(tests.length >= 12);
    assert.ok(!JSON.stringify(record.notebook).includes(server.apiKey));
  });

  it('report what was watched, from the events of the server', async () => {
    await using bed = await createNotebookBed();
    const record = await bed.run([], {
      inputPath: join(root, 'notebooks/viewing-report.ipynb'),
      parameters: { eventsFile: '', address: server.address, projectDir: root, apiKey: { $secret: 'KEY' } },
      secrets: { resolve: () => server.apiKey },
    });
    assert.equal(record.failure, undefined, JSON.stringify(record.failure));
    assert.deepEqual([record.scraps['plays']?.data, record.scraps['titles']?.data], [2, 1]);
  });

  it('are of no use to who watches another kind of job, or a stream of another service', async () => {
    const cache = createRpcClient(CacheService, { address: server.address, metadata: { 'x-api-key': server.apiKey } });
    cache.close();
    const watch = async (job: string) => {
      for await (const _ of notebooks.watchRun({ job }, { signal: signal() }));
    };
    await rejectsWith(watch('jobs/none'), Code.NOT_FOUND, 'JOB_NOT_FOUND');
    await rejectsWith(watch('titles/x'), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
  });
});
