import assert from 'node:assert/strict';
import type { Clock } from '../../server/core/clock.ts';
import { systemClock } from '../../server/core/clock.ts';
import { Code } from '../../server/core/codes.ts';
import { silentLogger } from '../../server/core/log.ts';
import { systemRandom } from '../../server/core/random.ts';
import type { CacheStore } from '../../server/stores/cache/cache-store.ts';
import { createMemcachedCache } from '../../server/stores/cache/memcached-cache.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { findFreePort } from '../support/free-port.ts';
import { startMemcached, type TestMemcached } from '../support/memcached.ts';
import { freeze } from '../support/processes.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { waitUntil } from '../support/wait-until.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

describe('memcached cache and faults of the server', () => {
  let server: TestMemcached;
  let store: CacheStore;

  const openStore = (
    url: string,
    options: { clock?: Clock; commandTimeoutMs?: number; maxInFlight?: number } = {},
  ): CacheStore =>
    createMemcachedCache({
      url,
      clock: systemClock,
      random: systemRandom,
      log: silentLogger,
      commandTimeoutMs: 2_000,
      ...options,
    });
  const textOf = async (key: string) => {
    const item = await store.get(key);
    return item === undefined ? undefined : Buffer.from(item.value).toString();
  };
  const works = () =>
    store.get('any').then(
      () => true,
      () => false,
    );

  beforeEach(async () => {
    server = await startMemcached();
  });
  afterEach(async () => {
    await store.close();
    await server.stop();
  });

  it('fails at once while nobody listens, and works soon after the server was started', async () => {
    const port = await findFreePort();
    store = openStore(`memcached://127.0.0.1:${port}`);
    const started = performance.now();
    const error = await rejectsWith(store.get('k'), Code.UNAVAILABLE, 'CACHE_UNAVAILABLE');
    assert.ok(performance.now() - started < 2_000, 'no command waits for its timeout');
    assert.equal(error.metadata['server'], `127.0.0.1:${port}`);
    await rejectsWith(store.getMany(['a', 'b']), Code.UNAVAILABLE, 'CACHE_UNAVAILABLE');
    await server.stop();
    server = await startMemcached({ port });
    await waitUntil('the cache works', works);
  });

  it('fails commands in flight when the server dies, and comes back with it', async () => {
    store = openStore(server.url);
    await store.set('k', bytes('1'));
    await freeze(server.process.pid);
    const pending = [store.get('k'), store.set('k', bytes('2')), store.getMany(['k', 'l']), store.stats()];
    const failures = pending.map((call) => rejectsWith(call, Code.UNAVAILABLE, 'CACHE_UNAVAILABLE'));
    await server.stop();
    await Promise.all(failures);
    await rejectsWith(store.get('k'), Code.UNAVAILABLE, 'CACHE_UNAVAILABLE');
    server = await startMemcached({ port: server.port });
    await waitUntil('the cache works', works);
    assert.equal(await textOf('k'), undefined);
  });

  it('times out while the server hangs, and takes late answers in their order when it goes on', async () => {
    store = openStore(server.url, { commandTimeoutMs: 100 });
    for (const key of ['a', 'b', 'c']) await store.set(key, bytes(key.repeat(20_000)));
    await freeze(server.process.pid);
    const late = [store.get('a'), store.getMany(['a', 'b', 'none'])];
    for (const call of late) await rejectsWith(call, Code.DEADLINE_EXCEEDED, 'CACHE_TIMEOUT');
    server.process.kill('SIGCONT');
    assert.equal(await textOf('c'), 'c'.repeat(20_000));
    assert.equal(await textOf('b'), 'b'.repeat(20_000));
    assert.equal(await textOf('none'), undefined);
  });

  it('fails at once after a few timeouts in a row, until the server speaks again', async () => {
    store = openStore(server.url, { commandTimeoutMs: 50 });
    await store.set('k', bytes('1'));
    await freeze(server.process.pid);
    for (let i = 0; i < 3; i++) await rejectsWith(store.get('k'), Code.DEADLINE_EXCEEDED, 'CACHE_TIMEOUT');
    await rejectsWith(store.get('k'), Code.UNAVAILABLE, 'CACHE_UNAVAILABLE');
    server.process.kill('SIGCONT');
    await waitUntil('the cache works', works);
    assert.equal(await textOf('k'), '1');
  });

  it('gives up a connection that stays silent, and connects anew', async () => {
    const clock = createFakeClock();
    store = openStore(server.url, { clock, commandTimeoutMs: 100 });
    await store.set('k', bytes('1'));
    await freeze(server.process.pid);
    const call = rejectsWith(store.get('k'), Code.DEADLINE_EXCEEDED, 'CACHE_TIMEOUT');
    await clock.advance(100);
    await call;
    await clock.advance(5_000);
    const error = await rejectsWith(store.get('k'), Code.UNAVAILABLE, 'CACHE_UNAVAILABLE');
    assert.match(String((error.cause as Error).message), /silent/);
    server.process.kill('SIGCONT');
    await waitUntil('the cache works', async () => {
      await clock.advance(50);
      return works();
    });
    assert.equal(await textOf('k'), '1');
  });

  it('stops waiting for a caller that leaves, and still takes the answer', async () => {
    store = openStore(server.url);
    await store.set('a', bytes('a'));
    await store.set('b', bytes('b'));
    await freeze(server.process.pid);
    const abort = new AbortController();
    const pending = [store.get('a', abort.signal), store.getMany(['a', 'b'], abort.signal)];
    const left = pending.map((call) => assert.rejects(call, { message: 'caller left' }));
    const stays = textOf('b');
    abort.abort(new Error('caller left'));
    await Promise.all(left);
    server.process.kill('SIGCONT');
    assert.equal(await stays, 'b');
  });

  it('bounds the answers that are outstanding, given-up ones among them', async () => {
    store = openStore(server.url, { maxInFlight: 10 });
    await store.set('k', bytes('1'));
    await freeze(server.process.pid);
    const abort = new AbortController();
    const waiting = Array.from({ length: 7 }, () => store.get('k', abort.signal));
    waiting.push(...[store.getMany(['a', 'b', 'k'], abort.signal)].map((call) => call.then((found) => found.get('k'))));
    const left = waiting.map((call) => assert.rejects(call));
    abort.abort();
    await Promise.all(left);
    await rejectsWith(store.get('k'), Code.RESOURCE_EXHAUSTED, 'CACHE_OVERLOADED');
    server.process.kill('SIGCONT');
    await waitUntil('the cache works', works);
    assert.equal(await textOf('k'), '1');
    await rejectsWith(
      store.getMany(Array.from({ length: 11 }, (_, index) => `k${index}`)),
      Code.RESOURCE_EXHAUSTED,
      'CACHE_OVERLOADED',
    );
  });

  it('stays in step after the server refused a value that is too large for it', async () => {
    store = openStore(server.url);
    await store.set('k', bytes('small'));
    const large = store.set('large', new Uint8Array(1024 * 1024));
    const behind = textOf('k');
    await rejectsWith(large, Code.INVALID_ARGUMENT, 'VALUE_TOO_LARGE');
    assert.equal(await behind, 'small');
  });

  it('says that the server is out of memory, and stays in step', async () => {
    await server.stop();
    server = await startMemcached({ extra: ['-m', '2', '-M'] });
    store = openStore(server.url);
    const value = new Uint8Array(100_000);
    let refused = 0;
    for (let i = 0; i < 80; i++) {
      try {
        await store.set(`k${i}`, value);
      } catch (error) {
        const { code, reason } = error as { code: number; reason: string };
        assert.deepEqual([code, reason], [Code.RESOURCE_EXHAUSTED, 'CACHE_OUT_OF_MEMORY']);
        refused++;
      }
    }
    assert.ok(refused > 0 && refused < 80, `${refused} refused`);
    assert.equal((await store.get('k0'))?.value.byteLength, 100_000);
    assert.equal(await store.get('none'), undefined);
  });

  it('refuses a URL that is none of memcached', async () => {
    store = openStore(server.url);
    for (const url of ['', 'localhost:11211', 'redis://localhost', 'memcached://']) {
      assert.throws(() => openStore(url), { reason: 'INVALID_FIELDS' });
    }
  });
});
