import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import { createMemoryCache } from '../../server/stores/cache/memory-cache.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { describeCacheConformance } from './cache-conformance.ts';

describeCacheConformance('memory', async () => {
  const clock = createFakeClock();
  const store = createMemoryCache({ maxBytes: 64 * 1024 * 1024, clock });
  return { store, passTime: (ms) => clock.advance(ms), [Symbol.asyncDispose]: () => store.close() };
});

describe('memory cache', () => {
  const value = new Uint8Array(10_000);

  it('stays within its bytes by dropping what was used longest ago', async () => {
    const store = createMemoryCache({ maxBytes: 110_000, clock: createFakeClock() });
    for (let i = 0; i < 10; i++) await store.set(`k${i}`, value);
    await store.get('k0');
    await store.touch('k1', 60);
    await store.set('k10', value);
    await store.set('k11', value);
    const found = await store.getMany(Array.from({ length: 12 }, (_, index) => `k${index}`));
    assert.deepEqual([...found.keys()], ['k0', 'k1', 'k4', 'k5', 'k6', 'k7', 'k8', 'k9', 'k10', 'k11']);
    const { bytes, maxBytes, evictions, items } = await store.stats();
    assert.ok(bytes <= maxBytes);
    assert.deepEqual([evictions, items], [2, 10]);
  });

  it('counts the overhead of small items', async () => {
    const store = createMemoryCache({ maxBytes: 1_000_000, clock: createFakeClock() });
    for (let i = 0; i < 20_000; i++) await store.set(`k${i}`, new Uint8Array(1));
    const { items, evictions } = await store.stats();
    assert.ok(items > 2_000 && items < 3_200, String(items));
    assert.equal(items + evictions, 20_000);
  });

  it('makes room from expired items before it drops live ones', async () => {
    const clock = createFakeClock();
    const store = createMemoryCache({ maxBytes: 110_000, clock });
    for (let i = 0; i < 5; i++) await store.set(`short${i}`, value, { ttlSeconds: 1 });
    for (let i = 0; i < 5; i++) await store.set(`long${i}`, value);
    await clock.advance(1_001);
    for (let i = 5; i < 10; i++) await store.set(`long${i}`, value);
    const { items, evictions } = await store.stats();
    assert.deepEqual([items, evictions], [10, 0]);
  });

  it('keeps items for their time whatever the clock of the machine is set to', async () => {
    const clock = createFakeClock();
    const store = createMemoryCache({ maxBytes: 110_000, clock });
    await store.set('k', value, { ttlSeconds: 60 });
    clock.skip(3_600_000);
    assert.equal((await store.get('k'))?.ttlSeconds, 60);
    await clock.advance(60_000);
    assert.equal(await store.get('k'), undefined);
  });

  it('refuses a value larger than the whole cache', async () => {
    const store = createMemoryCache({ maxBytes: 5_000, clock: createFakeClock() });
    await rejectsWith(store.set('k', value), Code.INVALID_ARGUMENT, 'VALUE_TOO_LARGE');
  });
});
