import assert from 'node:assert/strict';
import { type Job, Job_State, RunStrategy_Kind } from '../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import { Code } from '../../server/core/codes.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { waitUntil } from '../support/wait-until.ts';
import { openServedJobs, type ServedJobs } from './fixtures/served-jobs.ts';

const strict = { kind: RunStrategy_Kind.STRICT_SEQUENTIAL };

describe('a strictly sequential schedule or workflow behind a failed run', () => {
  let served: ServedJobs;
  let client: ServedJobs['client'];
  before(async () => {
    served = await openServedJobs();
    client = served.client;
    await served.harness.startWorker({ work: 4 });
  });
  after(() => served.close());

  const params = () => ({ log: served.harness.path('log') });
  const failed = async (job: Job | undefined) => {
    await served.harness.untilState(job?.name.slice('jobs/'.length) ?? '', 'failed');
    return job?.name ?? '';
  };
  const isHeld = ({ job }: { readonly job?: Job | undefined }) =>
    assert.deepEqual([job?.state, job?.heldBy], [Job_State.QUEUED, 'RUN_STRATEGY']);

  it('tells which run that is, and goes on when the schedule is unblocked', async () => {
    const name = 'schedules/strict';
    const template = { kind: 'bad-input', params: params() };
    await client.createSchedule({ schedule: { name, cron: '0 0 1 1 *', strategy: strict, template } });
    const first = await failed((await client.runSchedule({ name })).job);
    const second = await client.runSchedule({ name });
    isHeld(second);
    // The gate hears of an end after the state of the job tells it.
    await waitUntil('it is blocked', async () => (await client.getSchedule({ name })).schedule?.blockedBy === first);
    assert.equal((await client.listSchedules({})).schedules[0]?.blockedBy, first);
    assert.equal((await client.unblockSchedule({ name })).schedule?.blockedBy, '');
    await failed(second.job);
    await rejectsWith(client.unblockSchedule({ name: 'schedules/none' }), Code.NOT_FOUND, 'SCHEDULE_NOT_FOUND');
  });

  it('tells which run that is, and goes on when the workflow is unblocked', async () => {
    const name = 'workflows/strict';
    const nodes = [{ id: 'bad', work: { case: 'job' as const, value: { kind: 'bad-input', params: params() } } }];
    await client.createWorkflow({ workflow: { name, nodes, strategy: strict } });
    const first = await failed((await client.runWorkflow({ name })).job);
    const second = await client.runWorkflow({ name });
    isHeld(second);
    await waitUntil('it is blocked', async () => (await client.getWorkflow({ name })).workflow?.blockedBy === first);
    assert.equal((await client.listWorkflows({})).workflows[0]?.blockedBy, first);
    assert.equal((await client.unblockWorkflow({ name })).workflow?.blockedBy, '');
    await failed(second.job);
    await rejectsWith(client.unblockWorkflow({ name: 'workflows/none' }), Code.NOT_FOUND, 'WORKFLOW_NOT_FOUND');
  });

  it('goes on with the first run under another strategy', async () => {
    const name = 'schedules/changed';
    const schedule = { name, cron: '0 0 1 1 *', template: { kind: 'bad-input', params: params() } };
    await client.createSchedule({ schedule: { ...schedule, strategy: strict } });
    await failed((await client.runSchedule({ name })).job);
    const second = await client.runSchedule({ name });
    isHeld(second);
    await client.updateSchedule({ schedule: { ...schedule, strategy: { kind: RunStrategy_Kind.SEQUENTIAL } } });
    const third = await client.runSchedule({ name });
    await failed(second.job);
    await failed(third.job);
    await waitUntil('it is not blocked', async () => (await client.getSchedule({ name })).schedule?.blockedBy === '');
  });
});
