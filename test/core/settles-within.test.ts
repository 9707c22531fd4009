import assert from 'node:assert/strict';
import { settlesWithin } from '../../server/core/settles-within.ts';
import { createFakeClock } from '../support/fake-clock.ts';

describe('settlesWithin', () => {
  it('is true for work that ends, well or not', async () => {
    const clock = createFakeClock();
    assert.equal(await settlesWithin(clock, 10, Promise.resolve()), true);
    assert.equal(await settlesWithin(clock, 10, Promise.reject(new Error('no'))), true);
  });

  it('is false for work that does not end in time, which may fail later', async () => {
    const clock = createFakeClock();
    const work = Promise.withResolvers<void>();
    const waiting = settlesWithin(clock, 10, work.promise);
    await clock.advance(10);
    assert.equal(await waiting, false);
    work.reject(new Error('late'));
  });
});
