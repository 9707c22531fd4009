import assert from 'node:assert/strict';
import { beginSchedule, changeSchedule } from '../../server/jobs/schedules/schedule-changes.ts';
import type { ScheduleSpec } from '../../server/jobs/schedules/schedule-record.ts';

const hourMs = 3_600_000;
const begunMs = Date.UTC(2026, 4, 1, 12);

describe('a schedule that is changed', () => {
  const spec: ScheduleSpec = {
    id: 's',
    timing: { intervalMs: hourMs },
    catchUp: 'all',
    make: { job: { kind: 'noop', params: {}, labels: {}, priority: 0 } },
    paused: false,
  };
  const limited: ScheduleSpec = { ...spec, limit: 2 };
  const begun = beginSchedule({ ...limited, createMs: begunMs, runs: 0 }, begunMs);
  const later = begunMs + hourMs / 2;

  it('keeps its rhythm with another limit, end or job', () => {
    for (const change of [{ limit: 9 }, { endMs: begunMs + 50 * hourMs }, { catchUp: 'skip' as const }]) {
      const { nextMs, watermarkMs } = changeSchedule(begun, { ...limited, ...change }, later);
      assert.deepEqual([nextMs, watermarkMs], [begunMs + hourMs, begunMs], JSON.stringify(change));
    }
  });

  it('still makes up for a slot that was due before the change', () => {
    const { nextMs } = changeSchedule(begun, { ...limited, limit: 9 }, begunMs + 5 * hourMs);
    assert.equal(nextMs, begunMs + hourMs);
  });

  it('ends at once with an end or a limit that it has come to', () => {
    assert.equal(changeSchedule(begun, { ...spec, endMs: later }, later).nextMs, undefined);
    assert.equal(changeSchedule({ ...begun, runs: 1 }, { ...spec, limit: 1 }, later).nextMs, undefined);
  });

  it('goes on in its rhythm, without slots of the past, when its limit or end is taken back', () => {
    const { nextMs: _last, ...usedUp } = { ...begun, runs: 2, watermarkMs: begunMs + 2 * hourMs };
    const now = begunMs + 9.5 * hourMs;
    for (const change of [spec, { ...spec, limit: 3 }]) {
      const { nextMs, runs } = changeSchedule(usedUp, change, now);
      assert.deepEqual([nextMs, runs], [begunMs + 10 * hourMs, 2]);
    }
  });

  it('begins now with other times, and after a pause', () => {
    const half = changeSchedule(begun, { ...limited, timing: { intervalMs: hourMs / 2 } }, later);
    assert.deepEqual([half.nextMs, half.watermarkMs], [later + hourMs / 2, later]);
    const resumed = changeSchedule({ ...begun, paused: true }, limited, later);
    assert.deepEqual([resumed.nextMs, resumed.watermarkMs], [later + hourMs, later]);
  });

  it('keeps to its local time over a change to summer time, and makes no slot twice where one is repeated', () => {
    const daily = { ...spec, timing: { cron: '30 2 * * *', timeZone: 'Europe/Berlin' } };
    // 2026-10-25: from 03:00 back to 02:00; 02:30 comes once, at its first pass (00:30 UTC).
    const firstPass = Date.UTC(2026, 9, 25, 0, 30);
    const old = { ...beginSchedule({ ...daily, createMs: 0, runs: 0 }, firstPass - hourMs), watermarkMs: firstPass };
    const between = firstPass + hourMs / 2;
    const edited = changeSchedule(
      { ...old, nextMs: Date.UTC(2026, 9, 26, 1, 30) },
      { ...daily, timing: { cron: '30 2 * * 0-6', timeZone: 'Europe/Berlin' } },
      between,
    );
    assert.equal(edited.nextMs, Date.UTC(2026, 9, 26, 1, 30));
  });
});
