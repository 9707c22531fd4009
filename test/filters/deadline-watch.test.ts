import assert from 'node:assert/strict';
import { createDeadlineWatch, type Watched } from '../../plugins/filters/deadline-budget/deadline-watch.ts';
import { createSeededRandom } from '../../server/core/random.ts';
import { createFakeClock } from '../support/fake-clock.ts';

describe('the watch over many deadlines', () => {
  it('expires each at its time, once, and none that was removed, in 5,000 random events', async () => {
    const random = createSeededRandom(3);
    const clock = createFakeClock();
    const watch = createDeadlineWatch(clock);
    const expired: number[] = [];
    const live = new Map<number, Watched>();
    for (let step = 0; step < 5000; step++) {
      const draw = random.next();
      if (draw < 0.5) {
        const now = clock.monotonic();
        const dueMs = now + Math.floor(random.next() ** 3 * 1000);
        const watched = { dueMs, place: -1, expire: () => void expired.push(step) };
        live.set(step, watched);
        watch.add(watched, now);
      } else if (draw < 0.8) {
        const [oldest] = live;
        if (oldest === undefined) continue;
        live.delete(oldest[0]);
        watch.remove(oldest[1]);
      } else {
        await clock.advance(Math.floor(random.next() * 30));
        const due = [...live].filter(([, { dueMs }]) => dueMs <= clock.monotonic()).map(([id]) => id);
        assert.deepEqual(
          expired.splice(0).sort((a, b) => a - b),
          due.sort((a, b) => a - b),
          `step ${step}`,
        );
        for (const id of due) live.delete(id);
      }
    }
    watch.close();
    await clock.advance(10_000);
    assert.deepEqual(expired, [], 'nothing after the close');
  });
});
