// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references are written so
import assert from 'node:assert/strict';
import { systemClock } from '../../server/core/clock.ts';
import { silentLogger } from '../../server/core/log.ts';
import { createJobs } from '../../server/jobs/create-jobs.ts';
import type { Jobs } from '../../server/jobs/jobs.ts';
import { createJobQueue, type JobQueue } from '../../workers/queue/job-queue.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type JobsHarness, openJobsHarness } from './fixtures/harness.ts';
import { testKinds } from './fixtures/kinds.ts';
import { createWorkflowRuns, node } from './fixtures/workflow-runs.ts';

describe('two servers on the same records', () => {
  const maxOpenJobs = 5;
  let harness: JobsHarness;
  let queue: JobQueue;
  let other: Jobs;
  before(async () => {
    harness = await openJobsHarness({ maxOpenJobs, sweepIntervalMs: 2_000 });
    const { records, objects, redis, prefix } = harness;
    const common = { clock: systemClock, log: silentLogger };
    queue = createJobQueue({ ...common, url: redis.url, prefix });
    other = createJobs({ ...common, records, objects, queue, kinds: testKinds, maxOpenJobs });
    await other.start();
  });
  after(async () => {
    await other.close();
    await queue.close();
    await harness.close();
  });
  const isSettled = async () => (await harness.records.scan('jobs/open', {})).length === 0;

  it('count open jobs that the other one has ended', async () => {
    for (let i = 0; i < maxOpenJobs; i++) {
      const { id } = await harness.create('noop');
      await other.cancel(id);
      await waitUntil('it is settled', isSettled);
    }
    await waitUntil('there is room', () =>
      harness.create('noop').then(
        () => true,
        () => false,
      ),
    );
  });

  it('count the parts of a job once', async () => {
    await harness.startWorker();
    await waitUntil('there is room', isSettled);
    const { id } = await harness.create('fan', { parts: 4, log: harness.path('parts') });
    const job = await harness.untilEnded(id);
    assert.deepEqual(job.progress?.detail, { parts_done: 4, parts_total: 4 });
  });

  it('run the items of a workflow between them, each once', async () => {
    const flows = createWorkflowRuns(harness);
    const log = harness.path('items');
    const items = Array.from({ length: 520 }, (_, i) => `item-${i}`);
    const each = node('each', 'fail-item', { item: '${item}', log }, [], {
      foreach: { items, maxParallel: 40, maxFailed: 0 },
    });
    const id = await flows.define([each, node('last', 'echo', { value: '${each.counts.succeeded}' }, ['each'])], {
      outputs: { succeeded: '${last.result.echo}' },
    });
    const run = await flows.run(id);
    const ended = await harness.untilEnded(run.id, 60_000);
    assert.deepEqual([ended.state, ended.result], ['succeeded', { succeeded: items.length }], ended.error?.message);
    const ran = harness.lines('items');
    assert.deepEqual([ran.length, new Set(ran).size], [items.length, items.length]);
    await waitUntil('all is settled', isSettled);
  });
});
