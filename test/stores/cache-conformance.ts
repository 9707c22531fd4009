import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import type { CacheStore } from '../../server/stores/cache/cache-store.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { waitUntil } from '../support/wait-until.ts';

export interface CacheSubject {
  readonly store: CacheStore;
  /** Moves the store's clock where it can be moved; a real one just goes on. */
  passTime(ms: number): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array | undefined) => (value === undefined ? undefined : Buffer.from(value).toString());

/** Declares the behaviour that every cache store has. `open` gives an empty one. */
export function describeCacheConformance(name: string, open: () => Promise<CacheSubject>): void {
  describe(`cache store: ${name}`, () => {
    let subject: CacheSubject;
    let store: CacheStore;
    beforeEach(async () => {
      subject = await open();
      store = subject.store;
    });
    afterEach(() => subject[Symbol.asyncDispose]());

    const untilGone = (key: string) =>
      waitUntil(`${key} is gone`, async () => {
        await subject.passTime(100);
        return (await store.get(key)) === undefined;
      });

    it('gives back value, flags, CAS and time of an item, and undefined for none', async () => {
      const { stored, cas } = await store.set('k', bytes('value'), { flags: 0xfffffffe, ttlSeconds: 100 });
      assert.equal(stored, true);
      const item = await store.get('k');
      assert.ok(item);
      assert.deepEqual([text(item.value), item.flags, item.cas], ['value', 0xfffffffe, cas]);
      assert.ok(item.ttlSeconds > 95 && item.ttlSeconds <= 100, String(item.ttlSeconds));
      assert.equal(await store.get('none'), undefined);
      await store.set('forever', bytes('x'));
      const forever = await store.get('forever');
      assert.deepEqual([forever?.ttlSeconds, forever?.flags], [-1, 0]);
    });

    it('keeps empty, large and binary values, protocol words and line ends among them', async () => {
      const values = [
        new Uint8Array(0),
        Uint8Array.from({ length: 256 }, (_, index) => index),
        bytes('\r\nEN\r\nVA 5 f1\r\nMN\r\n'),
        Buffer.alloc(1_000_000, 'large\r\n'),
      ];
      for (const [index, value] of values.entries()) await store.set(`k${index}`, value);
      for (const [index, value] of values.entries()) {
        assert.ok(Buffer.from(value).equals((await store.get(`k${index}`))?.value ?? bytes('none')), `value ${index}`);
      }
    });

    it('gives values of their own, which neither side’s later changes reach', async () => {
      const given = bytes('value');
      await store.set('k', given);
      given.fill(0);
      (await store.get('k'))?.value.fill(0);
      assert.equal(text((await store.get('k'))?.value), 'value');
    });

    it('takes keys of 250 bytes and any visible characters', async () => {
      for (const key of ['k'.repeat(250), 'é'.repeat(125), 'a:b/c?"\'%', '🎬']) {
        await store.set(key, bytes(key));
        assert.equal(text((await store.get(key))?.value), key);
        assert.equal(await store.delete(key), true);
      }
    });

    it('gives the found ones of many keys, each once', async () => {
      for (let i = 0; i < 500; i++) await store.set(`k${i}`, bytes(String(i)), { flags: i });
      const keys = Array.from({ length: 1_000 }, (_, index) => `k${index}`);
      const found = await store.getMany(keys);
      assert.equal(found.size, 500);
      for (const [key, item] of found) assert.equal(`k${text(item.value)}`, key);
      assert.equal(found.get('k7')?.flags, 7);
      assert.deepEqual([...(await store.getMany(['k1', 'k1', 'none'])).keys()], ['k1']);
      assert.equal((await store.getMany([])).size, 0);
      assert.equal((await store.getMany(['é', '🎬'])).size, 0);
    });

    it('adds only where nothing is, and replaces only what is there', async () => {
      assert.deepEqual(await store.set('k', bytes('1'), { mode: 'replace' }), { stored: false, cas: 0n });
      assert.equal((await store.set('k', bytes('1'), { mode: 'add' })).stored, true);
      assert.deepEqual(await store.set('k', bytes('2'), { mode: 'add' }), { stored: false, cas: 0n });
      assert.equal(text((await store.get('k'))?.value), '1');
      assert.equal((await store.set('k', bytes('2'), { mode: 'replace' })).stored, true);
      assert.equal(text((await store.get('k'))?.value), '2');
    });

    it('stores only on the expected CAS, so that one of many writers wins', async () => {
      const { cas } = await store.set('k', bytes('0'));
      const writers = Array.from({ length: 10 }, (_, index) =>
        store.set('k', bytes(String(index + 1)), { ifCas: cas }),
      );
      const results = await Promise.all(writers);
      const winner = results.findIndex((result) => result.stored);
      assert.equal(results.filter((result) => result.stored).length, 1);
      assert.equal(text((await store.get('k'))?.value), String(winner + 1));
      assert.equal((await store.get('k'))?.cas, results[winner]?.cas);
      assert.equal((await store.set('none', bytes('x'), { ifCas: cas })).stored, false);
      assert.equal(await store.get('none'), undefined);
      const latest = results[winner]?.cas ?? 0n;
      assert.equal((await store.set('k', bytes('x'), { ifCas: latest, mode: 'replace' })).stored, true);
    });

    it('says whether a deleted item was there', async () => {
      await store.set('k', bytes('1'));
      assert.equal(await store.delete('k'), true);
      assert.equal(await store.delete('k'), false);
      assert.equal(await store.get('k'), undefined);
    });

    it('lets an item go after its time, which touch renews', async () => {
      await store.set('short', bytes('1'), { ttlSeconds: 1 });
      await store.set('touched', bytes('2'), { ttlSeconds: 1 });
      assert.equal(await store.touch('touched', 100), true);
      assert.equal(await store.touch('none', 100), false);
      await untilGone('short');
      const touched = await store.get('touched');
      assert.ok(text(touched?.value) === '2' && touched && touched.ttlSeconds > 90);
      assert.equal(await store.delete('short'), false);
      await store.touch('touched', 0);
      assert.equal((await store.get('touched'))?.ttlSeconds, -1);
      await store.touch('touched', 1);
      await untilGone('touched');
    });

    it('takes times over 30 days as relative, however long', async () => {
      for (const ttlSeconds of [2_592_000, 2_592_001, 40 * 86_400]) {
        await store.set('k', bytes('1'), { ttlSeconds });
        const left = (await store.get('k'))?.ttlSeconds ?? 0;
        assert.ok(left > ttlSeconds - 10 && left <= ttlSeconds + 1, `${ttlSeconds} became ${left}`);
      }
      await store.touch('k', 50 * 86_400);
      assert.ok(((await store.get('k'))?.ttlSeconds ?? 0) > 49 * 86_400);
      await store.set('k', bytes('1'), { ttlSeconds: 200 * 365 * 86_400 });
      assert.ok(((await store.get('k'))?.ttlSeconds ?? 0) > 365 * 86_400);
    });

    it('answers many commands at once, each with its own answer', async () => {
      const work = Array.from({ length: 300 }, async (_, index) => {
        await store.set(`k${index}`, bytes(String(index).repeat(index)));
        assert.equal(text((await store.get(`k${index}`))?.value), String(index).repeat(index));
        assert.equal(await store.get(`none${index}`), undefined);
        if (index % 2 === 0) assert.equal(await store.delete(`k${index}`), true);
      });
      await Promise.all(work);
      const found = await store.getMany(Array.from({ length: 300 }, (_, index) => `k${index}`));
      assert.equal(found.size, 150);
    });

    it('counts items, hits and misses', async () => {
      await store.set('k', bytes('value'));
      await store.get('k');
      await store.get('none');
      const { items, bytes: used, maxBytes, hits, misses, evictions } = await store.stats();
      assert.deepEqual([items, hits, misses, evictions], [1, 1, 1, 0]);
      assert.ok(used > 5 && used < maxBytes);
    });

    it('refuses bad keys, values, flags, times and conditions', async () => {
      const value = bytes('1');
      for (const key of ['', 'a b', 'a\nb', 'a\r\nmn', 'a\0', '\x7f', '\ud800', 'k'.repeat(251), 'é'.repeat(126)]) {
        await rejectsWith(store.get(key), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
        await rejectsWith(store.getMany(['ok', key]), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
        await rejectsWith(store.set(key, value), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
        await rejectsWith(store.delete(key), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
        await rejectsWith(store.touch(key, 1), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
      }
      const bad = [
        store.getMany(Array.from({ length: 1_001 }, (_, index) => `k${index}`)),
        store.set('k', value, { ttlSeconds: -1 }),
        store.set('k', value, { ttlSeconds: 0.5 }),
        store.touch('k', Number.NaN),
        store.set('k', value, { flags: -1 }),
        store.set('k', value, { flags: 2 ** 32 }),
        store.set('k', value, { ifCas: 0n }),
        store.set('k', value, { ifCas: 2n ** 64n }),
        store.set('k', value, { ifCas: 1n, mode: 'add' }),
      ];
      for (const call of bad) await rejectsWith(call, Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
      const large = store.set('k', new Uint8Array(1024 * 1024 + 1));
      await rejectsWith(large, Code.INVALID_ARGUMENT, 'VALUE_TOO_LARGE');
      assert.equal(await store.get('k'), undefined);
    });

    it('does nothing for a caller that has left', async () => {
      const signal = AbortSignal.abort(new Error('caller left'));
      const calls = [
        store.get('k', signal),
        store.getMany(['k'], signal),
        store.set('k', bytes('1'), { signal }),
        store.delete('k', signal),
        store.touch('k', 1, signal),
      ];
      for (const call of calls) await assert.rejects(call, { message: 'caller left' });
      assert.equal(await store.get('k'), undefined);
    });

    it('refuses all calls once it is closed', async () => {
      await store.close();
      await rejectsWith(store.get('k'), Code.UNAVAILABLE, 'STORE_CLOSED');
      await rejectsWith(store.set('k', bytes('1')), Code.UNAVAILABLE, 'STORE_CLOSED');
      await store.close();
    });
  });
}
