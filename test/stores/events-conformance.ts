import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import type { EventLog } from '../../server/stores/events/event-log.ts';
import { rejectsWith } from '../support/rejects-with.ts';

export interface EventsSubject {
  readonly store: EventLog;
  /** Another event log on the same data, as after a restart; `store` is closed. */
  reopen(): Promise<EventLog>;
  /** Moves the store's clock, or waits that long where the clock is real. */
  passTime(ms: number): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const bytes = (text: string) => new TextEncoder().encode(text);
const signal = () => AbortSignal.timeout(10_000);

/** Declares the behaviour that every event log has. `open` gives one without logs. */
export function describeEventsConformance(name: string, open: () => Promise<EventsSubject>): void {
  describe(`event log: ${name}`, () => {
    let subject: EventsSubject;
    let store: EventLog;
    beforeEach(async () => {
      subject = await open();
      store = subject.store;
    });
    afterEach(() => subject[Symbol.asyncDispose]());

    const offsets = async (log: string, after = 0n, limit?: number) =>
      (await store.read(log, after, limit)).map((entry) => Number(entry.offset));
    const texts = async (log: string, after = 0n) =>
      (await store.read(log, after)).map((entry) => Buffer.from(entry.payload).toString());

    it('gives offsets from 1 up, per log, and entries back in order', async () => {
      for (const text of ['a', 'b', 'c']) await store.append('one', bytes(text));
      assert.deepEqual(await store.append('two', bytes('x')), { offset: 1n, duplicate: false });
      assert.deepEqual(await texts('one'), ['a', 'b', 'c']);
      assert.deepEqual(await texts('one', 2n), ['c']);
      assert.deepEqual(await texts('one', 99n), []);
      assert.deepEqual(await texts('none'), []);
      const [entry] = await store.read('one', 0n, 1);
      assert.ok(entry && entry.appendedMs > Date.UTC(2020, 0, 1));
    });

    it('gives offsets without gaps or doubles to concurrent appenders, in the order of the calls', async () => {
      const appends = Array.from({ length: 1_000 }, (_, index) => store.append('log', bytes(String(index))));
      const given = (await Promise.all(appends)).map((result) => Number(result.offset));
      assert.deepEqual(
        given,
        Array.from({ length: 1_000 }, (_, index) => index + 1),
      );
      const payloads = (await store.read('log', 0n, 1_000)).map((entry) => Number(Buffer.from(entry.payload)));
      assert.deepEqual(
        payloads,
        Array.from({ length: 1_000 }, (_, index) => index),
      );
    });

    it('appends once per idempotency id, also when the same id comes many times at once', async () => {
      const results = await Promise.all(
        Array.from({ length: 20 }, (_, index) => store.append('log', bytes(`try ${index}`), { id: 'id-1' })),
      );
      assert.deepEqual(new Set(results.map((result) => result.offset)), new Set([1n]));
      assert.equal(results.filter((result) => !result.duplicate).length, 1);
      assert.deepEqual(await store.append('log', bytes('again'), { id: 'id-1' }), { offset: 1n, duplicate: true });
      assert.deepEqual(await texts('log'), ['try 0']);
      assert.equal((await store.append('log', bytes('other'), { id: 'id-2' })).offset, 2n);
      assert.equal((await store.append('other', bytes('same id'), { id: 'id-1' })).duplicate, false);
    });

    it('forgets an idempotency id after its time', async () => {
      await store.append('log', bytes('1'), { id: 'id', idempotencyTtlMs: 300 });
      await subject.passTime(301);
      assert.deepEqual(await store.append('log', bytes('2'), { id: 'id' }), { offset: 2n, duplicate: false });
    });

    it('drops entries after their time, goes on counting, and tells the oldest that is left', async () => {
      await store.append('log', bytes('1'), { ttlMs: 300 });
      await store.append('log', bytes('2'), { ttlMs: 60_000 });
      await subject.passTime(301);
      assert.deepEqual(await texts('log'), ['2']);
      assert.equal((await store.position('log')).oldest, 2n);
      await subject.passTime(60_000);
      const { oldest, newest } = await store.position('log');
      assert.deepEqual({ oldest, newest }, { oldest: 3n, newest: 2n });
      assert.equal((await store.append('log', bytes('3'))).offset, 3n);
    });

    it('keeps at most the newest entries that were asked for', async () => {
      for (let i = 0; i < 30; i++) await store.append('log', bytes(String(i)), { maxEntries: 10 });
      assert.deepEqual(
        await offsets('log'),
        Array.from({ length: 10 }, (_, index) => index + 21),
      );
      assert.equal((await store.position('log')).oldest, 21n);
      await store.append('log', bytes('last'), { maxEntries: 1 });
      assert.deepEqual(await texts('log'), ['last']);
    });

    it('cuts a long log at once when a bound is set for the first time', async () => {
      await Promise.all(Array.from({ length: 2_000 }, (_, index) => store.append('log', bytes(String(index)))));
      await store.append('log', bytes('last'), { maxEntries: 3 });
      assert.deepEqual(await offsets('log'), [1_999, 2_000, 2_001]);
      assert.equal((await store.position('log')).oldest, 1_999n);
    });

    it('reads 100 entries by default and 1,000 at most', async () => {
      await Promise.all(Array.from({ length: 1_100 }, () => store.append('log', bytes('x'))));
      assert.equal((await offsets('log')).length, 100);
      assert.equal((await offsets('log', 0n, 5_000)).length, 1_000);
      assert.deepEqual(await offsets('log', 1_097n, 10), [1_098, 1_099, 1_100]);
    });

    it('tells the position of a log that was never written, with the epoch that it keeps', async () => {
      const { oldest, newest, epoch } = await store.position('log');
      assert.deepEqual({ oldest, newest }, { oldest: 1n, newest: 0n });
      assert.ok(epoch.length > 0);
      await store.append('log', bytes('1'));
      assert.deepEqual(await store.position('log'), { oldest: 1n, newest: 1n, epoch });
    });

    it('keeps offsets, ids, trimming and epoch over a restart', async () => {
      for (let i = 0; i < 5; i++) await store.append('log', bytes(String(i)), { id: `id-${i}`, maxEntries: 3 });
      const before = await store.position('log');
      const again = await subject.reopen();
      assert.deepEqual(await again.position('log'), before);
      assert.deepEqual(await again.append('log', bytes('x'), { id: 'id-4' }), { offset: 5n, duplicate: true });
      assert.equal((await again.append('log', bytes('x'))).offset, 6n);
      assert.deepEqual(
        (await again.read('log', 0n)).map((entry) => entry.offset),
        [3n, 4n, 5n, 6n],
      );
    });

    it('wakes all readers of a log when it grows past what they have seen, and no others', async () => {
      await store.append('log', bytes('1'));
      await store.waitForAppend('log', 0n, signal());
      const woken: string[] = [];
      const abort = new AbortController();
      const waits = [
        store.waitForAppend('log', 1n, signal()).then(() => woken.push('first')),
        store.waitForAppend('log', 1n, signal()).then(() => woken.push('second')),
      ];
      const patient = store.waitForAppend('log', 2n, abort.signal).then(() => woken.push('patient'));
      const other = store.waitForAppend('other', 0n, abort.signal).then(() => woken.push('other'));
      await store.append('log', bytes('2'));
      await Promise.all(waits);
      assert.deepEqual(woken.toSorted(), ['first', 'second']);
      abort.abort(new Error('reader left'));
      await assert.rejects(patient, { message: 'reader left' });
      await assert.rejects(other, { message: 'reader left' });
      await assert.rejects(store.waitForAppend('log', 9n, abort.signal), { message: 'reader left' });
    });

    it('lets no append slip by a reader that follows the log', async () => {
      const seen: number[] = [];
      const reading = (async () => {
        for (let after = 0n; after < 300n; ) {
          await store.waitForAppend('log', after, signal());
          for (const entry of await store.read('log', after)) {
            seen.push(Number(entry.offset));
            after = entry.offset;
          }
        }
      })();
      for (let i = 0; i < 100; i++) {
        await Promise.all([1, 2, 3].map((n) => store.append('log', bytes(String(n)))));
      }
      await reading;
      assert.deepEqual(
        seen,
        Array.from({ length: 300 }, (_, index) => index + 1),
      );
    });

    it('refuses bad logs, payloads, options, offsets and limits', async () => {
      const payload = bytes('x');
      const bad = [
        store.append('', payload),
        store.append('l'.repeat(513), payload),
        store.append('\ud800', payload),
        store.append('log', new Uint8Array(4 * 1024 * 1024)),
        store.append('log', payload, { id: '' }),
        store.append('log', payload, { id: 'i'.repeat(513) }),
        store.append('log', payload, { ttlMs: 0 }),
        store.append('log', payload, { id: 'i', idempotencyTtlMs: -1 }),
        store.append('log', payload, { maxEntries: 0 }),
        store.append('log', payload, { maxEntries: 1.5 }),
        store.read('', 0n),
        store.read('log', -1n),
        store.read('log', 0n, 0),
        store.position(''),
        store.waitForAppend('', 0n, signal()),
      ];
      for (const call of bad) await rejectsWith(call, Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
      assert.equal((await store.position('log')).newest, 0n);
      await store.append('l'.repeat(512), new Uint8Array(0));
      assert.deepEqual(await texts('l'.repeat(512)), ['']);
    });

    it('finishes accepted appends at close, sends waiting readers away, and refuses all calls after it', async () => {
      const accepted = store.append('log', bytes('1'));
      const waiting = store.waitForAppend('log', 50n, signal());
      const sentAway = rejectsWith(waiting, Code.UNAVAILABLE, 'STORE_CLOSED');
      await store.close();
      assert.equal((await accepted).offset, 1n);
      await sentAway;
      await rejectsWith(store.append('log', bytes('2')), Code.UNAVAILABLE, 'STORE_CLOSED');
      await rejectsWith(store.read('log', 0n), Code.UNAVAILABLE, 'STORE_CLOSED');
      await rejectsWith(store.position('log'), Code.UNAVAILABLE, 'STORE_CLOSED');
      await store.close();
    });
  });
}
