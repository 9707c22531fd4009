import assert from 'node:assert/strict';
import { CacheService, SetMode } from '../../proto/gen/showrunner/cache/v1/cache_service_pb.ts';
import { createCache } from '../../server/cache/create-cache.ts';
import { systemClock } from '../../server/core/clock.ts';
import { Code } from '../../server/core/codes.ts';
import { silentLogger } from '../../server/core/log.ts';
import { systemRandom } from '../../server/core/random.ts';
import { createRpcClient, type RpcClient } from '../../server/rpc/client.ts';
import type { RpcServer } from '../../server/rpc/server.ts';
import type { CacheStore } from '../../server/stores/cache/cache-store.ts';
import { createMemcachedCache } from '../../server/stores/cache/memcached-cache.ts';
import { createMemoryCache } from '../../server/stores/cache/memory-cache.ts';
import { findFreePort } from '../support/free-port.ts';
import { startMemcached } from '../support/memcached.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { startServices } from '../support/start-services.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array | undefined) => Buffer.from(value ?? []).toString();
const seconds = (n: number) => ({ seconds: BigInt(n), nanos: 0 });
const namespace = 'home-row';

interface Backend {
  readonly name: string;
  open(): Promise<{ store: CacheStore; stop: () => Promise<void> }>;
}

const common = { clock: systemClock, random: systemRandom, log: silentLogger };
const backends: readonly Backend[] = [
  {
    name: 'in this process',
    open: async () => ({
      store: createMemoryCache({ maxBytes: 64 * 1024 * 1024, clock: systemClock }),
      stop: () => Promise.resolve(),
    }),
  },
  {
    name: 'memcached',
    open: async () => {
      const server = await startMemcached();
      return { store: createMemcachedCache({ ...common, url: server.url }), stop: () => server.stop() };
    },
  },
];

for (const backend of backends) {
  describe(`cache service on ${backend.name}`, () => {
    let stop: () => Promise<void>;
    let store: CacheStore;
    let server: RpcServer;
    let client: RpcClient<typeof CacheService>;
    let area: ReturnType<typeof createCache>;
    before(async () => {
      ({ store, stop } = await backend.open());
      area = createCache({ store });
      server = await startServices(area.service);
      client = createRpcClient(CacheService, { address: server.address });
    });
    after(async () => {
      client.close();
      await server.close();
      await store.close();
      await stop();
    });

    it('stores an item and gives it back with flags, CAS and time left', async () => {
      const set = await client.set({ namespace, key: 'k', value: bytes('v'), ttl: seconds(100), flags: 0x802 });
      assert.ok(set.stored && set.cas > 0n);
      const { item } = await client.get({ namespace, key: 'k' });
      assert.deepEqual([item?.key, text(item?.value), item?.flags, item?.cas], ['k', 'v', 0x802, set.cas]);
      const left = item?.ttl?.seconds ?? 0n;
      assert.ok(left > 95n && left <= 100n, String(left));
      await client.set({ namespace, key: 'forever', value: bytes('v') });
      assert.equal((await client.get({ namespace, key: 'forever' })).item?.ttl, undefined);
    });

    it('answers a miss without an item', async () => {
      assert.equal((await client.get({ namespace, key: 'none' })).item, undefined);
    });

    it('keeps namespaces apart, also where names and keys could be read as each other', async () => {
      await client.set({ namespace: 'a', key: 'b:c', value: bytes('1') });
      await client.set({ namespace: 'a-b', key: 'c', value: bytes('2') });
      assert.equal((await client.get({ namespace: 'b', key: 'c' })).item, undefined);
      assert.equal(text((await client.get({ namespace: 'a', key: 'b:c' })).item?.value), '1');
      assert.equal(text((await client.get({ namespace: 'a-b', key: 'c' })).item?.value), '2');
    });

    it('gives many items in the order of the request, each once, and names the missing keys', async () => {
      for (const key of ['x', 'y', 'z']) await client.set({ namespace, key, value: bytes(key) });
      const { items, missingKeys } = await client.getBulk({ namespace, keys: ['z', 'no', 'x', 'z', 'nope', 'no'] });
      assert.deepEqual(
        items.map((item) => [item.key, text(item.value)]),
        [
          ['z', 'z'],
          ['x', 'x'],
        ],
      );
      assert.deepEqual(missingKeys, ['no', 'nope']);
      const many = await client.getBulk({ namespace, keys: Array.from({ length: 1_000 }, (_, i) => `m${i}`) });
      assert.equal(many.missingKeys.length, 1_000);
      assert.equal(many.missingKeys[999], 'm999');
    });

    it('counts keys of a bulk answer as well as values', async () => {
      const keys = Array.from({ length: 1_000 }, (_, index) => `${index}`.padEnd(200, '-'));
      await Promise.all(keys.map((key) => client.set({ namespace, key, value: new Uint8Array(3_980) })));
      await rejectsWith(client.getBulk({ namespace, keys }), Code.RESOURCE_EXHAUSTED, 'BULK_TOO_LARGE');
      assert.equal((await client.getBulk({ namespace, keys: keys.slice(0, 900) })).items.length, 900);
    });

    it('refuses a bulk answer that would not fit one message', async () => {
      const value = new Uint8Array(900_000);
      const keys = ['b1', 'b2', 'b3', 'b4', 'b5'];
      for (const key of keys) await client.set({ namespace, key, value });
      await rejectsWith(client.getBulk({ namespace, keys }), Code.RESOURCE_EXHAUSTED, 'BULK_TOO_LARGE');
      assert.equal((await client.getBulk({ namespace, keys: keys.slice(0, 4) })).items.length, 4);
    });

    it('stores by mode and by CAS, and says when it did not', async () => {
      const key = 'mode';
      const value = bytes('v');
      assert.equal((await client.set({ namespace, key, value, mode: SetMode.REPLACE })).stored, false);
      const added = await client.set({ namespace, key, value, mode: SetMode.ADD });
      assert.equal(added.stored, true);
      const again = await client.set({ namespace, key, value, mode: SetMode.ADD });
      assert.deepEqual([again.stored, again.cas], [false, 0n]);
      assert.equal((await client.set({ namespace, key, value, ifCas: added.cas })).stored, true);
      assert.equal((await client.set({ namespace, key, value, ifCas: added.cas })).stored, false);
    });

    it('deletes and touches, and says whether an item was there', async () => {
      await client.set({ namespace, key: 'gone', value: bytes('v') });
      assert.equal((await client.touch({ namespace, key: 'gone', ttl: seconds(50 * 86_400) })).touched, true);
      const left = (await client.get({ namespace, key: 'gone' })).item?.ttl?.seconds ?? 0n;
      assert.ok(left > 49n * 86_400n);
      assert.equal((await client.delete({ namespace, key: 'gone' })).deleted, true);
      assert.equal((await client.delete({ namespace, key: 'gone' })).deleted, false);
      assert.equal((await client.touch({ namespace, key: 'gone', ttl: seconds(5) })).touched, false);
    });

    it('rounds a time to live up to whole seconds', async () => {
      await client.set({ namespace, key: 'ns', value: bytes('v'), ttl: { seconds: 0n, nanos: 1 } });
      assert.ok((await client.get({ namespace, key: 'ns' })).item?.ttl !== undefined);
    });

    it('counts outcomes by namespace', async () => {
      const counted = 'counted';
      await client.set({ namespace: counted, key: 'k', value: bytes('v') });
      await client.get({ namespace: counted, key: 'k' });
      await client.getBulk({ namespace: counted, keys: ['k', 'l', 'm'] });
      await client.delete({ namespace: counted, key: 'l' });
      assert.deepEqual(area.counters.totals().get(counted), { stored: 1, hit: 2, miss: 2, not_deleted: 1 });
    });

    it('names every faulty field', async () => {
      const value = bytes('v');
      const fieldsOf = async (call: Promise<unknown>) =>
        (await rejectsWith(call, Code.INVALID_ARGUMENT, 'INVALID_FIELDS')).fields.map((fault) => fault.field);
      assert.deepEqual(await fieldsOf(client.get({ namespace: 'Bad!', key: '' })), ['namespace', 'key']);
      assert.deepEqual(await fieldsOf(client.getBulk({ namespace, keys: ['ok', 'a b', 'c\n'] })), [
        'keys[1]',
        'keys[2]',
      ]);
      assert.deepEqual(await fieldsOf(client.getBulk({ namespace, keys: [] })), ['keys']);
      const tooMany = Array.from({ length: 1_001 }, (_, index) => `k${index}`);
      assert.deepEqual(await fieldsOf(client.getBulk({ namespace, keys: tooMany })), ['keys']);
      for (const bad of ['', 'n'.repeat(65), 'a:b', 'ü']) {
        assert.deepEqual(await fieldsOf(client.delete({ namespace: bad, key: 'k' })), ['namespace']);
      }
      assert.deepEqual(await fieldsOf(client.set({ namespace, key: 'k'.repeat(242), value })), ['key']);
      await client.set({ namespace, key: 'k'.repeat(241), value });
      assert.deepEqual(await fieldsOf(client.touch({ namespace, key: 'a\0b' })), ['key']);
      assert.deepEqual(await fieldsOf(client.touch({ namespace, key: 'k', ttl: seconds(-1) })), ['ttl']);
      assert.deepEqual(await fieldsOf(client.set({ namespace, key: 'k', value, ttl: seconds(-1) })), ['ttl']);
      assert.deepEqual(await fieldsOf(client.set({ namespace, key: 'k', value, mode: 99 as SetMode })), ['mode']);
      const both = client.set({ namespace, key: 'k', value, mode: SetMode.ADD, ifCas: 5n });
      assert.deepEqual(await fieldsOf(both), ['if_cas']);
      const large = client.set({ namespace, key: 'k', value: new Uint8Array(1024 * 1024 + 1) });
      await rejectsWith(large, Code.INVALID_ARGUMENT, 'VALUE_TOO_LARGE');
    });
  });
}

describe('cache service', () => {
  it('tells its callers that the cache server cannot be reached', async () => {
    const store = createMemcachedCache({ ...common, url: `memcached://127.0.0.1:${await findFreePort()}` });
    await using server = await startServices(createCache({ store }).service);
    using client = createRpcClient(CacheService, { address: server.address });
    const error = await rejectsWith(client.get({ namespace, key: 'k' }), Code.UNAVAILABLE, 'CACHE_UNAVAILABLE');
    assert.equal(error.retryAfterMs, 1_000);
    await store.close();
  });

  it('counts the namespaces past the first hundred together', async () => {
    const store = createMemoryCache({ maxBytes: 1_000_000, clock: systemClock });
    const { service, counters } = createCache({ store });
    await using server = await startServices(service);
    using client = createRpcClient(CacheService, { address: server.address });
    for (let i = 0; i < 130; i++) await client.get({ namespace: `n${i}`, key: 'k' });
    await client.get({ namespace: 'n0', key: 'k' });
    assert.equal(counters.totals().size, 101);
    assert.deepEqual(counters.totals().get('n0'), { miss: 2 });
    assert.deepEqual(counters.totals().get('_other'), { miss: 30 });
  });
});
