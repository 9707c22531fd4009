import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import type { ScheduleSpec } from '../../server/jobs/job-schedules.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type JobsHarness, openJobsHarness } from './fixtures/harness.ts';

describe('a schedule', () => {
  let harness: JobsHarness;
  const template = { kind: 'echo', params: { value: 'cron' }, labels: { by: 'cron' }, priority: 3 };
  const nightly: ScheduleSpec = {
    id: 'nightly',
    cron: '0 0 3 * * *',
    timeZone: 'Europe/Berlin',
    template,
    paused: false,
  };
  before(async () => {
    harness = await openJobsHarness();
    await harness.startWorker();
  });
  after(() => harness.close());

  const jobsOf = async (schedule: string) => {
    const query = { kinds: new Set<string>(), states: new Set<never>(), labels: { by: 'cron' }, includeParts: true };
    const { jobs } = await harness.jobs.list({ ...query, after: undefined, pageSize: 500 });
    return jobs.filter((job) => job.schedule === schedule);
  };

  it('makes one job each second by a six-field expression, until it is deleted', async () => {
    await harness.jobs.schedules.create({ ...nightly, id: 'ticks', cron: '* * * * * *', startWithinMs: 60_000 });
    await waitUntil('three slots made jobs', async () => (await jobsOf('ticks')).length >= 3, 8_000);
    await harness.jobs.schedules.delete('ticks');
    const jobs = await jobsOf('ticks');
    for (const job of jobs) assert.deepEqual((await harness.untilEnded(job.id)).state, 'succeeded');
    const slots = jobs.map((job) => job.startByMs);
    assert.equal(new Set(slots).size, slots.length, 'one job a slot');
    assert.ok(
      slots.every((slot) => (slot ?? 1) % 1000 === 0),
      'slots are whole seconds',
    );
    await rejectsWith(harness.jobs.schedules.get('ticks'), Code.NOT_FOUND, 'SCHEDULE_NOT_FOUND');
    await rejectsWith(harness.jobs.schedules.delete('ticks'), Code.NOT_FOUND, 'SCHEDULE_NOT_FOUND');
  });

  it('tells its next slot in its own time zone', async () => {
    const schedule = await harness.jobs.schedules.create(nightly);
    const next = harness.jobs.schedules.nextMs(schedule) ?? 0;
    const hour = new Intl.DateTimeFormat('en-GB', { timeZone: 'Europe/Berlin', timeStyle: 'medium' }).format(next);
    assert.equal(hour, '03:00:00');
  });

  it('can be created again with the same contents only', async () => {
    const again = await harness.jobs.schedules.create(nightly);
    assert.equal(again.createMs, (await harness.jobs.schedules.get('nightly')).createMs);
    const other = harness.jobs.schedules.create({ ...nightly, cron: '0 4 * * *' });
    await rejectsWith(other, Code.ALREADY_EXISTS, 'SCHEDULE_EXISTS');
  });

  it('keeps its place but makes no jobs while paused', async () => {
    const paused = await harness.jobs.schedules.create({ ...nightly, id: 'paused', cron: '* * * * * *', paused: true });
    assert.equal(harness.jobs.schedules.nextMs(paused), undefined);
    await harness.jobs.schedules.create({ ...nightly, id: 'witness', cron: '* * * * * *' });
    await waitUntil('another one fired twice', async () => (await jobsOf('witness')).length >= 2);
    await harness.jobs.schedules.delete('witness');
    assert.deepEqual(await jobsOf('paused'), []);
  });

  it('is refused with a bad expression, zone, limit or template', async () => {
    const create = (change: Partial<ScheduleSpec>) =>
      harness.jobs.schedules.create({ ...nightly, id: 'bad', ...change });
    for (const cron of ['', 'tomorrow', '61 * * * *', '* * *']) {
      await rejectsWith(create({ cron }), Code.INVALID_ARGUMENT, 'CRON_INVALID');
    }
    await rejectsWith(create({ timeZone: 'Mars/Olympus' }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    await rejectsWith(create({ startWithinMs: -1 }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    const unknown = create({ template: { ...template, kind: 'nonsense' } });
    await rejectsWith(unknown, Code.INVALID_ARGUMENT, 'JOB_KIND_UNKNOWN');
    await rejectsWith(harness.jobs.schedules.get('bad'), Code.NOT_FOUND, 'SCHEDULE_NOT_FOUND');
  });

  it('is set again when the queue has lost it', async () => {
    await harness.jobs.schedules.create({ ...nightly, id: 'kept', cron: '* * * * * *' });
    await harness.wipeRedis();
    await harness.restartServer();
    const before = (await jobsOf('kept')).length;
    await waitUntil('it fires again', async () => (await jobsOf('kept')).length > before + 1, 8_000);
    await harness.jobs.schedules.delete('kept');
  });
});
