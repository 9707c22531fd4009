import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import { createSeededRandom } from '../../server/core/random.ts';
import type { RecordsStore, ScanRange } from '../../server/stores/records/records-store.ts';
import { rejectsWith } from '../support/rejects-with.ts';

export interface RecordsSubject {
  readonly store: RecordsStore;
  /** Moves the store's clock, or waits that long where the clock is real. */
  passTime(ms: number): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array | undefined) => (value === undefined ? undefined : new TextDecoder().decode(value));

/** Declares the behaviour that every records store has. `open` gives an empty store. */
export function describeRecordsConformance(name: string, open: () => Promise<RecordsSubject>): void {
  describe(`records store: ${name}`, () => {
    let subject: RecordsSubject;
    let store: RecordsStore;
    beforeEach(async () => {
      subject = await open();
      store = subject.store;
    });
    afterEach(() => subject[Symbol.asyncDispose]());

    const keys = async (partition: string, range?: ScanRange) =>
      (await store.scan(partition, range)).map((row) => row.key);

    it('gives back what was put, and undefined for what was not', async () => {
      const version = await store.put('p', 'k', bytes('one'));
      const row = await store.get('p', 'k');
      assert.deepEqual({ ...row, value: text(row?.value) }, { key: 'k', value: 'one', version });
      assert.equal(await store.get('p', 'other'), undefined);
      assert.equal(await store.get('other', 'k'), undefined);
    });

    it('keeps empty values, all byte values and keys with any characters', async () => {
      const all = Uint8Array.from({ length: 256 }, (_, index) => index);
      await store.put('p', 'empty', new Uint8Array(0));
      await store.put('p', 'all', all);
      for (const key of ['a\0b', 'é/ü', '🎬', "'; DROP TABLE records; --"]) await store.put('p', key, bytes(key));
      assert.deepEqual((await store.get('p', 'empty'))?.value.byteLength, 0);
      assert.deepEqual(Uint8Array.from((await store.get('p', 'all'))?.value ?? []), all);
      for (const key of ['a\0b', 'é/ü', '🎬', "'; DROP TABLE records; --"]) {
        assert.equal(text((await store.get('p', key))?.value), key);
      }
    });

    it('raises the version of a row with every write, also after it was deleted', async () => {
      const seen = [await store.put('p', 'k', bytes('1')), await store.put('p', 'k', bytes('2'))];
      await store.delete('p', 'k');
      seen.push(await store.put('p', 'k', bytes('3')));
      assert.deepEqual(seen, seen.toSorted(compareBigint));
      assert.equal(new Set(seen).size, 3);
    });

    it('says whether a deleted row was there', async () => {
      await store.put('p', 'k', bytes('1'));
      assert.equal(await store.delete('p', 'k'), true);
      assert.equal(await store.delete('p', 'k'), false);
      assert.equal(await store.get('p', 'k'), undefined);
    });

    it('puts only when absent if asked to, and refuses with RECORD_CONFLICT', async () => {
      await store.put('p', 'k', bytes('1'), { ifVersion: 'absent' });
      await rejectsWith(store.put('p', 'k', bytes('2'), { ifVersion: 'absent' }), Code.ABORTED, 'RECORD_CONFLICT');
      assert.equal(text((await store.get('p', 'k'))?.value), '1');
    });

    it('puts and deletes only at the expected version if asked to', async () => {
      const first = await store.put('p', 'k', bytes('1'));
      const second = await store.put('p', 'k', bytes('2'), { ifVersion: first });
      await rejectsWith(store.put('p', 'k', bytes('3'), { ifVersion: first }), Code.ABORTED, 'RECORD_CONFLICT');
      await rejectsWith(store.put('p', 'none', bytes('3'), { ifVersion: first }), Code.ABORTED, 'RECORD_CONFLICT');
      await rejectsWith(store.delete('p', 'k', { ifVersion: first }), Code.ABORTED, 'RECORD_CONFLICT');
      await rejectsWith(store.delete('p', 'none', { ifVersion: first }), Code.ABORTED, 'RECORD_CONFLICT');
      assert.equal(text((await store.get('p', 'k'))?.value), '2');
      assert.equal(await store.delete('p', 'k', { ifVersion: second }), true);
    });

    it('lets exactly one of many concurrent conditional puts win', async () => {
      const attempts = Array.from({ length: 50 }, (_, index) =>
        store.put('p', 'k', bytes(String(index)), { ifVersion: 'absent' }),
      );
      const results = await Promise.allSettled(attempts);
      assert.equal(results.filter((result) => result.status === 'fulfilled').length, 1);
    });

    it('loses no update when many writers retry on conflict', async () => {
      await store.put('p', 'n', bytes('0'));
      const increment = async () => {
        for (;;) {
          const row = await store.get('p', 'n');
          assert.ok(row);
          try {
            await store.put('p', 'n', bytes(String(Number(text(row.value)) + 1)), { ifVersion: row.version });
            return;
          } catch (error) {
            assert.equal((error as { reason?: string }).reason, 'RECORD_CONFLICT');
          }
        }
      };
      await Promise.all(Array.from({ length: 20 }, increment));
      assert.equal(text((await store.get('p', 'n'))?.value), '20');
    });

    it('hides a row once its time to live is over, and treats it as absent', async () => {
      await store.put('p', 'short', bytes('1'), { ttlMs: 300 });
      await store.put('p', 'long', bytes('2'));
      assert.equal(text((await store.get('p', 'short'))?.value), '1');
      await subject.passTime(301);
      assert.equal(await store.get('p', 'short'), undefined);
      assert.deepEqual(await keys('p'), ['long']);
      assert.equal(await store.delete('p', 'short'), false);
      await store.put('p', 'short', bytes('3'), { ifVersion: 'absent' });
      await subject.passTime(301);
      assert.equal(text((await store.get('p', 'short'))?.value), '3');
    });

    it('scans in the order of UTF-8 bytes, in both directions, within bounds, prefix and limit', async () => {
      const order = ['a', 'a\0', 'a/1', 'a/2', 'a0', 'b', 'é', '\uffee', '🎬'];
      for (const key of order.toReversed()) await store.put('p', key, bytes(key));
      await store.put('q', 'a/3', bytes('x'));
      assert.deepEqual(await keys('p'), order);
      assert.deepEqual(await keys('p', { reverse: true }), order.toReversed());
      assert.deepEqual(await keys('p', { limit: 2 }), ['a', 'a\0']);
      assert.deepEqual(await keys('p', { limit: 2, reverse: true }), ['🎬', '\uffee']);
      assert.deepEqual(await keys('p', { from: 'a/2', to: 'b' }), ['a/2', 'a0']);
      assert.deepEqual(await keys('p', { prefix: 'a/' }), ['a/1', 'a/2']);
      assert.deepEqual(await keys('p', { prefix: 'a/', from: 'a/2' }), ['a/2']);
      assert.deepEqual(await keys('p', { prefix: 'a/', to: 'a/2', reverse: true }), ['a/1']);
      assert.deepEqual(await keys('p', { from: 'b', to: 'a' }), []);
      assert.deepEqual(await keys('p', { from: '', prefix: '' }), order);
      assert.deepEqual(await keys('nothing'), []);
    });

    it('finds a prefix that ends in the last characters of its range', async () => {
      const order = ['\ud7ff', '\ud7ffx', '\ue000', '\u{10ffff}', '\u{10ffff}x'];
      for (const key of order) await store.put('p', key, bytes('1'));
      assert.deepEqual(await keys('p', { prefix: '\ud7ff' }), ['\ud7ff', '\ud7ffx']);
      assert.deepEqual(await keys('p', { prefix: '\u{10ffff}' }), ['\u{10ffff}', '\u{10ffff}x']);
    });

    it('scans 100 rows by default and never more than 10,000', async () => {
      for (let start = 0; start < 10_050; start += 1_000) {
        await store.batch(
          Array.from({ length: Math.min(1_000, 10_050 - start) }, (_, index) => ({
            kind: 'put',
            partition: 'p',
            key: `k${String(start + index).padStart(6, '0')}`,
            value: new Uint8Array(1),
          })),
        );
      }
      assert.equal((await keys('p')).length, 100);
      assert.equal((await keys('p', { limit: 20_000 })).length, 10_000);
    });

    it('applies a batch in order and as a whole', async () => {
      await store.put('p', 'old', bytes('1'));
      await store.batch([
        { kind: 'put', partition: 'p', key: 'a', value: bytes('1') },
        { kind: 'put', partition: 'q', key: 'a', value: bytes('1') },
        { kind: 'delete', partition: 'p', key: 'old' },
        { kind: 'put', partition: 'p', key: 'a', value: bytes('2') },
      ]);
      assert.deepEqual(await keys('p'), ['a']);
      assert.equal(text((await store.get('p', 'a'))?.value), '2');
      assert.deepEqual(await keys('q'), ['a']);
    });

    it('applies nothing of a batch with a failed condition, and all of its neighbours', async () => {
      await store.put('p', 'taken', bytes('1'));
      const before = store.put('p', 'before', bytes('1'));
      const failing = store.batch([
        { kind: 'put', partition: 'p', key: 'new', value: bytes('2') },
        { kind: 'delete', partition: 'p', key: 'taken' },
        { kind: 'put', partition: 'p', key: 'before', value: bytes('2'), ifVersion: 'absent' },
      ]);
      const after = store.put('p', 'after', bytes('1'));
      await rejectsWith(failing, Code.ABORTED, 'RECORD_CONFLICT');
      await Promise.all([before, after]);
      assert.deepEqual(await keys('p'), ['after', 'before', 'taken']);
      await store.batch([]);
    });

    it('refuses keys, values, lifetimes, limits and batches out of bounds', async () => {
      const value = bytes('1');
      const big = new Uint8Array(4 * 1024 * 1024);
      await store.put('p', 'k'.repeat(1024), big);
      const bad = [
        store.put('', 'k', value),
        store.put('p', '', value),
        store.put('p', 'k'.repeat(1025), value),
        store.put('p', 'é'.repeat(513), value),
        store.put('p', '\ud800', value),
        store.put('p', 'k', new Uint8Array(big.byteLength + 1)),
        store.put('p', 'k', value, { ttlMs: 0 }),
        store.put('p', 'k', value, { ttlMs: -5 }),
        store.put('p', 'k', value, { ttlMs: Number.NaN }),
        store.get('p', ''),
        store.delete('', 'k'),
        store.scan(''),
        store.scan('p', { limit: 0 }),
        store.scan('p', { limit: 1.5 }),
        store.scan('p', { prefix: '\udc00' }),
        store.batch([{ kind: 'put', partition: 'p', key: '', value }]),
        store.batch(Array.from({ length: 1_001 }, () => ({ kind: 'delete', partition: 'p', key: 'k' }))),
      ];
      for (const call of bad) await rejectsWith(call, Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    });

    it('refuses a scan whose rows would not fit in memory bounds', async () => {
      const value = new Uint8Array(4 * 1024 * 1024);
      for (let i = 0; i < 17; i++) await store.put('p', `k${i}`, value);
      await rejectsWith(store.scan('p'), Code.RESOURCE_EXHAUSTED, 'SCAN_TOO_LARGE');
      assert.equal((await store.scan('p', { limit: 10 })).length, 10);
    });

    it('agrees with a plain sorted map over random operations', async () => {
      const random = createSeededRandom(7);
      const draw = (bound: number) => Math.floor(random.next() * bound);
      const model = new Map<string, string>();
      for (let step = 0; step < 600; step++) {
        const key = `k${draw(40)}`;
        const choice = draw(10);
        if (choice < 5) {
          await store.put('p', key, bytes(String(step)));
          model.set(key, String(step));
        } else if (choice < 8) {
          assert.equal(await store.delete('p', key), model.delete(key));
        } else {
          const [from, to] = [`k${draw(40)}`, `k${draw(40)}`];
          const reverse = draw(2) === 1;
          const expected = [...model.keys()].filter((k) => k >= from && k < to).sort();
          if (reverse) expected.reverse();
          assert.deepEqual(await keys('p', { from, to, reverse }), expected);
        }
      }
      for (const [key, value] of model) assert.equal(text((await store.get('p', key))?.value), value);
    });

    it('refuses all calls once it is closed, after the accepted ones were carried out', async () => {
      const last = store.put('p', 'k', bytes('1'));
      await store.close();
      assert.equal(typeof (await last), 'bigint');
      await rejectsWith(store.get('p', 'k'), Code.UNAVAILABLE, 'STORE_CLOSED');
      await rejectsWith(store.put('p', 'k', bytes('1')), Code.UNAVAILABLE, 'STORE_CLOSED');
      await store.close();
    });
  });
}

function compareBigint(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
