import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type JobsHarness, openJobsHarness } from './fixtures/harness.ts';

describe('cancelling a job', () => {
  let harness: JobsHarness;
  before(async () => {
    harness = await openJobsHarness();
  });
  after(() => harness.close());

  it('ends a queued job, which then never runs', async () => {
    const { id } = await harness.create('hold', { log: harness.path('queued'), until: harness.path('never') });
    const cancelled = await harness.jobs.cancel(id);
    assert.equal(cancelled.state, 'cancelled');
    assert.equal(cancelled.error?.reason, 'JOB_CANCELLED');
    await harness.startWorker();
    await harness.untilEnded((await harness.create('noop')).id);
    assert.deepEqual(harness.lines('queued'), []);
  });

  it('leaves higher priorities to be taken first', async () => {
    const slow = await openJobsHarness();
    try {
      const order: string[] = [];
      slow.jobs.onJobSucceeded('echo', async ({ id }) => void order.push(id));
      const ids = [];
      for (const priority of [0, 5, 9, 0]) {
        const { job } = await slow.jobs.create({ kind: 'echo', params: {}, labels: {}, priority });
        ids.push(job.id);
      }
      await slow.startWorker({ work: 1 });
      await waitUntil('all ran', () => order.length === 4);
      assert.deepEqual(order, [ids[2], ids[1], ids[0], ids[3]]);
    } finally {
      await slow.close();
    }
  });

  it('reaches a job that runs on another process', async () => {
    const { id } = await harness.create('hold', { log: harness.path('running'), until: harness.path('never') });
    await waitUntil('it runs', () => harness.lines('running').length === 1);
    assert.equal((await harness.jobs.cancel(id)).state, 'cancelled');
    await waitUntil('the work was aborted', () => harness.lines('running').length === 2);
    assert.deepEqual(harness.lines('running')[1], 'abort 1 JOB_CANCELLED');
    assert.equal((await harness.jobs.get(id)).state, 'cancelled');
  });

  it('ends the parts of a job together with it', async () => {
    const { id } = await harness.create('fan', { parts: 3, log: harness.path('fan'), until: harness.path('never') });
    await waitUntil('a part runs', () => harness.lines('fan').length > 0);
    await harness.jobs.cancel(id);
    for (const key of ['part-0', 'part-1', 'part-2']) {
      const part = await harness.untilState(`${id}.parts.${key}`, 'cancelled');
      assert.equal(part.error?.reason, 'PARENT_ENDED');
    }
    await waitUntil('the slots are free', async () => (await harness.queue.counts('parts')).active === 0);
  });

  it('gives a job that has ended as it is', async () => {
    const { id } = await harness.create('noop');
    await harness.untilState(id, 'succeeded');
    assert.equal((await harness.jobs.cancel(id)).state, 'succeeded');
  });

  it('refuses a job that does not exist', async () => {
    await rejectsWith(harness.jobs.cancel('nosuchjob'), Code.NOT_FOUND, 'JOB_NOT_FOUND');
  });
});
