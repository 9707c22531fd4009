import assert from 'node:assert/strict';
import { waitUntil } from '../support/wait-until.ts';
import { type JobsHarness, openJobsHarness } from './fixtures/harness.ts';
import { createWorkflowRuns, node, type WorkflowRuns } from './fixtures/workflow-runs.ts';

describe('a workflow run that the gate lets through', () => {
  let harness: JobsHarness;
  let flows: WorkflowRuns;
  beforeEach(async () => {
    harness = await openJobsHarness();
    await harness.startWorker({ work: 4 });
    flows = createWorkflowRuns(harness);
  });
  afterEach(() => harness.close());

  it('has its nodes run under the limit of its owner', async () => {
    await harness.jobs.limits.set({ key: 'owner/ann', maxRunning: 2, weight: 1 });
    const id = await flows.define([node('one', 'noop', {}), node('two', 'noop', {}, ['one'])]);
    const { ended } = await flows.finished(await flows.run(id));
    assert.equal(ended.state, 'succeeded');
  });

  it('does not itself count against the limit of its owner, which its nodes would wait for', async () => {
    await harness.jobs.limits.set({ key: 'owner/ann', maxRunning: 1, weight: 1 });
    const id = await flows.define([node('one', 'noop', {})]);
    const { ended } = await flows.finished(await flows.run(id));
    assert.equal(ended.state, 'succeeded');
  });

  it('holds up nobody else when it waits for itself', async () => {
    const self = { type: 'workflow' as const, workflow: 'self', params: {} };
    await flows.define([node('again', '', {}, [], { work: self })], { id: 'self', strategy: { kind: 'sequential' } });
    const run = await flows.run('self');
    const job = await harness.create('noop');
    assert.equal((await harness.untilEnded(job.id)).state, 'succeeded');
    await harness.jobs.cancel(run.id);
    assert.equal((await harness.untilEnded(run.id)).state, 'cancelled');
    const { job: inner = '' } = (await flows.nodesOf(run))['again'] ?? {};
    assert.equal((await harness.untilEnded(inner)).state, 'cancelled');
  });

  it('is cancelled down to the last of what it runs, however deep, and frees what others wait for', async () => {
    const { jobs, records } = harness;
    await jobs.limits.set({ key: 'owner/ann', maxRunning: 3, weight: 1 });
    const call = (workflow: string) => ({ work: { type: 'workflow' as const, workflow, params: {} } });
    const inner = await flows.define([node('held', 'hold', flows.hold('never'))]);
    const foreach = { items: [1, 2, 3], maxParallel: 3, maxFailed: 0 };
    const middle = await flows.define([node('each', '', {}, [], { ...call(inner), foreach })], {
      strategy: { kind: 'parallel', maxParallel: 2 },
    });
    const outer = await flows.define(
      ['a', 'b', 'c'].map((name) => node(name, '', {}, [], call(middle))),
      { strategy: { kind: 'sequential' } },
    );
    const query = { kinds: new Set<string>(), states: new Set<never>(), labels: {}, includeParts: true };
    const all = async () => (await jobs.list({ ...query, after: undefined, pageSize: 500 })).jobs;
    const holding = async () =>
      (await all()).filter(({ kind, state }) => kind === 'hold' && state === 'running').length;
    const [first, second] = [await flows.run(outer), await flows.run(outer)];
    await waitUntil('three hold', async () => (await holding()) === 3);
    await jobs.cancel(first.id);
    await harness.untilState(second.id, 'running');
    await waitUntil('three of the second hold', async () => (await holding()) === 3);
    await jobs.cancel(second.id);
    await waitUntil('all is settled', async () => (await records.scan('jobs/open', {})).length === 0);
    assert.deepEqual(new Set((await all()).map(({ state }) => state)), new Set(['cancelled']));
    await waitUntil('the gate is empty', async () => (await records.scan('jobs/gates', {})).length === 0);
    assert.equal(await jobs.gate.permitsTaken('owner/ann'), 0);
  });
});
