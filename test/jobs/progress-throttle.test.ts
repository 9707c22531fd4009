import assert from 'node:assert/strict';
import type { JobProgress } from '../../workers/queue/job-kind.ts';
import { createProgressThrottle } from '../../workers/queue/progress-throttle.ts';
import { createFakeClock } from '../support/fake-clock.ts';

describe('the progress throttle', () => {
  function open(send?: (report: JobProgress) => Promise<void>) {
    const clock = createFakeClock();
    const sent: JobProgress[] = [];
    const keep = async (report: JobProgress) => void sent.push(report);
    return { clock, sent, throttle: createProgressThrottle({ clock, send: send ?? keep, minIntervalMs: 250 }) };
  }

  it('forwards the first report at once and then the newest of each interval', async () => {
    const { clock, sent, throttle } = open();
    for (let i = 0; i < 100; i++) {
      throttle.push({ fraction: i / 100, stage: 'encode' });
      await clock.advance(10);
    }
    await clock.advance(250);
    assert.ok(sent.length >= 4 && sent.length <= 6, `${sent.length} reports`);
    assert.equal(sent[0]?.fraction, 0);
    assert.equal(sent.at(-1)?.fraction, 0.99);
  });

  it('always forwards the last report of a stage', async () => {
    const { clock, sent, throttle } = open();
    for (const stage of ['a', 'b', 'c']) {
      for (const fraction of [0, 0.5, 1]) throttle.push({ fraction, stage });
    }
    // Lets what is sent at once settle, so that the timer for the rest is set.
    await clock.advance(0);
    await clock.advance(1_000);
    const ends = sent.filter(({ fraction }) => fraction === 1).map(({ stage }) => stage);
    assert.deepEqual(ends, ['a', 'b', 'c']);
  });

  it('sends what it holds back when flushed', async () => {
    const { sent, throttle } = open();
    throttle.push({ fraction: 0.1, stage: 'a' });
    throttle.push({ fraction: 0.2, stage: 'a' });
    await throttle.flush();
    assert.deepEqual(sent.map(({ fraction }) => fraction).at(-1), 0.2);
  });

  it('holds a bounded number of reports while they cannot be sent', async () => {
    const blocked = Promise.withResolvers<void>();
    const sent: string[] = [];
    const { clock, throttle } = open(async ({ stage }) => {
      sent.push(stage);
      await blocked.promise;
    });
    for (let i = 0; i < 1_000; i++) throttle.push({ fraction: 1, stage: `stage-${i}` });
    blocked.resolve();
    await clock.advance(1_000);
    await throttle.flush();
    assert.ok(sent.length <= 34, `${sent.length} of 1,000`);
    assert.equal(sent.at(-1), 'stage-999');
  });

  it('bounds fractions and leaves out details that are too large', async () => {
    const { sent, throttle } = open();
    throttle.push({ fraction: 7, stage: 'a', detail: { text: 'x'.repeat(3_000) } });
    await throttle.flush();
    throttle.push({ fraction: Number.NaN, stage: 'a' });
    await throttle.flush();
    assert.deepEqual(sent, [
      { fraction: 1, stage: 'a' },
      { fraction: 0, stage: 'a' },
    ]);
  });
});
