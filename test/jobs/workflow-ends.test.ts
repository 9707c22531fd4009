// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references are written so
import assert from 'node:assert/strict';
import { systemClock } from '../../server/core/clock.ts';
import { silentLogger } from '../../server/core/log.ts';
import type { JobRecord } from '../../server/jobs/job-record.ts';
import { createJobStore } from '../../server/jobs/job-store.ts';
import { createRunRows } from '../../server/jobs/workflows/run-rows.ts';
import type { WorkflowNode } from '../../server/jobs/workflows/workflow.ts';
import { createWorkflowEngine, type WorkflowEngineDeps } from '../../server/jobs/workflows/workflow-engine.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type JobsHarness, openJobsHarness } from './fixtures/harness.ts';
import { type After, createWorkflowRuns, node, type WorkflowRuns } from './fixtures/workflow-runs.ts';

describe('a workflow run that does not just succeed', () => {
  let harness: JobsHarness;
  let flows: WorkflowRuns;
  before(async () => {
    harness = await openJobsHarness();
    await harness.startWorker({ work: 16 });
    flows = createWorkflowRuns(harness);
  });
  after(() => harness.close());

  it('restarts from its failure: what succeeded is kept, with the inputs of then', async () => {
    const counted = (id: string, after: After) =>
      node(id, 'flaky', { log: harness.path(`${id}-runs`), failures: 0 }, after);
    const id = await flows.define([
      counted('one', []),
      node('two', 'fail-until', { until: harness.path('repaired'), value: '${params.x}' }, ['one']),
      node('three', 'echo', { value: '${two.result.value}' }, ['two']),
    ]);
    const { ended: failed } = await flows.finished(await flows.run(id, { x: 7 }));
    assert.equal(failed.state, 'failed');
    harness.touch('repaired');
    const { job: again } = await harness.jobs.restart(failed.id, {});
    const { ended, states } = await flows.finished(again);
    assert.deepEqual(states, { one: 'succeeded', two: 'succeeded', three: 'succeeded' });
    assert.deepEqual([ended.state, ended.restartOf], ['succeeded', failed.id]);
    const nodes = await flows.nodesOf(ended);
    assert.deepEqual([nodes['one']?.reused, nodes['two']?.reused], [true, undefined]);
    assert.equal(harness.lines('one-runs').length, 1, 'run once');
    assert.deepEqual((await harness.jobs.get(nodes['three']?.job ?? '')).result, { echo: 7 });
  });

  it('cancels what it still does when it is cancelled', async () => {
    const inner = await flows.define([node('deep', 'hold', flows.hold('never'))]);
    const id = await flows.define([
      node('held', 'hold', flows.hold('never')),
      node('sub', 'noop', {}, [], { work: { type: 'workflow', workflow: inner, params: {} } }),
      node('each', 'hold', flows.hold('never'), [], { foreach: { items: [1, 2, 3, 4], maxParallel: 2, maxFailed: 0 } }),
      node('later', 'noop', {}, ['held']),
    ]);
    const started = await flows.run(id);
    const children = async () => {
      const query = { kinds: new Set(['hold']), states: new Set<never>(), labels: {}, includeParts: true };
      const { jobs } = await harness.jobs.list({ ...query, after: undefined, pageSize: 100 });
      const sub = (await flows.nodesOf(started))['sub']?.job;
      return jobs.filter(({ parent }) => parent === started.id || (parent !== undefined && parent === sub));
    };
    await waitUntil(
      'four hold',
      async () => (await children()).filter(({ state }) => state === 'running').length === 4,
    );
    await harness.jobs.cancel(started.id);
    await waitUntil('none is left', async () => (await children()).every(({ state }) => state === 'cancelled'));
    await waitUntil('the row tells', async () => (await flows.statesOf(started))['held'] === 'cancelled');
    assert.deepEqual(await flows.statesOf(started), {
      held: 'cancelled',
      sub: 'cancelled',
      each: 'cancelled',
      later: 'skipped',
    });
    assert.deepEqual((await flows.nodesOf(started))['each']?.items?.notRun, 4);
  });

  it('ends over its time limit', async () => {
    const workflow = await flows.define([node('held', 'hold', flows.hold('never'))]);
    const spec = { kind: 'workflow', params: { workflow }, labels: {}, priority: 0 };
    const { job } = await harness.jobs.create(spec, { policy: { limits: { timeoutMs: 200 } } });
    const { ended } = await flows.finished(job);
    assert.deepEqual([ended.state, ended.error?.reason], ['timed_out', 'JOB_TIMED_OUT']);
    await waitUntil('its node is cancelled', async () => (await flows.statesOf(job))['held'] === 'cancelled');
  });

  it('is skipped when it cannot start in time', async () => {
    const workflow = await flows.define([node('never', 'hold', flows.hold('never'))]);
    const spec = { kind: 'workflow', params: { workflow }, labels: {}, priority: 0 };
    const { job } = await harness.jobs.create(spec, { startByMs: Date.now() - 1 });
    const { ended } = await flows.finished(job);
    assert.deepEqual([ended.state, ended.error?.reason], ['skipped', 'STARTED_TOO_LATE']);
    await waitUntil('its node is skipped', async () => (await flows.statesOf(job))['never'] === 'skipped');
  });

  it('cancels a job of it that was made though the run does not know of it yet', async () => {
    const started = await flows.run(await flows.define([node('held', 'hold', flows.hold('never'))]));
    await waitUntil('its node runs', async () => (await flows.statesOf(started))['held'] === 'running');
    const { job = '' } = (await flows.nodesOf(started))['held'] ?? {};
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
    const id = await flows.define([node('a', '', {}, [], call('brief')), node('b', '', {}, [], call('lasting'))]);
    const { ended } = await flows.finished(await flows.run(id));
    const nodes = await flows.nodesOf(ended);
    const kept = ['a', 'b'].map(async (name) => (await harness.jobs.get(nodes[name]?.job ?? '')).keepMs);
    assert.deepEqual(await Promise.all(kept), [86_400_000, 172_800_000]);
  });

  it('goes on after a restart of the server, whatever ended meanwhile', async () => {
    const id = await flows.define(
      [
        node('a', 'hold', flows.hold('a-go')),
        node('each', 'echo', { value: '${item}' }, ['a'], {
          foreach: { grid: { x: [1, 2, 3], y: ['p', 'q'] }, maxParallel: 2, maxFailed: 0 },
        }),
        node('b', 'echo', { value: '${each.counts.succeeded}' }, ['each']),
      ],
      { outputs: { n: '${b.result.echo}' } },
    );
    const started = await flows.run(id);
    await harness.restartServer({}, () => harness.touch('a-go'));
    const { ended } = await flows.finished(started);
    assert.deepEqual(ended.result, { n: 6 });
  });

  it('runs a node again in a restart whose result is kept no longer', async () => {
    const id = await flows.define([
      node('one', 'echo', { value: 5 }),
      node('two', 'fail-until', { until: harness.path('mended'), value: '${one.result.echo}' }, ['one']),
    ]);
    const { ended: failed } = await flows.finished(await flows.run(id));
    await waitUntil('all is settled', async () => (await harness.records.scan('jobs/open', {})).length === 0);
    await harness.jobs.delete((await flows.nodesOf(failed))['one']?.job ?? '');
    harness.touch('mended');
    const { job } = await harness.jobs.restart(failed.id, {});
    const { ended } = await flows.finished(job);
    assert.equal(ended.state, 'succeeded', ended.error?.message);
    assert.equal((await flows.nodesOf(ended))['one']?.reused, undefined);
  });

  it('leaves nothing that waits for events when it was cancelled while it began', async () => {
    const signal = { type: 'signal' as const, eventKind: 'model.published', subject: '', when: '' };
    const workflow = await flows.define([node('published', '', {}, [], { work: signal })]);
    const store = { ...createJobStore(harness.records, { maxEvents: 10, retentionMs: 1_000 }) };
    const rows = createRunRows(harness.records);
    const cancelled = { id: 'gone', state: 'cancelled', params: { workflow } } as unknown as JobRecord;
    const engine = createWorkflowEngine({
      store: { ...store, find: async () => cancelled, update: async () => cancelled },
      rows,
      runObjects: { note: async () => {}, keepFor: async () => true },
      getWorkflow: (name: string) => harness.jobs.workflows.get(name),
      ...{ clock: systemClock, log: silentLogger, retentionMs: 1_000 },
    } as unknown as WorkflowEngineDeps);
    await engine.launch({ ...cancelled, state: 'queued' });
    assert.deepEqual(await rows.waitingFor('model.published'), []);
    assert.equal((await rows.find('gone'))?.row.nodes['published']?.state, 'skipped');
  });
});
