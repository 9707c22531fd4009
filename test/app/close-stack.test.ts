import assert from 'node:assert/strict';
import { closeStack } from '../../server/app/close-stack.ts';
import { createFakeClock } from '../support/fake-clock.ts';

/** Closes a stack whose workers take `workersMs`; gives what was asked of whom. */
async function closeWith(drainTimeoutMs: number, workersMs: number): Promise<[string, (number | undefined)?][]> {
  const clock = createFakeClock();
  const calls: [string, (number | undefined)?][] = [];
  const closing = closeStack({
    app: {
      announceClose: () => void calls.push(['announce']),
      close: async (ms) => void calls.push(['server', ms]),
    },
    pool: {
      close: async (ms) => {
        calls.push(['workers', ms]);
        await clock.sleep(workersMs);
      },
    },
    clock,
    drainTimeoutMs,
  });
  await clock.advance(workersMs);
  await closing;
  return calls;
}

describe('a stack that closes', () => {
  it('serves on while jobs end, and leaves calls what is left of the one drain time', async () => {
    assert.deepEqual(await closeWith(10_000, 200), [['announce'], ['workers', 20_000], ['server', 9_800]]);
  });

  it('leaves calls a second where jobs took all of it, and no more than the whole', async () => {
    assert.deepEqual((await closeWith(10_000, 12_000)).at(-1), ['server', 1_000]);
    assert.deepEqual((await closeWith(300, 2_000)).at(-1), ['server', 300]);
    assert.deepEqual((await closeWith(0, 0)).at(-1), ['server', 0]);
  });
});
