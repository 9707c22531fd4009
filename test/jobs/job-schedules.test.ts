// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references are written so
import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import type { JobRecord } from '../../server/jobs/job-record.ts';
import type { ScheduleSpec } from '../../server/jobs/schedules/schedule-record.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createShiftedClock, type ShiftedClock } from '../support/shifted-clock.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type JobsHarness, openJobsHarness } from './fixtures/harness.ts';
import { job, nightly } from './fixtures/nightly.ts';

const hourMs = 3_600_000;
const everySecond = { timing: { cron: '* * * * * *', timeZone: '' } };

describe('a schedule', () => {
  let harness: JobsHarness;
  let clock: ShiftedClock;
  before(async () => {
    clock = createShiftedClock();
    harness = await openJobsHarness({ clock });
    await harness.startWorker();
  });
  after(() => harness.close());

  const create = (change: Partial<ScheduleSpec>) => harness.jobs.schedules.create({ ...nightly, ...change }, 'ann');
  const jobsOf = async (schedule: string): Promise<JobRecord[]> => {
    const query = { kinds: new Set<string>(), states: new Set<never>(), labels: { by: 'cron' }, includeParts: true };
    const { jobs } = await harness.jobs.list({ ...query, after: undefined, pageSize: 500 });
    return jobs.filter((made) => made.schedule === schedule);
  };
  /** Slots by the request keys of the jobs, oldest first. */
  const slotsOf = async (schedule: string) =>
    (await jobsOf(schedule)).map((made) => Number(made.requestKey?.split('/').at(-1))).toSorted((a, b) => a - b);
  const untilMade = (schedule: string, count: number) =>
    waitUntil(`${schedule} made ${count}`, async () => (await jobsOf(schedule)).length >= count);

  it('makes one job each second by a six-field expression, until it is deleted', async () => {
    await create({ ...everySecond, id: 'ticks', startWithinMs: 60_000 });
    await untilMade('ticks', 3);
    await harness.jobs.schedules.delete('ticks');
    const jobs = await jobsOf('ticks');
    for (const { id } of jobs) assert.deepEqual((await harness.untilEnded(id)).state, 'succeeded');
    const slots = await slotsOf('ticks');
    assert.equal(new Set(slots).size, slots.length, 'one job a slot');
    assert.ok(
      slots.every((slot) => slot % 1000 === 0),
      'slots are whole seconds',
    );
    const first = await harness.jobs.get(jobs[0]?.id ?? '');
    const time = new Date(Number(first.requestKey?.split('/').at(-1))).toISOString();
    assert.deepEqual([first.owner, first.params], ['ann', { value: `${time} ${time.slice(0, 10)}` }]);
    await rejectsWith(harness.jobs.schedules.get('ticks'), Code.NOT_FOUND, 'SCHEDULE_NOT_FOUND');
    await rejectsWith(harness.jobs.schedules.delete('ticks'), Code.NOT_FOUND, 'SCHEDULE_NOT_FOUND');
  });

  it('tells its next slot in its own time zone', async () => {
    const { nextMs } = await create({});
    const hour = new Intl.DateTimeFormat('en-GB', { timeZone: 'Europe/Berlin', timeStyle: 'medium' }).format(nextMs);
    assert.equal(hour, '03:00:00');
  });

  it('can be created again with the same contents only', async () => {
    const again = await create({});
    assert.equal(again.createMs, (await harness.jobs.schedules.get('nightly')).createMs);
    await rejectsWith(create({ catchUp: 'all' }), Code.ALREADY_EXISTS, 'SCHEDULE_EXISTS');
  });

  it('makes no jobs while paused, and begins anew when it is resumed', async () => {
    await create({ ...everySecond, id: 'paused', paused: true, catchUp: 'all' });
    await create({ ...everySecond, id: 'witness' });
    await untilMade('witness', 2);
    await harness.jobs.schedules.delete('witness');
    assert.deepEqual(await jobsOf('paused'), []);
    const resumedMs = clock.now();
    await harness.jobs.schedules.update({ ...nightly, ...everySecond, id: 'paused', catchUp: 'all' });
    await untilMade('paused', 1);
    await harness.jobs.schedules.delete('paused');
    assert.ok((await slotsOf('paused')).every((slot) => slot > resumedMs));
  });

  it('ends after its limit, and after its end', async () => {
    const now = clock.now() + 300;
    await create({ id: 'limited', timing: { intervalMs: 1_000 }, startMs: now, limit: 2 });
    await create({ id: 'ended', timing: { intervalMs: 1_000 }, startMs: now, endMs: now + 1_000 });
    await create({ id: 'goes-on', timing: { intervalMs: 1_000 }, startMs: now });
    await untilMade('goes-on', 4);
    await harness.jobs.schedules.delete('goes-on');
    assert.deepEqual(await slotsOf('limited'), [now, now + 1_000]);
    assert.deepEqual(await slotsOf('ended'), [now, now + 1_000]);
    const { runs, nextMs } = await harness.jobs.schedules.get('limited');
    assert.deepEqual([runs, nextMs], [2, undefined]);
    const again = { ...nightly, id: 'limited', timing: { intervalMs: 2_000 } };
    assert.equal(
      (await harness.jobs.schedules.update({ ...again, limit: 2 })).nextMs,
      undefined,
      'used up all the same',
    );
    assert.ok((await harness.jobs.schedules.update({ ...again, limit: 3, paused: true })).nextMs);
  });

  it('is refused with bad times, a bad job or references to nothing', async () => {
    for (const cron of ['', 'tomorrow', '61 * * * *', '* * *']) {
      await rejectsWith(create({ id: 'bad', timing: { cron, timeZone: '' } }), Code.INVALID_ARGUMENT, 'CRON_INVALID');
    }
    const faulty: readonly Partial<ScheduleSpec>[] = [
      { timing: { cron: '* * * * *', timeZone: 'Mars/Olympus' } },
      { timing: { intervalMs: 999 } },
      { startWithinMs: -1 },
      { startMs: 2, endMs: 1 },
      { limit: -1 },
    ];
    for (const change of faulty)
      await rejectsWith(create({ id: 'bad', ...change }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    const unknown = create({ id: 'bad', make: { job: { ...job, kind: 'nonsense' } } });
    await rejectsWith(unknown, Code.INVALID_ARGUMENT, 'JOB_KIND_UNKNOWN');
    const dangling = create({ id: 'bad', make: { job: { ...job, params: { value: '${slot.weekday}' } } } });
    await rejectsWith(dangling, Code.INVALID_ARGUMENT, 'REFERENCE_UNKNOWN');
    const templateless = create({ id: 'bad', make: { run: { template: 'none', params: {}, labels: {} } } });
    await rejectsWith(templateless, Code.NOT_FOUND, 'TEMPLATE_NOT_FOUND');
    await rejectsWith(harness.jobs.schedules.get('bad'), Code.NOT_FOUND, 'SCHEDULE_NOT_FOUND');
    await rejectsWith(harness.jobs.schedules.update({ ...nightly, id: 'bad' }), Code.NOT_FOUND, 'SCHEDULE_NOT_FOUND');
  });

  it('makes runs of a template, and tells when that is gone', async () => {
    const template = { id: 'hourly', kind: 'echo', description: '', tags: [], labels: { by: 'cron' }, priority: 0 };
    await harness.jobs.templates.create(template);
    const run = { template: 'hourly', params: { value: '${slot.unixMs}' }, labels: {} };
    await create({ ...everySecond, id: 'runs', make: { run } });
    await untilMade('runs', 1);
    const [made] = await jobsOf('runs');
    assert.equal(made?.template, 'hourly');
    assert.deepEqual(made?.params, { value: Number(made?.requestKey?.split('/').at(-1)) });
    await harness.jobs.templates.delete('hourly');
    const lastError = async () => (await harness.jobs.schedules.get('runs')).lastError ?? '';
    await waitUntil('it tells', async () => (await lastError()).startsWith('TEMPLATE_NOT_FOUND'));
    await harness.jobs.schedules.delete('runs');
  });

  it('can be run besides its slots, once per request id', async () => {
    const first = await harness.jobs.schedules.run('nightly', 'r1');
    assert.deepEqual([first.existed, first.job.schedule], [false, 'nightly']);
    assert.equal((await harness.jobs.schedules.run('nightly', 'r1')).job.id, first.job.id);
    assert.notEqual((await harness.jobs.schedules.run('nightly', '')).job.id, first.job.id);
  });

  it('makes jobs of slots of the past when asked to, the ones that are there not again', async () => {
    const now = clock.now();
    await create({ id: 'past', timing: { intervalMs: hourMs }, startMs: now - 5 * hourMs, paused: true });
    const request = { fromMs: now - 4 * hourMs, limit: 3, newestFirst: true, dryRun: true };
    const dry = await harness.jobs.schedules.backfill('past', request);
    const slots = [0, 1, 2].map((i) => now - i * hourMs);
    assert.deepEqual(dry, { slots: slots.map((slotMs) => ({ slotMs, existed: false })), total: 5 });
    assert.equal((await jobsOf('past')).length, 0);
    const made = await harness.jobs.schedules.backfill('past', { ...request, dryRun: false });
    assert.deepEqual(
      made.slots.map(({ slotMs, existed }) => [slotMs, existed]),
      slots.map((slotMs) => [slotMs, false]),
    );
    const all = await harness.jobs.schedules.backfill('past', {
      ...request,
      limit: 100,
      newestFirst: false,
      dryRun: false,
    });
    assert.deepEqual(
      all.slots.map(({ existed }) => existed),
      [false, false, true, true, true],
    );
    assert.equal((await jobsOf('past')).length, 5);
    const template = { id: 'passing', kind: 'noop', description: '', tags: [], labels: {}, priority: 0 };
    await harness.jobs.templates.create(template);
    const make = { run: { template: 'passing', params: {}, labels: {} } };
    await create({ id: 'of-template', timing: { intervalMs: hourMs }, startMs: now - 5 * hourMs, paused: true, make });
    await harness.jobs.templates.delete('passing');
    for (const dryRun of [true, false]) {
      const backfill = harness.jobs.schedules.backfill('of-template', { ...request, dryRun });
      await rejectsWith(backfill, Code.NOT_FOUND, 'TEMPLATE_NOT_FOUND');
    }
    const far = { ...request, fromMs: 0 };
    await create({ ...everySecond, id: 'dense', paused: true });
    await rejectsWith(harness.jobs.schedules.backfill('dense', far), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
  });
});
