// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references are written so
import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import type { JobRecord } from '../../server/jobs/job-record.ts';
import type { WorkflowNode, WorkflowSpec } from '../../server/jobs/workflows/workflow.ts';
import type { Json } from '../../workers/queue/job-kind.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type JobsHarness, openJobsHarness } from './fixtures/harness.ts';

type After = readonly (string | { node: string; on?: 'success' | 'failure' | 'always'; when?: string })[];
const node = (
  id: string,
  kind: string,
  params: Json,
  after: After = [],
  more: Partial<WorkflowNode> = {},
): WorkflowNode => ({
  id,
  work: { type: 'job', kind, params, priority: 0 },
  after: after.map((edge) => ({ on: 'success', when: '', ...(typeof edge === 'string' ? { node: edge } : edge) })),
  join: 'all',
  ...more,
});

describe('a workflow', () => {
  let harness: JobsHarness;
  let count = 0;
  before(async () => {
    harness = await openJobsHarness();
    await harness.startWorker({ work: 16 });
  });
  after(() => harness.close());

  const define = async (nodes: readonly WorkflowNode[], more: Partial<WorkflowSpec> = {}) => {
    const spec = { id: `w${++count}`, description: '', nodes, labels: { flow: 'yes' }, ...more };
    return (await harness.jobs.workflows.create(spec)).id;
  };
  const run = async (workflow: string, params: Json = {}, requestId = '') => {
    const spec = { kind: 'workflow', params: { workflow, params }, labels: {}, priority: 0 };
    return (await harness.jobs.create(spec, { requestId, owner: 'ann' })).job;
  };
  const nodesOf = async ({ id }: JobRecord) => (await harness.jobs.runs.get(id)).row.nodes;
  const statesOf = async (job: JobRecord) =>
    Object.fromEntries(Object.entries(await nodesOf(job)).map(([id, { state }]) => [id, state]));
  const finished = async (job: JobRecord) => {
    const ended = await harness.untilEnded(job.id, 15_000);
    return { ended, states: await statesOf(ended) };
  };
  const hold = (name: string): Json => ({ log: harness.path('log'), until: harness.path(name) });

  it('runs its nodes in order and hands results on', async () => {
    const id = await define(
      [
        node('first', 'echo', { value: { n: 3, text: 'a' } }),
        node('second', 'echo', { value: '${first.result.echo.n}' }, ['first']),
        node('third', 'echo', { value: '${params.word} ${first.result.echo.text} of ${run.id}' }, ['first']),
        node('last', 'echo', { value: ['${second.result.echo}', '${third.state}'] }, ['second', 'third']),
      ],
      {
        schema: { properties: { word: { type: 'string', default: 'word' } } },
        outputs: { last: '${last.result.echo}', third: '${third.result.echo}' },
      },
    );
    const { ended, states } = await finished(await run(id));
    assert.deepEqual(states, { first: 'succeeded', second: 'succeeded', third: 'succeeded', last: 'succeeded' });
    assert.deepEqual(ended.result, { last: [3, 'succeeded'], third: `word a of ${ended.id}` });
    const nodes = await nodesOf(ended);
    const job = await harness.jobs.get(nodes['last']?.job ?? '');
    assert.deepEqual([job.parent, job.node?.id, job.owner, job.labels], [ended.id, 'last', 'ann', { flow: 'yes' }]);
    assert.deepEqual(ended.progress?.detail, { nodes_done: 4, nodes_total: 4 });
  });

  it('takes the ways that states and conditions open, and skips the others', async () => {
    const log = harness.path('bad');
    const id = await define([
      node('ok', 'echo', { value: 5 }),
      node('bad', 'bad-input', { log }),
      node('big', 'noop', {}, [{ node: 'ok', when: 'ok.result.echo > 10' }]),
      node('after-big', 'noop', {}, ['big']),
      node('small', 'noop', {}, [{ node: 'ok', when: 'ok.result.echo <= 10 && params.go' }]),
      node('repair', 'echo', { value: '${bad.error.reason}' }, [{ node: 'bad', on: 'failure' }]),
      node('clean', 'noop', {}, [
        { node: 'bad', on: 'always' },
        { node: 'after-big', on: 'always' },
      ]),
      node('either', 'noop', {}, ['big', 'small'], { join: 'any' }),
      node('both', 'noop', {}, ['big', 'small']),
    ]);
    const { ended, states } = await finished(await run(id, { go: true }));
    assert.equal(ended.state, 'succeeded', ended.error?.message);
    assert.deepEqual(states, {
      ok: 'succeeded',
      bad: 'failed',
      big: 'skipped',
      'after-big': 'skipped',
      small: 'succeeded',
      repair: 'succeeded',
      clean: 'succeeded',
      either: 'succeeded',
      both: 'skipped',
    });
    const repair = await harness.jobs.get((await nodesOf(ended))['repair']?.job ?? '');
    assert.deepEqual(repair.result, { echo: 'INVALID_FIELDS' });
  });

  it('fails with the error of a node that nothing deals with, after the other branches', async () => {
    const id = await define([
      node('bad', 'bad-input', { log: harness.path('bad') }),
      node('never', 'noop', {}, ['bad']),
      node('other', 'echo', { value: 1 }),
      node('more', 'echo', { value: '${other.result.nothing}' }, ['other']),
    ]);
    const { ended, states } = await finished(await run(id));
    assert.deepEqual([ended.state, ended.error?.class], ['failed', 'user']);
    assert.deepEqual(states, { bad: 'failed', never: 'skipped', other: 'succeeded', more: 'failed' });
    assert.equal((await nodesOf(ended))['more']?.error?.reason, 'REFERENCE_UNKNOWN');
  });

  it('restarts from its failure: what succeeded is kept, with the inputs of then', async () => {
    const counted = (id: string, after: After) =>
      node(id, 'flaky', { log: harness.path(`${id}-runs`), failures: 0 }, after);
    const id = await define([
      counted('one', []),
      node('two', 'fail-until', { until: harness.path('repaired'), value: '${params.x}' }, ['one']),
      node('three', 'echo', { value: '${two.result.value}' }, ['two']),
    ]);
    const { ended: failed } = await finished(await run(id, { x: 7 }));
    assert.equal(failed.state, 'failed');
    harness.touch('repaired');
    const { job: again } = await harness.jobs.restart(failed.id, {});
    const { ended, states } = await finished(again);
    assert.deepEqual(states, { one: 'succeeded', two: 'succeeded', three: 'succeeded' });
    assert.deepEqual([ended.state, ended.restartOf], ['succeeded', failed.id]);
    const nodes = await nodesOf(ended);
    assert.deepEqual([nodes['one']?.reused, nodes['two']?.reused], [true, undefined]);
    assert.equal(harness.lines('one-runs').length, 1, 'run once');
    assert.deepEqual((await harness.jobs.get(nodes['three']?.job ?? '')).result, { echo: 7 });
  });

  it('cancels what it still does when it is cancelled', async () => {
    const inner = await define([node('deep', 'hold', hold('never'))]);
    const id = await define([
      node('held', 'hold', hold('never')),
      node('sub', 'noop', {}, [], { work: { type: 'workflow', workflow: inner, params: {} } }),
      node('each', 'hold', hold('never'), [], { foreach: { items: [1, 2, 3, 4], maxParallel: 2, maxFailed: 0 } }),
      node('later', 'noop', {}, ['held']),
    ]);
    const started = await run(id);
    const children = async () => {
      const query = { kinds: new Set(['hold']), states: new Set<never>(), labels: {}, includeParts: true };
      const { jobs } = await harness.jobs.list({ ...query, after: undefined, pageSize: 100 });
      const sub = (await nodesOf(started))['sub']?.job;
      return jobs.filter(({ parent }) => parent === started.id || (parent !== undefined && parent === sub));
    };
    await waitUntil(
      'four hold',
      async () => (await children()).filter(({ state }) => state === 'running').length === 4,
      8_000,
    );
    await harness.jobs.cancel(started.id);
    await waitUntil('none is left', async () => (await children()).every(({ state }) => state === 'cancelled'));
    await waitUntil('the row tells', async () => (await statesOf(started))['held'] === 'cancelled');
    assert.deepEqual(await statesOf(started), {
      held: 'cancelled',
      sub: 'cancelled',
      each: 'cancelled',
      later: 'skipped',
    });
    assert.deepEqual((await nodesOf(started))['each']?.items?.notRun, 4);
  });

  it('ends over its time limit', async () => {
    const workflow = await define([node('held', 'hold', hold('never'))]);
    const spec = { kind: 'workflow', params: { workflow }, labels: {}, priority: 0 };
    const { job } = await harness.jobs.create(spec, { policy: { limits: { timeoutMs: 200 } } });
    const { ended } = await finished(job);
    assert.deepEqual([ended.state, ended.error?.reason], ['timed_out', 'JOB_TIMED_OUT']);
    await waitUntil('its node is cancelled', async () => (await statesOf(job))['held'] === 'cancelled');
  });

  it('cancels a job of it that was made though the run does not know of it yet', async () => {
    const started = await run(await define([node('held', 'hold', hold('never'))]));
    await waitUntil('its node runs', async () => (await statesOf(started))['held'] === 'running');
    const { job = '' } = (await nodesOf(started))['held'] ?? {};
    // As a server leaves it that ends right after it made the job.
    const { row } = await harness.jobs.runs.get(started.id);
    const before = { ...row, nodes: { held: { state: 'waiting' } } };
    await harness.records.put('jobs/workflow-runs', started.id, Buffer.from(JSON.stringify(before)));
    await harness.jobs.cancel(started.id);
    assert.equal((await harness.untilEnded(job)).state, 'cancelled');
  });

  it('keeps results of its nodes for a day at least, whatever their templates say', async () => {
    const template = { kind: 'noop', description: '', tags: [], labels: {}, priority: 0, keepFailedMs: 60_000 };
    await harness.jobs.templates.create({ ...template, id: 'brief', keepMs: 60_000 });
    await harness.jobs.templates.create({ ...template, id: 'lasting', keepMs: 172_800_000 });
    const call = (id: string): Partial<WorkflowNode> => ({
      work: { type: 'run', template: id, params: {}, labels: {} },
    });
    const id = await define([node('a', '', {}, [], call('brief')), node('b', '', {}, [], call('lasting'))]);
    const { ended } = await finished(await run(id));
    const nodes = await nodesOf(ended);
    const kept = ['a', 'b'].map(async (name) => (await harness.jobs.get(nodes[name]?.job ?? '')).keepMs);
    assert.deepEqual(await Promise.all(kept), [86_400_000, 172_800_000]);
  });

  it('runs others within, with their results, but not without end', async () => {
    const inner = await define([node('a', 'echo', { value: '${params.n}' })], {
      outputs: { twice: ['${a.result.echo}', '${a.result.echo}'] },
    });
    const call = (workflow: string, params: Json): Partial<WorkflowNode> => ({
      work: { type: 'workflow', workflow, params },
    });
    const outer = await define([node('sub', '', {}, [], call(inner, { n: 4 }))], {
      outputs: { got: '${sub.result.twice}' },
    });
    const { ended } = await finished(await run(outer));
    assert.deepEqual(ended.result, { got: [4, 4] });
    const endless = `w${count + 1}`;
    await define([node('again', '', {}, [], call(endless, {}))]);
    const { ended: deep } = await finished(await run(endless));
    assert.equal(deep.error?.reason, 'WORKFLOW_TOO_DEEP');
    const { ended: missing } = await finished(await run(await define([node('gone', '', {}, [], call('no-such', {}))])));
    assert.equal(missing.error?.reason, 'WORKFLOW_NOT_FOUND');
  });

  it('waits for an event that was accepted after it began, also before the node is reached', async () => {
    const work = (subject: string, when: string): Partial<WorkflowNode> => ({
      work: { type: 'signal', eventKind: 'model.published', subject, when },
    });
    const id = await define(
      [
        node('gate', 'hold', hold('gate-open')),
        node('early', '', {}, ['gate'], work('', 'event.data.rmse < params.most')),
        node('late', '', {}, ['early'], work('${early.result.subject}', 'event.data.final')),
      ],
      { outputs: { subject: '${early.result.subject}', id: '${late.result.eventId}' } },
    );
    const event = (eventId: string, subject: string, data: Json, acceptedMs = Date.now()) =>
      harness.jobs.onEvent({ eventId, kind: 'model.published', subject, profile: '', data, acceptedMs });
    const started = await run(id, { most: 0.9 });
    await event('old', 'models/old', { rmse: 0.1 }, started.createMs - 1);
    await event('bad', 'models/bad', { rmse: 0.95 });
    await event('good', 'models/good', { rmse: 0.8 });
    await event('good', 'models/good', { rmse: 0.8 });
    assert.equal((await statesOf(started))['early'], 'waiting');
    harness.touch('gate-open');
    await waitUntil('it was early', async () => (await statesOf(started))['early'] === 'succeeded');
    await waitUntil('it waits', async () => (await statesOf(started))['late'] === 'running');
    await event('other', 'models/other', { final: true });
    assert.equal((await statesOf(started))['late'], 'running');
    await event('final', 'models/good', { final: true });
    const { ended } = await finished(started);
    assert.deepEqual(ended.result, { subject: 'models/good', id: 'final' });
  });

  it('takes an event that came before its subject was known', async () => {
    const id = await define(
      [
        node('train', 'hold', hold('trained')),
        node('published', '', {}, ['train'], {
          work: { type: 'signal', eventKind: 'model.published', subject: 'models/${train.result.attempt}', when: '' },
        }),
      ],
      { outputs: { id: '${published.result.eventId}' } },
    );
    const started = await run(id);
    const event = (eventId: string, subject: string) =>
      harness.jobs.onEvent({
        ...{ eventId, kind: 'model.published', subject, profile: '', data: {}, acceptedMs: Date.now() },
      });
    for (let i = 0; i < 25; i++) await event(`other-${i}`, `models/other-${i}`);
    for (let i = 0; i < 2; i++) await event('right', 'models/1');
    assert.equal((await nodesOf(started))['published']?.held?.length, 20, 'a bounded number is kept, none twice');
    harness.touch('trained');
    const { ended } = await finished(started);
    assert.deepEqual(ended.result, { id: 'right' });
    assert.equal((await nodesOf(ended))['published']?.held, undefined);
  });

  it('gives the earlier run for a known request id, and follows its strategy', async () => {
    const id = await define([node('held', 'hold', hold('one-run'))], { strategy: { kind: 'first_only' } });
    const first = await run(id, {}, 'once');
    assert.equal((await run(id, {}, 'once')).id, first.id);
    const second = await run(id);
    assert.equal((await harness.untilEnded(second.id)).state, 'skipped');
    harness.touch('one-run');
    assert.equal((await finished(first)).ended.state, 'succeeded');
  });

  it('goes on after a restart of the server, whatever ended meanwhile', async () => {
    const id = await define(
      [
        node('a', 'hold', hold('a-go')),
        node('each', 'echo', { value: '${item}' }, ['a'], {
          foreach: { grid: { x: [1, 2, 3], y: ['p', 'q'] }, maxParallel: 2, maxFailed: 0 },
        }),
        node('b', 'echo', { value: '${each.counts.succeeded}' }, ['each']),
      ],
      { outputs: { n: '${b.result.echo}' } },
    );
    const started = await run(id);
    await harness.restartServer({}, () => harness.touch('a-go'));
    const { ended } = await finished(started);
    assert.deepEqual(ended.result, { n: 6 });
  });
});

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

describe('the definition of a workflow', () => {
  let harness: JobsHarness;
  before(async () => {
    harness = await openJobsHarness({ start: false });
  });
  after(() => harness.close());

  it('is refused when something in it is wrong', async () => {
    const ok = node('a', 'noop', {});
    const faulty: readonly (readonly [readonly WorkflowNode[], string])[] = [
      [[], 'INVALID_FIELDS'],
      [[ok, ok], 'INVALID_FIELDS'],
      [[node('params', 'noop', {})], 'INVALID_FIELDS'],
      [[node('Not ok', 'noop', {})], 'INVALID_FIELDS'],
      [[node('a', 'nonsense', {})], 'INVALID_FIELDS'],
      [[node('a', 'noop', {}, ['nobody'])], 'INVALID_FIELDS'],
      [[node('a', 'noop', {}, ['b']), node('b', 'noop', {}, ['a'])], 'INVALID_FIELDS'],
      [[node('a', 'noop', {}, ['a'])], 'INVALID_FIELDS'],
      [[ok, node('b', 'noop', { x: '${a.result}' })], 'INVALID_FIELDS'],
      [[ok, node('b', 'noop', { x: '${item}' }, ['a'])], 'INVALID_FIELDS'],
      [[ok, node('b', 'noop', { x: '${a..b}' }, ['a'])], 'REFERENCE_INVALID'],
      [[ok, node('b', 'noop', {}, [{ node: 'a', when: 'a.result >' }])], 'CONDITION_INVALID'],
      [[ok, node('b', 'noop', {}, [{ node: 'a', when: 'c.result > 1' }])], 'INVALID_FIELDS'],
      [[node('a', 'noop', {}, [], { foreach: { maxParallel: 1, maxFailed: 0 } })], 'INVALID_FIELDS'],
      [[node('a', 'noop', {}, [], { foreach: { items: [], maxParallel: 257, maxFailed: 0 } })], 'INVALID_FIELDS'],
      [[node('a', 'noop', {}, [], { foreach: { items: [], maxParallel: 1, maxFailed: -1 } })], 'INVALID_FIELDS'],
      [
        [node('a', '', {}, [], { work: { type: 'signal', eventKind: 'x', subject: '', when: 'a.b' } })],
        'INVALID_FIELDS',
      ],
      [Array.from({ length: 201 }, (_, i) => node(`n${i}`, 'noop', {})), 'INVALID_FIELDS'],
    ];
    for (const [nodes, reason] of faulty) {
      const create = harness.jobs.workflows.create({ id: 'bad', description: '', nodes, labels: {} });
      await rejectsWith(create, Code.INVALID_ARGUMENT, reason);
    }
  });

  it('must be there when a run is asked for', async () => {
    const spec = { kind: 'workflow', params: { workflow: 'nobody' }, labels: {}, priority: 0 };
    await rejectsWith(harness.jobs.create(spec), Code.NOT_FOUND, 'WORKFLOW_NOT_FOUND');
    for (const params of [{}, { workflow: 'a', params: [] }, { workflow: 'a', other: 1 }]) {
      await rejectsWith(harness.jobs.create({ ...spec, params }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    }
  });
});
