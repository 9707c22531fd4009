import assert from 'node:assert/strict';
import { createTee } from '../../plugins/filters/mirror/tee.ts';
import { createReplay, maxKeptRequests } from '../../plugins/origins/replay.ts';
import { waitUntil } from '../support/wait-until.ts';

const item = (value: number, size = 1) => new Uint8Array(size).fill(value);
const firsts = (items: readonly Uint8Array[]) => items.map(([first]) => first);

/** A source that tells how far it was pulled. */
function counted(count: number, size = 1) {
  const seen = { pulled: 0 };
  const source = (async function* () {
    for (let i = 1; i <= count; i++) {
      seen.pulled = i;
      yield item(i, size);
    }
  })();
  return { seen, source };
}

describe('requests kept for a second try', () => {
  it('are given again from the first on, and pulled once', async () => {
    const { seen, source } = counted(3);
    const replay = createReplay(source, 100);
    const first = replay.open();
    assert.deepEqual((await first.next()).value, item(1));
    assert.deepEqual([seen.pulled, replay.isComplete, replay.isReplayable], [1, false, true]);
    assert.deepEqual(firsts(await Array.fromAsync(replay.open())), [1, 2, 3]);
    assert.ok(replay.isComplete);
    assert.deepEqual(firsts(await Array.fromAsync(first)), [2, 3]);
  });

  it('are read at once by two readers', async () => {
    const replay = createReplay(counted(50).source, 1000);
    const [a, b] = await Promise.all([Array.fromAsync(replay.open()), Array.fromAsync(replay.open())]);
    assert.deepEqual([a.length, b.length], [50, 50]);
  });

  it('pass on without being kept beyond the bound, one at a time', async () => {
    const { seen, source } = counted(1000, 100);
    const replay = createReplay(source, 250);
    const reader = replay.open();
    for (let i = 1; i <= 3; i++) await reader.next();
    assert.equal(replay.isReplayable, false);
    assert.throws(() => replay.open(), /sent again/);
    await reader.next();
    assert.equal(seen.pulled, 4, 'it pulls no further than it is read');
    assert.equal((await Array.fromAsync(reader)).length, 996);
    assert.equal(replay.isComplete, false);
  });

  it('are bounded in number, too: empty ones cost memory', async () => {
    const replay = createReplay(counted(maxKeptRequests + 1, 0).source, 100);
    const reader = replay.open();
    for (let i = 0; i < maxKeptRequests; i++) await reader.next();
    assert.ok(replay.isReplayable);
    await reader.next();
    assert.equal(replay.isReplayable, false);
  });

  it('hand the failure of their source to every reader', async () => {
    const replay = createReplay(
      (async function* () {
        yield item(1);
        throw new Error('broken');
      })(),
      100,
    );
    await assert.rejects(Array.fromAsync(replay.open()), /broken/);
    await assert.rejects(Array.fromAsync(replay.open()), /broken/);
  });

  it('stop for a reader that was left', async () => {
    const replay = createReplay(counted(3).source, 100);
    const reader = replay.open();
    await reader.return?.();
    assert.deepEqual(await reader.next(), { done: true, value: undefined });
    assert.deepEqual(firsts(await Array.fromAsync(replay.open())), [1, 2, 3]);
  });
});

describe('the copy of requests for a mirror', () => {
  it('is whole, and never holds the main reader back', async () => {
    const tee = createTee(counted(5).source, 100, () => assert.fail('nothing is lost'));
    assert.deepEqual(firsts(await Array.fromAsync(tee.main)), [1, 2, 3, 4, 5]);
    assert.deepEqual(firsts(await Array.fromAsync(tee.copy)), [1, 2, 3, 4, 5]);
  });

  it('is given up beyond its bound, once, while the main reader goes on', async () => {
    const lost: string[] = [];
    const tee = createTee(counted(10, 10).source, 35, (why) => lost.push(why));
    assert.equal((await Array.fromAsync(tee.main)).length, 10);
    assert.deepEqual(lost, ['overrun']);
    await assert.rejects(Array.fromAsync(tee.copy), /not whole/);
  });

  it('is given up when too many wait in it, however small', async () => {
    const lost: string[] = [];
    const tee = createTee(counted(maxKeptRequests + 1, 0).source, 100, (why) => lost.push(why));
    assert.equal((await Array.fromAsync(tee.main)).length, maxKeptRequests + 1);
    assert.deepEqual(lost, ['overrun']);
  });

  it('waits for what the main reader reads, and fails when that leaves early', async () => {
    const lost: string[] = [];
    const tee = createTee(counted(3).source, 100, (why) => lost.push(why));
    let copied = 0;
    let failure = '';
    const copying = (async () => {
      for await (const _item of tee.copy) copied++;
    })().catch((error: Error) => {
      failure = error.message;
    });
    for await (const _item of tee.main) {
      await waitUntil('the copy has it, too', () => copied === 1);
      break;
    }
    await copying;
    assert.match(failure, /not whole/);
    assert.deepEqual(lost, ['left']);
  });
});
