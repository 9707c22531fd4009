// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references are written so
import assert from 'node:assert/strict';
import { silentLogger } from '../../server/core/log.ts';
import { createNotebookKind } from '../../workers/notebook/notebook-kind.ts';
import { parseNotebookParams } from '../../workers/notebook/params.ts';
import { createWorkerRunner, type WorkerRunner } from '../../workers/queue/worker-runner.ts';
import { code, notebookOf } from '../notebooks/notebook-bed.ts';
import { type JobsHarness, openJobsHarness } from './fixtures/harness.ts';

const scrap = (name: string, data: string) =>
  `await Deno.jupyter.display({ "application/scrapbook.scrap.json+json": { name: "${name}", data: ${data}, encoder: "json", version: 1 } }, { raw: true })`;

describe('notebooks of a workflow', function () {
  this.timeout(60_000);

  let harness: JobsHarness;
  let worker: WorkerRunner;
  before(async () => {
    const kinds = [{ name: 'notebook', queueClass: 'notebook', parseParams: parseNotebookParams }];
    harness = await openJobsHarness({ kinds });
    const { objects, redis, prefix } = harness;
    const kind = createNotebookKind({ objects, notebooksDir: '', hostEnv: process.env, log: silentLogger });
    worker = await createWorkerRunner({
      url: redis.url,
      prefix,
      kinds: [kind],
      slots: { notebook: 2 },
      workDir: harness.path('work'),
      log: silentLogger,
    });
  });
  after(async () => {
    await worker.close(100);
    await harness.close();
  });

  it('pass what they hand out on to the next ones, item by item', async () => {
    const store = (key: string, ...cells: object[]) =>
      harness.objects.put(key, Buffer.from(JSON.stringify(notebookOf(...cells))));
    await store('split.ipynb', code(scrap('parts', '[{ size: 2 }, { size: 3 }]')));
    await store('square.ipynb', code('let size = 0', 'parameters'), code(scrap('area', 'size * size')));
    const notebook = (key: string, parameters: object) => ({
      type: 'job' as const,
      kind: 'notebook',
      params: { notebook: key, parameters: { ...parameters } },
      priority: 0,
    });
    await harness.jobs.workflows.create({
      id: 'areas',
      description: '',
      labels: {},
      nodes: [
        { id: 'split', work: notebook('split.ipynb', {}), after: [], join: 'all' },
        {
          id: 'each',
          work: notebook('square.ipynb', { size: '${item.size}' }),
          after: [{ node: 'split', on: 'success', when: 'split.result.scraps.parts[1].size == 3' }],
          join: 'all',
          foreach: { items: '${split.result.scraps.parts}', maxParallel: 2, maxFailed: 0 },
        },
      ],
      outputs: { key: '${each.result.resultsKey}' },
    });
    const spec = { kind: 'workflow', params: { workflow: 'areas' }, labels: {}, priority: 0 };
    const { id } = (await harness.jobs.create(spec)).job;
    const { state, error } = await harness.untilEnded(id, 50_000);
    assert.equal(state, 'succeeded', error?.message);
    const { jobs } = await harness.jobs.list({
      ...{ kinds: new Set(), states: new Set(), labels: {}, includeParts: true },
      ...{ parent: id, after: undefined, pageSize: 10 },
    });
    const areas = jobs.flatMap(({ result }) => (result as { scraps: { area?: number } }).scraps.area ?? []);
    assert.deepEqual(areas.toSorted(), [4, 9]);
  });
});
