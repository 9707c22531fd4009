import assert from 'node:assert/strict';
import { silentLogger } from '../../server/core/log.ts';
import { createJobs } from '../../server/jobs/create-jobs.ts';
import type { ScheduleSpec } from '../../server/jobs/schedules/schedule-record.ts';
import { createJobQueue } from '../../workers/queue/job-queue.ts';
import { createShiftedClock, type ShiftedClock } from '../support/shifted-clock.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type JobsHarness, openJobsHarness } from './fixtures/harness.ts';
import { testKinds } from './fixtures/kinds.ts';
import { nightly } from './fixtures/nightly.ts';

const hourMs = 3_600_000;

describe('the watermark of a schedule', () => {
  let harness: JobsHarness;
  let clock: ShiftedClock;
  beforeEach(async () => {
    clock = createShiftedClock();
    harness = await openJobsHarness({ clock });
  });
  afterEach(() => harness.close());

  const create = (id: string, catchUp: ScheduleSpec['catchUp'], timing: ScheduleSpec['timing']) =>
    harness.jobs.schedules.create({ ...nightly, id, catchUp, timing }, '');
  const slotsOf = async (schedule: string) => {
    const query = { kinds: new Set<string>(), states: new Set<never>(), labels: {}, includeParts: false };
    const { jobs } = await harness.jobs.list({ ...query, after: undefined, pageSize: 500 });
    return jobs
      .filter((made) => made.schedule === schedule)
      .map((made) => Number(made.requestKey?.split('/').at(-1)))
      .toSorted((a, b) => a - b);
  };
  const tenMinutes = { intervalMs: 600_000 };

  it('lets nothing be lost over an hour without a server: all, the latest, or none, as wished', async () => {
    const startedMs = clock.now();
    for (const catchUp of ['all', 'latest', 'skip'] as const) await create(catchUp, catchUp, tenMinutes);
    const { anchorMs } = await harness.jobs.schedules.get('all');
    clock.shift(hourMs + 300_000);
    await harness.restartServer();
    await waitUntil('all are made', async () => (await slotsOf('all')).length === 6);
    assert.deepEqual(
      await slotsOf('all'),
      Array.from({ length: 6 }, (_, i) => anchorMs + (i + 1) * 600_000),
    );
    await waitUntil('the latest is made', async () => (await slotsOf('latest')).length === 1);
    const [latest = 0] = await slotsOf('latest');
    assert.ok(latest > startedMs + hourMs - 1_000 && latest <= clock.now(), 'it is the newest');
    await waitUntil(
      'they are passed over',
      async () => (await harness.jobs.schedules.get('skip')).watermarkMs > startedMs + hourMs - 1_000,
    );
    assert.deepEqual(await slotsOf('skip'), []);
  });

  it('stands through jumps of the clock: forward slots are caught up with, back none comes twice', async () => {
    await create('jumps', 'all', tenMinutes);
    await create('seconds', 'latest', { cron: '* * * * * *', timeZone: '' });
    clock.shift(hourMs);
    await waitUntil('six are made up for', async () => (await slotsOf('jumps')).length === 6);
    await waitUntil('the latest second is made', async () =>
      (await slotsOf('seconds')).some((slot) => slot > clock.now() - 3_000),
    );
    const before = await slotsOf('jumps');
    const secondsBefore = await slotsOf('seconds');
    clock.shift(-hourMs);
    // The witness fires in the time that has come again.
    await harness.jobs.schedules.create({ ...nightly, id: 'witness', timing: { intervalMs: 1_000 } }, '');
    await waitUntil('time goes on', async () => (await slotsOf('witness')).length >= 2);
    assert.deepEqual(await slotsOf('jumps'), before);
    assert.deepEqual(await slotsOf('seconds'), secondsBefore);
    clock.shift(hourMs);
    await waitUntil('seconds go on', async () => (await slotsOf('seconds')).length > secondsBefore.length);
    const all = await slotsOf('seconds');
    assert.equal(new Set(all).size, all.length);
  });

  it('is one for two servers on the same records: each slot makes one job', async () => {
    const queue = createJobQueue({ url: harness.redis.url, prefix: harness.prefix, clock, log: silentLogger });
    const other = createJobs({
      records: harness.records,
      objects: harness.objects,
      queue,
      kinds: testKinds,
      clock,
      log: silentLogger,
    });
    try {
      for (let i = 0; i < 5; i++) await create(`s${i}`, 'all', { cron: '* * * * * *', timeZone: '' });
      await other.start();
      clock.shift(20_000);
      await waitUntil('all caught up', async () => {
        const schedules = await harness.jobs.schedules.list(undefined, 10);
        return schedules.every(({ watermarkMs }) => watermarkMs > clock.now() - 2_500);
      });
      for (let i = 0; i < 5; i++) {
        const slots = await slotsOf(`s${i}`);
        assert.ok(slots.length >= 19, `${slots.length} slots`);
        for (const [k, slot] of slots.entries())
          assert.equal(slot, (slots[0] ?? 0) + k * 1_000, 'none lost, none twice');
        assert.ok((await harness.jobs.schedules.get(`s${i}`)).runs >= slots.length - 1);
      }
    } finally {
      await other.close();
      await queue.close();
    }
  });

  it('is found by a server that starts, however large the schedules are', async () => {
    const params = { value: 'x'.repeat(250_000) };
    const make = { job: { kind: 'echo', params, labels: {}, priority: 0 } };
    const { id, ...stored } = await harness.jobs.schedules.create({ ...nightly, id: 'a-0', make }, '');
    assert.equal(id, 'a-0');
    for (let from = 1; from < 280; from += 40) {
      const puts = Array.from({ length: 40 }, (_, i) => ({
        ...{ kind: 'put' as const, partition: 'jobs/schedules', key: `a-${from + i}` },
        value: Buffer.from(JSON.stringify({ ...stored, id: `a-${from + i}` })),
      }));
      await harness.records.batch(puts);
    }
    await create('last', 'all', { intervalMs: 1_000 });
    await harness.restartServer();
    await waitUntil('it is served', async () => (await slotsOf('last')).length > 0);
  });

  it('waits while no job can be stored, and loses no slot', async () => {
    await harness.restartServer({ maxOpenJobs: 2 });
    await create('full', 'all', { cron: '* * * * * *', timeZone: '' });
    clock.shift(5_000);
    await waitUntil('two are made', async () => (await slotsOf('full')).length === 2);
    await harness.restartServer({ maxOpenJobs: 1_000 });
    await waitUntil('the others follow', async () => (await slotsOf('full')).length >= 5);
    const slots = await slotsOf('full');
    for (const [k, slot] of slots.entries()) assert.equal(slot, (slots[0] ?? 0) + k * 1_000);
  });
});
