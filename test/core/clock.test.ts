import assert from 'node:assert/strict';
import { systemClock } from '../../server/core/clock.ts';

/** One more than the longest time that a timer of Node takes: it would fire at once. */
const tooLongMs = 2 ** 31;

describe('the system clock', () => {
  it('does not take a time of over 24 days for none', async () => {
    const fired: string[] = [];
    const cancel = systemClock.schedule(tooLongMs, () => fired.push('schedule'));
    const woken = new AbortController();
    const sleep = systemClock.sleep(tooLongMs, woken.signal).then(
      () => fired.push('sleep'),
      (reason: unknown) => reason,
    );
    await systemClock.sleep(20);
    assert.deepEqual(fired, []);
    cancel();
    const reason = new Error('enough');
    woken.abort(reason);
    assert.equal(await sleep, reason);
  });

  it('sleeps until it is woken, and not at all when it was woken before', async () => {
    const woken = new AbortController();
    const sleep = systemClock.sleep(60_000, woken.signal);
    woken.abort(new Error('now'));
    await assert.rejects(sleep, /now/);
    await assert.rejects(systemClock.sleep(60_000, woken.signal), /now/);
  });
});
