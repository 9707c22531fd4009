import assert from 'node:assert/strict';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { orAborted } from '../../server/core/or-aborted.ts';
import { waitUntil } from '../support/wait-until.ts';

describe('work or an abort', () => {
  it('gives what the work gives, or rejects as it does', async () => {
    const { signal } = new AbortController();
    assert.equal(await orAborted(Promise.resolve(3), signal), 3);
    await assert.rejects(orAborted(Promise.reject(new Error('kaput')), signal), /kaput/);
  });

  it('gives undefined when the signal is aborted, before or meanwhile', async () => {
    const stop = new AbortController();
    const pending = orAborted(new Promise<number>(() => {}), stop.signal);
    stop.abort();
    assert.equal(await pending, undefined);
    assert.equal(await orAborted(Promise.resolve(3), stop.signal), undefined);
  });

  it('keeps no result while the signal lives on', async () => {
    const stop = new AbortController();
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const seen: WeakRef<object>[] = [];
    for (let i = 0; i < 100; i++) {
      const result = await orAborted(Promise.resolve({ i }), stop.signal);
      if (result !== undefined) seen.push(new WeakRef(result));
    }
    assert.equal(seen.length, 100);
    // The last one may still lie on the stack.
    await waitUntil('they are gone', () => {
      collect();
      return seen.filter((each) => each.deref() !== undefined).length <= 1;
    });
    assert.equal(stop.signal.aborted, false);
  });
});
