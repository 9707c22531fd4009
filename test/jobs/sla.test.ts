import assert from 'node:assert/strict';
import { SlaMiss_Promise } from '../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import { Code } from '../../server/core/codes.ts';
import { silentLogger } from '../../server/core/log.ts';
import type { JobRecord } from '../../server/jobs/job-record.ts';
import { createSlaWatch } from '../../server/jobs/sla/sla-watch.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createShiftedClock } from '../support/shifted-clock.ts';
import { waitUntil } from '../support/wait-until.ts';
import type { JobsHarness } from './fixtures/harness.ts';
import { openServedJobs, type ServedJobs } from './fixtures/served-jobs.ts';

describe('promises of jobs', () => {
  let harness: JobsHarness;
  let served: ServedJobs;
  let client: ServedJobs['client'];
  before(async () => {
    served = await openServedJobs();
    ({ harness, client } = served);
  });
  after(() => served.close());

  it('are told when they are missed, each once, while the job still waits or runs', async () => {
    const told: string[] = [];
    const ids = new Set<string>();
    harness.jobs.onNotice(async (notice) => {
      // A sweep that meets the end of the job tells it again, with the same id: at least once.
      if (ids.has(notice.id)) return;
      ids.add(notice.id);
      told.push(notice.event === 'ended' ? notice.state : notice.promise);
    });
    const sla = { mustStartWithin: { seconds: 0n, nanos: 2e8 }, mustFinishWithin: { seconds: 1n, nanos: 5e8 } };
    await client.createTemplate({ template: { name: 'templates/slow', kind: 'hold', sla } });
    const params = { log: harness.path('log'), until: harness.path('go') };
    const { job } = await client.runTemplate({ name: 'templates/slow', params });
    assert.ok(job?.mustStartTime && job.mustFinishTime);
    const id = job.name.slice('jobs/'.length);
    await waitUntil('the start was missed', () => told.includes('start'));
    assert.equal((await harness.jobs.get(id)).state, 'queued');
    await harness.startWorker({ work: 1 });
    await harness.untilState(id, 'running');
    await waitUntil('the end was missed', () => told.includes('finish'));
    assert.equal((await harness.jobs.get(id)).state, 'running');
    harness.touch('go');
    await harness.untilEnded(id);
    await waitUntil('the end was told', () => told.includes('succeeded'));
    assert.deepEqual(told, ['start', 'finish', 'succeeded']);
    const misses = [];
    for await (const { event } of client.watchJob({ name: job.name })) {
      if (event?.event.case === 'slaMiss') misses.push(event.event.value.promise);
    }
    assert.deepEqual(misses, [SlaMiss_Promise.START, SlaMiss_Promise.FINISH]);
    const { job: ended } = await client.getJob({ name: job.name });
    assert.equal(ended?.slaMisses.length, 2);
  });

  it('are noted of a node of a workflow, but told to nobody', async () => {
    const told: string[] = [];
    harness.jobs.onNotice(async ({ job }) => void told.push(job));
    const sla = { mustStartWithin: { seconds: 0n, nanos: 1e6 } };
    await client.createTemplate({ template: { name: 'templates/node', kind: 'hold', sla } });
    const params = { log: harness.path('log'), until: harness.path('never') };
    const run = { template: 'templates/node', params };
    await client.createWorkflow({
      workflow: { name: 'workflows/w', nodes: [{ id: 'n', work: { case: 'run', value: run } }] },
    });
    const { job } = await client.runWorkflow({ name: 'workflows/w' });
    const view = await client.getWorkflowRun({ name: job?.name ?? '' });
    const node = view.run?.nodes[0]?.job ?? '';
    const misses = async () => (await harness.jobs.get(node.slice('jobs/'.length))).slaMissed;
    await waitUntil('it was missed', async () => (await misses())?.includes('start') === true);
    assert.deepEqual(
      told.filter((name) => name === node),
      [],
    );
    await client.cancelJob({ name: job?.name ?? '' });
  });

  it('are told once too when they were missed while no server was there', async () => {
    const must = { mustStartMs: 1_000, mustFinishMs: 2_000, createMs: 0, labels: {}, attempts: [] };
    const ended = { ...must, id: 'late', kind: 'noop', state: 'succeeded', startMs: 900, endMs: 2_001 };
    let job = ended as unknown as JobRecord;
    const told: string[] = [];
    const watch = createSlaWatch({
      store: {
        find: async () => job,
        update: async (_id, decide) => {
          job = decide(job)?.record ?? job;
          return job;
        },
      },
      clock: createShiftedClock(),
      log: silentLogger,
      onMiss: async (_job, promise) => void told.push(promise),
    });
    for (let i = 0; i < 2; i++) await watch.settle(job);
    assert.deepEqual([told, job.slaMissed], [['finish'], ['finish']]);
    job = { ...(ended as unknown as JobRecord), startMs: 1_500, endMs: 2_000 };
    await watch.settle(job);
    assert.deepEqual([told, job.slaMissed], [['finish', 'start'], ['start']]);
    await watch.close();
  });

  it('are kept by jobs in time, and watched again after a restart', async () => {
    const told: string[] = [];
    const prompt = { mustStartWithin: { seconds: 60n, nanos: 0 }, mustFinishWithin: { seconds: 60n, nanos: 0 } };
    await client.createTemplate({ template: { name: 'templates/prompt', kind: 'noop', sla: prompt } });
    const { job } = await client.runTemplate({ name: 'templates/prompt' });
    const kept = await harness.untilEnded(job?.name.slice('jobs/'.length) ?? '');
    assert.equal(kept.slaMissed, undefined);
    const params = { log: harness.path('log'), until: harness.path('later') };
    const { job: late } = await harness.jobs.create(
      { kind: 'hold', params, labels: {}, priority: 0 },
      { policy: { sla: { finishWithinMs: 400 } } },
    );
    await harness.restartServer({}, (jobs) => jobs.onNotice(async (notice) => void told.push(notice.id)));
    await waitUntil('it was missed', () => told.includes(`${late.id}/sla-finish`));
    harness.touch('later');
    await harness.untilEnded(late.id);
  });

  it('are refused when they are out of range', async () => {
    for (const sla of [
      { mustStartWithin: { seconds: 0n, nanos: 0 } },
      { mustFinishWithin: { seconds: 2_592_001n, nanos: 0 } },
    ]) {
      const template = { name: 'templates/never', kind: 'noop', sla };
      await rejectsWith(client.createTemplate({ template }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    }
  });
});
