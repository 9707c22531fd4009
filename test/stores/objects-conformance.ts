import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Code } from '../../server/core/codes.ts';
import type { ObjectStore } from '../../server/stores/objects/object-store.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createTempDir } from '../support/temp-dir.ts';

export interface ObjectsSubject {
  readonly store: ObjectStore;
  [Symbol.asyncDispose](): Promise<void>;
}

const bytes = (text: string) => new TextEncoder().encode(text);
const hash = (value: Uint8Array) => createHash('sha256').update(value).digest('hex');

async function collect(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function* chunked(value: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < value.byteLength; start += size) yield value.subarray(start, start + size);
}

/** Declares the behaviour that every object store has. `open` gives an empty store. */
export function describeObjectsConformance(name: string, open: () => Promise<ObjectsSubject>): void {
  describe(`object store: ${name}`, () => {
    let subject: ObjectsSubject;
    let store: ObjectStore;
    beforeEach(async () => {
      subject = await open();
      store = subject.store;
    });
    afterEach(() => subject[Symbol.asyncDispose]());

    const keys = async (prefix: string, options?: { after?: string; limit?: number }) =>
      (await store.list(prefix, options)).map((info) => info.key);
    const contentOf = async (key: string) => Buffer.from(await store.read(key)).toString();

    it('gives back the content, its hash, size and type', async () => {
      const value = bytes('moving pictures');
      const info = await store.put('a/b.mp4', value, { contentType: 'video/mp4' });
      assert.equal(info.sha256, hash(value));
      assert.deepEqual(
        { key: info.key, bytes: info.bytes, contentType: info.contentType },
        { key: 'a/b.mp4', bytes: 15, contentType: 'video/mp4' },
      );
      assert.ok(info.modifiedMs > 0);
      assert.deepEqual(await store.stat('a/b.mp4'), info);
      assert.equal(await contentOf('a/b.mp4'), 'moving pictures');
      assert.equal(Buffer.from(await readFile(await store.localPath('a/b.mp4'))).toString(), 'moving pictures');
      const opened = await store.open('a/b.mp4');
      assert.deepEqual(opened.info, info);
      assert.equal((await collect(opened.body)).toString(), 'moving pictures');
    });

    it('takes a stream of chunks of any size, an empty body, and a type of its own choice by default', async () => {
      const large = Buffer.alloc(3_000_001, 'showrunner');
      assert.equal((await store.put('large', chunked(large, 70_001))).sha256, hash(large));
      assert.equal(hash(await store.read('large')), hash(large));
      const whole = await store.put('whole', large);
      assert.deepEqual([whole.sha256, whole.contentType], [hash(large), 'application/octet-stream']);
      assert.equal((await store.put('empty', new Uint8Array(0))).bytes, 0);
      assert.equal((await store.read('empty')).byteLength, 0);
      assert.equal((await collect((await store.open('empty')).body)).byteLength, 0);
    });

    it('stores a local file and leaves it in place', async () => {
      await using dir = await createTempDir();
      const path = join(dir.path, 'file');
      await writeFile(path, 'from a file');
      assert.equal((await store.putFile('f', path, { contentType: 'text/plain' })).contentType, 'text/plain');
      assert.equal(await contentOf('f'), 'from a file');
      assert.equal(await readFile(path, 'utf8'), 'from a file');
    });

    // An error that nobody listens to reaches mocha as an uncaught one and fails the test.
    it('stores nothing of a local file that is missing, or is a folder, and tells the caller alone', async () => {
      await using dir = await createTempDir();
      const puts = Array.from({ length: 20 }, (_, index) =>
        store.putFile(`g${index}`, join(dir.path, 'none'), { ifAbsent: true }),
      );
      await Promise.all(puts.map((put) => assert.rejects(put, { code: 'ENOENT' })));
      await assert.rejects(store.putFile('folder', dir.path), { code: 'EISDIR' });
      assert.deepEqual(await keys(''), []);
    });

    it('replaces an object as a whole, with its type', async () => {
      await store.put('k', bytes('a longer first body'), { contentType: 'text/plain' });
      const second = await store.put('k', bytes('second'), { contentType: 'text/html' });
      assert.deepEqual(await store.stat('k'), second);
      assert.equal(await contentOf('k'), 'second');
      assert.deepEqual(await keys(''), ['k']);
    });

    it('refuses a put with ifAbsent when the key is taken, and lets exactly one of many win', async () => {
      const puts = Array.from({ length: 12 }, (_, index) =>
        store.put('commit', bytes(`writer ${index}`), { ifAbsent: true }).then(() => index),
      );
      const results = await Promise.allSettled(puts);
      const winners = results.filter((result) => result.status === 'fulfilled');
      assert.equal(winners.length, 1);
      assert.equal(await contentOf('commit'), `writer ${winners[0]?.value}`);
      for (const result of results) {
        if (result.status === 'rejected') assert.equal(result.reason.reason, 'OBJECT_EXISTS');
      }
      const again = store.put('commit', bytes('late'), { ifAbsent: true });
      await rejectsWith(again, Code.ALREADY_EXISTS, 'OBJECT_EXISTS');
      assert.equal((await store.stat('commit'))?.sha256, hash(bytes(`writer ${winners[0]?.value}`)));
    });

    it('never shows a mix when one key is written and read by many at once', async () => {
      const bodies = Array.from({ length: 6 }, (_, index) => Buffer.alloc(50_000 + index * 1_000, `body ${index} `));
      const hashes = new Set(bodies.map(hash));
      await store.put('hot', bodies[0] ?? new Uint8Array(0));
      let isWriting = true;
      const readers = Array.from({ length: 4 }, async () => {
        let reads = 0;
        while (isWriting) {
          const info = await store.stat('hot');
          assert.ok(info && hashes.has(info.sha256), 'info of no body');
          assert.equal(bodies.find((body) => hash(body) === info.sha256)?.byteLength, info.bytes);
          assert.ok(hashes.has(hash(await store.read('hot'))), 'content of no body');
          reads++;
        }
        return reads;
      });
      await Promise.all(
        bodies.map(async (body) => {
          for (let round = 0; round < 5; round++) await store.put('hot', body);
        }),
      );
      isWriting = false;
      for (const reads of await Promise.all(readers)) assert.ok(reads > 0);
    });

    it('gives parts of an object, and refuses parts outside of it', async () => {
      await store.put('k', bytes('0123456789'));
      const part = async (start?: number, end?: number) => {
        const range = { ...(start === undefined ? {} : { start }), ...(end === undefined ? {} : { end }) };
        return (await collect((await store.open('k', range)).body)).toString();
      };
      assert.equal(await part(2, 5), '234');
      assert.equal(await part(7), '789');
      assert.equal(await part(undefined, 3), '012');
      assert.equal(await part(8, 100), '89');
      assert.equal(await part(4, 4), '');
      assert.equal(await part(10), '');
      await rejectsWith(part(11), Code.OUT_OF_RANGE, 'OBJECT_RANGE');
      await rejectsWith(part(-1), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
      await rejectsWith(part(5, 4), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
      await rejectsWith(part(0.5), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    });

    it('never gives a part of another body when the object changes between opening and reading', async () => {
      await store.put('k', bytes('first'));
      const { body } = await store.open('k');
      await store.put('k', bytes('other'));
      const read = await collect(body).then(
        (content) => content.toString(),
        (error) => error.reason,
      );
      assert.ok(['first', 'OBJECT_CHANGED'].includes(read), read);
    });

    it('says that an object is not there', async () => {
      assert.equal(await store.stat('none'), undefined);
      assert.equal(await store.delete('none'), false);
      await store.put('a/b', bytes('1'));
      for (const key of ['none', 'a', 'a/b/c']) {
        await rejectsWith(store.read(key), Code.NOT_FOUND, 'OBJECT_NOT_FOUND');
        await rejectsWith(store.open(key), Code.NOT_FOUND, 'OBJECT_NOT_FOUND');
        await rejectsWith(store.localPath(key), Code.NOT_FOUND, 'OBJECT_NOT_FOUND');
        assert.equal(await store.stat(key), undefined);
        assert.equal(await store.delete(key), false);
      }
    });

    it('deletes an object and frees its key, also for keys above and below it', async () => {
      await store.put('a/b', bytes('1'));
      assert.equal(await store.delete('a/b'), true);
      assert.equal(await store.delete('a/b'), false);
      await store.put('a', bytes('2'));
      await store.delete('a');
      await store.put('a/b/c', bytes('3'));
      assert.deepEqual(await keys(''), ['a/b/c']);
    });

    it('refuses a key below or above the key of another object', async () => {
      await store.put('a/b', bytes('1'));
      const below = store.put('a/b/c', bytes('2'));
      await rejectsWith(below, Code.FAILED_PRECONDITION, 'OBJECT_KEY_CONFLICT');
      for (const ifAbsent of [true, false]) {
        const above = store.put('a', bytes('2'), { ifAbsent });
        await rejectsWith(above, Code.FAILED_PRECONDITION, 'OBJECT_KEY_CONFLICT');
      }
      assert.deepEqual(await keys(''), ['a/b']);
    });

    it('refuses an object over the reader’s limit', async () => {
      await store.put('k', bytes('0123456789'));
      await rejectsWith(store.read('k', { maxBytes: 9 }), Code.RESOURCE_EXHAUSTED, 'OBJECT_TOO_LARGE');
      assert.equal((await store.read('k', { maxBytes: 10 })).byteLength, 10);
    });

    it('lists keys in the order of UTF-8 bytes, by prefix, after a key, and within a limit', async () => {
      const order = ['a', 'b-c', 'b/c/d', 'b/e', 'b/é', 'b0', 'c/\uffee', 'c/🎬'];
      for (const key of order.toReversed()) await store.put(key, bytes(key));
      assert.deepEqual(await keys(''), order);
      assert.deepEqual(await keys('b'), ['b-c', 'b/c/d', 'b/e', 'b/é', 'b0']);
      assert.deepEqual(await keys('b/'), ['b/c/d', 'b/e', 'b/é']);
      assert.deepEqual(await keys('b/c'), ['b/c/d']);
      assert.deepEqual(await keys('zzz/'), []);
      assert.deepEqual(await keys('a/'), []);
      const paged: string[] = [];
      for (let after = ''; ; ) {
        const page = await keys('', { after, limit: 3 });
        paged.push(...page);
        const last = page.at(-1);
        if (last === undefined) break;
        after = last;
      }
      assert.deepEqual(paged, order);
      assert.deepEqual(await keys('b/', { after: 'b/c/d' }), ['b/e', 'b/é']);
      const [info] = await store.list('b0');
      assert.deepEqual(info, await store.stat('b0'));
    });

    it('refuses bad keys, prefixes, types and limits', async () => {
      const bad = ['', '/a', 'a/', 'a//b', '.', '..', '../x', 'a/../b', 'a/./b', '.tmp/x', '.info/x', 'a\\b', 'a\0b'];
      bad.push('a\nb', 'k'.repeat(256), `${'d/'.repeat(256)}x`, '\ud800');
      for (const key of bad) {
        await rejectsWith(store.put(key, bytes('1')), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
        await rejectsWith(store.read(key), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
        await rejectsWith(store.delete(key), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
        await rejectsWith(store.localPath(key), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
      }
      for (const prefix of ['../', 'a/../', '/']) {
        await rejectsWith(store.list(prefix), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
      }
      await rejectsWith(store.list('', { limit: 0 }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
      for (const contentType of ['', 'a\nb', 'x'.repeat(101)]) {
        await rejectsWith(store.put('k', bytes('1'), { contentType }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
      }
      await store.put(`${'k'.repeat(255)}/${'k'.repeat(255)}`, bytes('1'));
    });

    it('stores nothing when the source fails or the caller aborts, also while the source is silent', async () => {
      async function* failing() {
        yield bytes('begin');
        throw new Error('camera unplugged');
      }
      await assert.rejects(store.put('k', failing()), { message: 'camera unplugged' });
      async function* silent() {
        yield bytes('begin');
        await new Promise(() => {});
      }
      const abort = new AbortController();
      const pending = store.put('k', silent(), { signal: abort.signal });
      setImmediate(() => abort.abort(new Error('caller left')));
      await assert.rejects(pending, { message: 'caller left' });
      await assert.rejects(store.put('k', bytes('1'), { signal: abort.signal }), { message: 'caller left' });
      assert.equal(await store.stat('k'), undefined);
      assert.deepEqual(await keys(''), []);
    });

    it('stops giving a body when the reader aborts', async () => {
      await store.put('k', Buffer.alloc(2_000_000));
      const abort = new AbortController();
      const { body } = await store.open('k', { signal: abort.signal });
      const reading = (async () => {
        for await (const _chunk of body) abort.abort(new Error('viewer left'));
      })();
      await assert.rejects(reading, { message: 'viewer left' });
    });

    it('refuses all calls once it is closed', async () => {
      await store.close();
      await rejectsWith(store.put('k', bytes('1')), Code.UNAVAILABLE, 'STORE_CLOSED');
      await rejectsWith(store.read('k'), Code.UNAVAILABLE, 'STORE_CLOSED');
      await rejectsWith(store.list(''), Code.UNAVAILABLE, 'STORE_CLOSED');
    });
  });
}
