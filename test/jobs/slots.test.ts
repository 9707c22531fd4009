import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import { createSeededRandom } from '../../server/core/random.ts';
import { createDueHeap } from '../../server/jobs/schedules/due-heap.ts';
import { createScheduleClock } from '../../server/jobs/schedules/schedule-clock.ts';
import { latestSlot, nextSlot, type SlotRule, slotsBetween } from '../../server/jobs/schedules/slots.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { rejectsWith } from '../support/rejects-with.ts';

const cron = (expression: string, timeZone = 'Europe/Berlin', more: Partial<SlotRule> = {}): SlotRule => ({
  id: 'a',
  timing: { cron: expression, timeZone },
  anchorMs: 0,
  ...more,
});
const at = (text: string) => Date.parse(text);
const slots = (rule: SlotRule, from: string, to: string) =>
  [...slotsBetween(rule, at(from), at(to), 100)].map((ms) => new Date(ms).toISOString().slice(5, 16));

describe('slots of a cron expression', () => {
  it('that fall into the gap in spring come right after it, once', () => {
    const found = slots(cron('30 2 * * *'), '2026-03-28T12:00Z', '2026-03-30T12:00Z');
    assert.deepEqual(found, ['03-29T01:00', '03-30T00:30']);
  });

  it('that exist twice in autumn come once', () => {
    const found = slots(cron('30 2 * * *'), '2026-10-24T12:00Z', '2026-10-26T12:00Z');
    assert.deepEqual(found, ['10-25T00:30', '10-26T01:30']);
  });

  it('come once in autumn also when the walk begins between the two', () => {
    assert.deepEqual(slots(cron('30 2 * * *'), '2026-10-25T00:30Z', '2026-10-25T23:00Z'), []);
    assert.deepEqual(slots(cron('30 2 * * *'), '2026-10-25T00:45Z', '2026-10-25T23:00Z'), []);
  });

  it('that fall into the gap together come as one', () => {
    const found = slots(cron('0,15,30 2,3 * * *'), '2026-03-29T00:00Z', '2026-03-29T03:00Z');
    assert.deepEqual(found, ['03-29T01:00', '03-29T01:15', '03-29T01:30']);
    assert.deepEqual(slots(cron('10,20 2 * * *'), '2026-03-29T00:00Z', '2026-03-29T23:00Z'), ['03-29T01:00']);
  });

  it('with an hour field of * come as time passes, through gap and repetition', () => {
    assert.deepEqual(slots(cron('*/30 */2 * * *'), '2026-03-28T23:30Z', '2026-03-29T03:30Z'), [
      '03-29T02:00',
      '03-29T02:30',
    ]);
    assert.deepEqual(slots(cron('30 */2 * * *'), '2026-10-24T22:00Z', '2026-10-25T04:00Z'), [
      '10-24T22:30',
      '10-25T00:30',
      '10-25T01:30',
      '10-25T03:30',
    ]);
  });

  it('come through a day that a zone skipped', () => {
    // Samoa went from 29 to 31 December 2011.
    const found = [
      ...slotsBetween(cron('0 12 * * *', 'Pacific/Apia'), at('2011-12-29T00:00Z'), at('2012-01-01T00:00Z'), 9),
    ];
    assert.deepEqual(
      found.map((ms) => new Date(ms).toISOString().slice(5, 16)),
      ['12-29T22:00', '12-30T10:00', '12-30T22:00', '12-31T22:00'],
    );
  });

  it('of every hour come in every hour that passes', () => {
    assert.equal(slots(cron('0 * * * *'), '2026-10-24T22:00Z', '2026-10-25T23:00Z').length, 25);
    assert.equal(slots(cron('0 * * * *'), '2026-03-28T23:00Z', '2026-03-29T22:00Z').length, 23);
  });

  it('keep to the local time of their zone, also where it changes by half an hour', () => {
    assert.deepEqual(slots(cron('0 9 * * *', 'Australia/Lord_Howe'), '2026-04-03T12:00Z', '2026-04-06T12:00Z'), [
      '04-03T22:00',
      '04-04T22:30',
      '04-05T22:30',
    ]);
  });

  it('have seconds with six fields, and begin and end with the schedule', () => {
    const rule = cron('*/20 * * * * *', 'UTC', {
      startMs: at('2026-01-01T00:00:20Z'),
      endMs: at('2026-01-01T00:01:00Z'),
    });
    const found = [...slotsBetween(rule, 0, at('2027-01-01'), 100)].map((ms) =>
      new Date(ms).toISOString().slice(14, 19),
    );
    assert.deepEqual(found, ['00:20', '00:40', '01:00']);
  });

  it('with H lie at a place that stays the same for a schedule', () => {
    const of = (id: string) => nextSlot({ ...cron('H H * * *'), id }, at('2026-01-01T00:00Z'));
    assert.equal(of('one'), of('one'));
    assert.notEqual(of('one'), of('two'));
  });

  it('may end: a date that never comes has none', () => {
    assert.equal(nextSlot(cron('0 0 1 1 *', 'UTC', { endMs: at('2026-06-01') }), at('2026-02-01')), undefined);
  });

  it('are refused when the expression or its zone cannot be read', async () => {
    for (const [text, zone] of [
      ['', 'UTC'],
      ['* * *', 'UTC'],
      ['61 * * * *', 'UTC'],
      ['0 0 31 2 *', 'UTC'],
      ['* * * * *', 'Mars/X'],
    ]) {
      const read = (async () => nextSlot(cron(text ?? '', zone), 0))();
      await rejectsWith(read, Code.INVALID_ARGUMENT, 'CRON_INVALID');
    }
  });
});

describe('slots of an interval', () => {
  const rule: SlotRule = { id: 'a', timing: { intervalMs: 90_000 }, anchorMs: 1_000 };

  it('are counted from the creation, of which none is a slot itself', () => {
    assert.deepEqual([...slotsBetween(rule, 0, 300_000, 10)], [91_000, 181_000, 271_000]);
    assert.equal(nextSlot(rule, 91_000), 181_000);
  });

  it('are counted from the start, which is the first', () => {
    assert.deepEqual([...slotsBetween({ ...rule, startMs: 5_000 }, 0, 100_000, 10)], [5_000, 95_000]);
  });
});

describe('the latest slot', () => {
  it('is the last of a walk over all of them', () => {
    const random = createSeededRandom(7);
    const rules = ['* * * * * *', '*/7 * * * *', '30 2 * * *', '0 0 1 * *', '* * 3 * * *', '0 12 * * 1'].map((text) =>
      cron(text),
    );
    const all: readonly SlotRule[] = [
      ...rules,
      { id: 'i', timing: { intervalMs: 3_600_000 }, anchorMs: at('2026-03-01') },
    ];
    for (const rule of all) {
      for (let i = 0; i < 6; i++) {
        const to = at('2026-03-29T00:00Z') + Math.floor(random.next() * 3 * 3_600_000);
        const from = to - Math.floor(random.next() * 2 * 3_600_000) - 1_000;
        const walked = [...slotsBetween(rule, from, to, 100_000)].at(-1);
        assert.equal(latestSlot(rule, from, to), walked, JSON.stringify([rule.timing, from, to]));
      }
    }
  });

  it('is found at once after a year of seconds', () => {
    const startedAt = performance.now();
    assert.equal(latestSlot(cron('* * * * * *'), at('2025-01-01'), at('2026-01-01')), at('2026-01-01'));
    assert.ok(performance.now() - startedAt < 5_000);
  });
});

describe('the heap of what is due', () => {
  it('holds little more than what counts, however often times are replaced', () => {
    const clock = createScheduleClock({ clock: createFakeClock(), onDue: async () => undefined });
    for (let i = 0; i < 10_000; i++) clock.set(`job-${i % 100}`, Number.MAX_SAFE_INTEGER - i);
    for (let i = 0; i < 100; i++) clock.set(`job-${i}`, undefined);
    assert.equal(clock.size, 0);
    assert.ok(clock.held() <= 1_200, `${clock.held()} entries`);
  });

  it('gives the soonest first, whatever the order in which times came', () => {
    const random = createSeededRandom(3);
    const heap = createDueHeap();
    const times = Array.from({ length: 2_000 }, () => Math.floor(random.next() * 500));
    for (const [i, atMs] of times.entries()) heap.add(`s${i}`, atMs);
    const taken: number[] = [];
    for (let next = heap.take(); next !== undefined; next = heap.take()) taken.push(next.atMs);
    assert.deepEqual(
      taken,
      times.toSorted((a, b) => a - b),
    );
    assert.equal(heap.peek(), undefined);
  });
});
