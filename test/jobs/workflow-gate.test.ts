import assert from 'node:assert/strict';
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
});
