// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references are written so
import assert from 'node:assert/strict';
import type { WorkflowNode } from '../../server/jobs/workflows/workflow.ts';
import type { Json } from '../../workers/queue/job-kind.ts';
import { type JobsHarness, openJobsHarness } from './fixtures/harness.ts';

describe('foreach', () => {
  let harness: JobsHarness;
  let count = 0;
  before(async () => {
    harness = await openJobsHarness();
    await harness.startWorker({ work: 16 });
  });
  after(() => harness.close());

  const runEach = async (work: Omit<WorkflowNode, 'id' | 'after' | 'join'>, params: Json = {}) => {
    const nodes = [{ ...work, id: 'each', after: [], join: 'all' as const }];
    const { id } = await harness.jobs.workflows.create({ id: `f${++count}`, description: '', nodes, labels: {} });
    const spec = { kind: 'workflow', params: { workflow: id, params }, labels: {}, priority: 0 };
    const { job } = await harness.jobs.create(spec);
    const ended = await harness.untilEnded(job.id, 30_000);
    return { ended, each: (await harness.jobs.runs.get(job.id)).row.nodes['each'] };
  };
  const echo = (value: Json) => ({ type: 'job' as const, kind: 'echo', params: { value }, priority: 0 });
  const results = async (key = '') => {
    const list = JSON.parse(Buffer.from(await harness.objects.read(key)).toString()) as {
      chunks: string[];
      total: number;
    };
    const chunks = await Promise.all(
      list.chunks.map(async (chunk) => Buffer.from(await harness.objects.read(chunk)).toString()),
    );
    return chunks
      .flatMap((text) => text.split('\n').filter(Boolean))
      .map((line) => JSON.parse(line) as { index: number; item: Json; state: string; result: Json });
  };

  it('runs over every combination of a grid, the last name fastest, and lists results in order', async () => {
    const foreach = { grid: { a: [1, 2], b: '${params.letters}', c: [true] }, maxParallel: 3, maxFailed: 0 };
    const { ended, each } = await runEach(
      { work: echo('${index}: ${item.a}${item.b}'), foreach },
      { letters: ['x', 'y', 'z'] },
    );
    assert.equal(ended.state, 'succeeded', ended.error?.message);
    const lines = await results(each?.items?.resultsKey);
    assert.deepEqual(
      lines.map(({ result }) => (result as { echo: string }).echo),
      ['0: 1x', '1: 1y', '2: 1z', '3: 2x', '4: 2y', '5: 2z'],
    );
    assert.deepEqual(lines[4]?.item, { a: 2, b: 'y', c: true });
  });

  it('runs 1,200 items in chunks with a bounded number in memory and at work', async () => {
    const foreach = { items: Array.from({ length: 1_200 }, (_, i) => i), maxParallel: 32, maxFailed: 0 };
    const { ended, each } = await runEach({ work: echo('${item}'), foreach });
    assert.equal(ended.state, 'succeeded', ended.error?.message);
    assert.deepEqual([each?.items?.total, each?.items?.succeeded, each?.items?.failed], [1_200, 1_200, 0]);
    const lines = await results(each?.items?.resultsKey);
    assert.deepEqual(
      lines.map(({ index }) => index),
      foreach.items,
    );
    assert.ok(lines.every(({ result, index }) => (result as { echo: number }).echo === index));
  });

  it('bears as many failed items as it is told, then ends and leaves the rest', async () => {
    const work = {
      type: 'job' as const,
      kind: 'fail-item',
      params: { item: '${item}', log: harness.path('items') },
      priority: 0,
    };
    const items = ['ok', 'bad', 'ok', 'bad', 'ok'];
    const { ended, each } = await runEach({ work, foreach: { items, maxParallel: 1, maxFailed: 2 } });
    assert.deepEqual([ended.state, each?.items?.succeeded, each?.items?.failed], ['succeeded', 3, 2]);
    const strict = await runEach({ work, foreach: { items, maxParallel: 1, maxFailed: 0 } });
    assert.deepEqual([strict.ended.state, strict.ended.error?.reason], ['failed', 'FOREACH_TOO_MANY_FAILED']);
    assert.deepEqual(
      [strict.each?.items?.succeeded, strict.each?.items?.failed, strict.each?.items?.notRun],
      [1, 1, 3],
    );
    const lines = await results(strict.each?.items?.resultsKey);
    assert.deepEqual(
      lines.map(({ state }) => state),
      ['succeeded', 'failed', 'not_run', 'not_run', 'not_run'],
    );
  });

  it('keeps the items that succeeded when the run is restarted', async () => {
    const log = harness.path('kept');
    const work = {
      type: 'job' as const,
      kind: 'fail-item',
      params: { item: '${item}', log, until: harness.path('mended') },
      priority: 0,
    };
    const { ended: failed } = await runEach({
      work,
      foreach: { items: ['ok', 'ok', 'bad', 'ok'], maxParallel: 2, maxFailed: 0 },
    });
    assert.equal(failed.state, 'failed');
    const before = harness.lines('kept').length;
    harness.touch('mended');
    const { job } = await harness.jobs.restart(failed.id, {});
    const ended = await harness.untilEnded(job.id);
    assert.equal(ended.state, 'succeeded', ended.error?.message);
    const { items } = (await harness.jobs.runs.get(job.id)).row.nodes['each'] ?? {};
    assert.equal(items?.succeeded, 4);
    const again = harness.lines('kept').length - before;
    assert.ok(again >= 1 && again <= 2, `${again} items ran again`);
  });

  it('fails for what is no list, and for too many items', async () => {
    const noList = await runEach(
      { work: echo(1), foreach: { items: '${params.x}', maxParallel: 1, maxFailed: 0 } },
      { x: 1 },
    );
    assert.equal(noList.ended.error?.reason, 'FOREACH_INVALID');
    const axis = Array.from({ length: 160 }, (_, i) => i);
    const tooMany = await runEach({
      work: echo(1),
      foreach: { grid: { a: axis, b: axis }, maxParallel: 1, maxFailed: 0 },
    });
    assert.match(tooMany.ended.error?.message ?? '', /25600 items/);
  });

  it('of nothing succeeds at once', async () => {
    const { ended, each } = await runEach({ work: echo(1), foreach: { items: [], maxParallel: 1, maxFailed: 0 } });
    assert.deepEqual([ended.state, each?.items?.total], ['succeeded', 0]);
  });
});
