import assert from 'node:assert/strict';
import { Job_State, JobError_Class } from '../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import { Code } from '../../server/core/codes.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import type { JobsHarness } from './fixtures/harness.ts';
import { openServedJobs, type ServedJobs } from './fixtures/served-jobs.ts';

describe('JobService', () => {
  let harness: JobsHarness;
  let served: ServedJobs;
  let client: ServedJobs['client'];
  before(async () => {
    served = await openServedJobs({ maxEvents: 10 });
    ({ harness, client } = served);
    await harness.startWorker({ work: 4, parts: 2 });
  });
  after(() => served.close());

  it('creates a job, streams its events to the end and shows its result', async () => {
    const job = { kind: 'echo', params: { value: { deep: [1, 2] } }, labels: { team: 'video' }, priority: 5 };
    const { job: created, existed } = await client.createJob({ job, requestId: 'r1' });
    assert.equal(existed, false);
    const name = created?.name ?? '';
    assert.match(name, /^jobs\/[a-z0-9]{22}$/);
    assert.equal((await client.createJob({ job, requestId: 'r1' })).existed, true);
    const events = [];
    for await (const { event } of client.watchJob({ name })) events.push(event);
    const states = events.flatMap((event) => (event?.event.case === 'state' ? [event.event.value] : []));
    assert.deepEqual(states, [Job_State.QUEUED, Job_State.RUNNING, Job_State.SUCCEEDED]);
    const { job: ended } = await client.getJob({ name });
    assert.deepEqual(ended?.result, { echo: { deep: [1, 2] } });
    assert.deepEqual([ended?.priority, ended?.labels], [5, { team: 'video' }]);
    assert.ok(ended?.startTime && ended.endTime && ended.createTime);
    const [attempt] = ended.attempts;
    assert.deepEqual([attempt?.number, attempt?.fence], [1, 1n]);
  });

  it('shows why a job failed', async () => {
    const { job } = await client.createJob({ job: { kind: 'bad-input', params: { log: harness.path('bad') } } });
    await harness.untilEnded(job?.name.slice('jobs/'.length) ?? '');
    const { job: failed } = await client.getJob({ name: job?.name ?? '' });
    assert.equal(failed?.state, Job_State.FAILED);
    assert.deepEqual([failed.error?.class, failed.error?.code], [JobError_Class.USER, Code.INVALID_ARGUMENT]);
    assert.match(failed.error?.message ?? '', /truncated/);
  });

  it('pages through the list and refuses a token of another list', async () => {
    for (let i = 0; i < 5; i++)
      await client.createJob({ job: { kind: 'noop', params: { i }, labels: { list: 'paged' } } });
    const labels = { list: 'paged' };
    const first = await client.listJobs({ pageSize: 3, labels });
    const second = await client.listJobs({ pageSize: 3, labels, pageToken: first.nextPageToken });
    assert.deepEqual([first.jobs.length, second.jobs.length, second.nextPageToken], [3, 2, '']);
    const foreign = client.listJobs({ pageSize: 3, pageToken: first.nextPageToken });
    await rejectsWith(foreign, Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    await rejectsWith(client.listJobs({ pageSize: -1 }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    await rejectsWith(client.listJobs({ states: [99 as Job_State] }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
  });

  it('lists parts with their job and what they do', async () => {
    const { job } = await client.createJob({ job: { kind: 'fan', params: { parts: 2, log: harness.path('fan') } } });
    const name = job?.name ?? '';
    await harness.untilEnded(name.slice('jobs/'.length));
    const { jobs } = await client.listJobs({ includeChildren: true, kinds: ['part'] });
    assert.deepEqual(
      jobs.map((part) => part.parent),
      [name, name],
    );
    assert.deepEqual(jobs.map((part) => part.progress?.message).toSorted(), ['part 0', 'part 1']);
  });

  it('cancels a job', async () => {
    const params = { log: harness.path('held'), until: harness.path('never') };
    const { job } = await client.createJob({ job: { kind: 'hold', params } });
    const cancelled = await client.cancelJob({ name: job?.name ?? '' });
    assert.equal(cancelled.job?.state, Job_State.CANCELLED);
  });

  it('tells a watcher that the events it asks for are gone', async () => {
    const { job } = await client.createJob({
      job: { kind: 'flaky', params: { log: harness.path('flaky'), failures: 3 } },
    });
    const name = job?.name ?? '';
    await harness.untilEnded(name.slice('jobs/'.length));
    await rejectsWith(client.watchJob({ name }).next(), Code.OUT_OF_RANGE, 'EVENTS_EXPIRED');
    const late = [];
    for await (const { event } of client.watchJob({ name, afterSequence: 8n })) late.push(event?.sequence);
    assert.equal(late[0], 9n);
  });

  it('refuses to watch from a place that no event has had', async () => {
    const { job } = await client.createJob({ job: { kind: 'noop' } });
    await harness.untilEnded(job?.name.slice('jobs/'.length) ?? '');
    const watch = (afterSequence: bigint) => client.watchJob({ name: job?.name ?? '', afterSequence }).next();
    await rejectsWith(watch(1_000n), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    const { sequence = 0 } = await harness.jobs.get(job?.name.slice('jobs/'.length) ?? '');
    assert.equal((await watch(BigInt(sequence))).done, true, 'its end was seen');
  });

  it('refuses names, jobs and schedules that are malformed', async () => {
    await rejectsWith(client.getJob({ name: 'job/x' }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    await rejectsWith(client.getJob({ name: 'jobs/nosuchjob' }), Code.NOT_FOUND, 'JOB_NOT_FOUND');
    await rejectsWith(client.createJob({}), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    await rejectsWith(client.createJob({ job: { kind: '' } }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    await rejectsWith(client.createJob({ job: { kind: 'nope' } }), Code.INVALID_ARGUMENT, 'JOB_KIND_UNKNOWN');
    const nameless = { name: 'schedules/Not_ok', cron: '* * * * *', template: { kind: 'noop' } };
    await rejectsWith(client.createSchedule({ schedule: nameless }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    await rejectsWith(client.createSchedule({}), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    const empty = { name: 'schedules/empty', cron: '* * * * *' };
    await rejectsWith(client.createSchedule({ schedule: empty }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
  });

  it('keeps schedules', async () => {
    for (const id of ['a', 'b', 'c']) {
      const template = { kind: 'noop', labels: { by: id } };
      await client.createSchedule({
        schedule: { name: `schedules/${id}`, cron: '0 3 * * *', template, startWithin: { seconds: 90n, nanos: 0 } },
      });
    }
    const first = await client.listSchedules({ pageSize: 2 });
    const second = await client.listSchedules({ pageSize: 2, pageToken: first.nextPageToken });
    assert.deepEqual(
      [...first.schedules, ...second.schedules].map((schedule) => schedule.name),
      ['schedules/a', 'schedules/b', 'schedules/c'],
    );
    const { schedule } = await client.getSchedule({ name: 'schedules/b' });
    assert.equal(schedule?.startWithin?.seconds, 90n);
    assert.deepEqual([schedule?.template?.kind, schedule?.template?.labels], ['noop', { by: 'b' }]);
    assert.equal(Number(schedule?.nextTime?.seconds ?? 0n) % 86_400, 3 * 3_600);
    await client.deleteSchedule({ name: 'schedules/b' });
    await rejectsWith(client.getSchedule({ name: 'schedules/b' }), Code.NOT_FOUND, 'SCHEDULE_NOT_FOUND');
  });
});
