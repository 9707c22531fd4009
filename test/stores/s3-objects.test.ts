import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { Code } from '../../server/core/codes.ts';
import { silentLogger } from '../../server/core/log.ts';
import { startChildScript } from '../support/child-script.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createShiftedClock } from '../support/shifted-clock.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { waitUntil } from '../support/wait-until.ts';
import { describeObjectsConformance } from './objects-conformance.ts';
import { openS3Fixture, type S3FixtureOptions, setAwsEnvironment } from './s3-fixture.ts';
import { gofakes3, needS3Program, type S3Server, startS3Server, versitygw } from './s3-server.ts';

const partBytes = 5 * 1024 * 1024;
const large = Buffer.alloc(2 * partBytes + 12_345, 'showrunner');
const hash = (value: Uint8Array) => createHash('sha256').update(value).digest('hex');
const prefix = 'titles of ü/';
const dayMs = 24 * 60 * 60 * 1_000;

async function* chunked(value: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < value.byteLength; start += size) yield value.subarray(start, start + size);
}

for (const program of [versitygw, gofakes3]) {
  describe(`S3 objects on ${program.name}`, () => {
    let server: S3Server;
    let restoreEnvironment: (() => void) | undefined;
    before(async function () {
      const path = await needS3Program(this, program);
      restoreEnvironment = setAwsEnvironment();
      server = await startS3Server(program, path);
    });
    after(async () => {
      restoreEnvironment?.();
      await server?.[Symbol.asyncDispose]();
    });

    const open = async (options: Partial<S3FixtureOptions> = {}) =>
      openS3Fixture({ endpoint: server.endpoint, bucket: options.bucket ?? (await server.makeBucket()), ...options });
    const uploads = async (bucket: string) => {
      const command = new ListMultipartUploadsCommand({ Bucket: bucket });
      const found = await server.client.send(command).catch((error: Error) => {
        // gofakes3's way to say that there are none.
        if (error.name === 'NoSuchUpload') return undefined;
        throw error;
      });
      return found?.Uploads ?? [];
    };
    const targets = async (bucket: string) =>
      ((await server.client.send(new ListObjectsV2Command({ Bucket: bucket }))).Contents ?? []).map(({ Key }) => Key);

    describeObjectsConformance(`S3 (${program.name})`, () => open());

    it('stores what is over one part in parts: streams, bytes and files, with one digest of the whole', async () => {
      const bucket = await server.makeBucket();
      await using fixture = await open({ bucket, partBytes });
      const { store, dir } = fixture;
      const file = join(dir.path, 'file');
      await writeFile(file, large);
      await store.put('stream', chunked(large, 700_001), { contentType: 'video/mp4' });
      await store.put('bytes', large);
      await store.putFile('file', file);
      for (const key of ['stream', 'bytes', 'file']) {
        assert.equal((await store.stat(key))?.sha256, hash(large));
        assert.equal(hash(await store.read(key)), hash(large));
      }
      assert.equal((await store.stat('stream'))?.contentType, 'video/mp4');
      const across = [];
      for await (const chunk of (await store.open('stream', { start: partBytes - 10, end: partBytes + 10 })).body) {
        across.push(chunk);
      }
      assert.deepEqual(Buffer.concat(across), large.subarray(partBytes - 10, partBytes + 10));
      assert.deepEqual(await uploads(bucket), []);
      assert.deepEqual(await readdir(join(dir.path, '.put')), []);
    });

    it('leaves neither an object nor parts when an upload in parts is aborted or its source fails', async () => {
      const bucket = await server.makeBucket();
      await using fixture = await open({ bucket, partBytes });
      const { store, dir } = fixture;
      async function* failing() {
        yield large;
        throw new Error('camera unplugged');
      }
      await assert.rejects(store.put('k', failing()), { message: 'camera unplugged' });
      const abort = new AbortController();
      const put = store.put('k', Buffer.alloc(8 * partBytes), { signal: abort.signal });
      const aborted = assert.rejects(put, { message: 'caller left' });
      await waitUntil('the upload has begun', async () => (await uploads(bucket)).length === 1);
      abort.abort(new Error('caller left'));
      await aborted;
      assert.equal(await store.stat('k'), undefined);
      assert.deepEqual(await uploads(bucket), []);
      assert.deepEqual(await readdir(join(dir.path, '.put')), []);
    });

    it('lets one of many win an ifAbsent of many parts', async function () {
      // gofakes3 does not look at the condition when parts are joined.
      if (program === gofakes3) this.skip();
      await using fixture = await open({ partBytes });
      const { store } = fixture;
      const bodies = [1, 2, 3].map((fill) => Buffer.alloc(partBytes + 1, fill));
      const puts = await Promise.allSettled(bodies.map((body) => store.put('commit', body, { ifAbsent: true })));
      const winners = puts.filter((put) => put.status === 'fulfilled');
      assert.equal(winners.length, 1);
      assert.equal((await store.stat('commit'))?.sha256, winners[0]?.value.sha256);
      for (const put of puts) if (put.status === 'rejected') assert.equal(put.reason.reason, 'OBJECT_EXISTS');
    });

    it('shows nothing of a put whose process is killed in the middle, and frees its parts a day later', async () => {
      const bucket = await server.makeBucket();
      const script = new URL('children/put-s3-object.ts', import.meta.url);
      await using dir = await createTempDir();
      await using child = startChildScript(script, [dir.path, server.endpoint, bucket, prefix]);
      await waitUntil('the upload has begun', async () => (await uploads(bucket)).length === 1, 20_000);
      await child.kill();
      const clock = createShiftedClock();
      {
        await using fixture = await open({ bucket, clock });
        assert.equal(await fixture.store.stat('killed'), undefined);
        assert.deepEqual(await fixture.store.list(''), []);
        assert.equal((await uploads(bucket)).length, 1, 'it may still be running elsewhere');
      }
      clock.shift(dayMs + 60_000);
      await using _later = await open({ bucket, clock });
      assert.deepEqual(await uploads(bucket), []);
    });

    it('gives objects that others put into the bucket, and passes over what is no object of a key', async () => {
      const bucket = await server.makeBucket();
      const send = (Key: string, text = '') =>
        server.client.send(new PutObjectCommand({ Bucket: bucket, Key, Body: Buffer.from(text) }));
      let warnings = 0;
      const log = { ...silentLogger, warn: () => void warnings++ };
      await using fixture = await open({ bucket, log });
      const { store } = fixture;
      await send('elsewhere/x', 'of others');
      await send(`${prefix}by-hand.txt`, 'hello');
      await send(`${prefix}folder/`);
      await store.put('own', Buffer.from('own'));
      const infos = await store.list('');
      assert.deepEqual(
        infos.map(({ key }) => key),
        ['by-hand.txt', 'own'],
      );
      assert.equal(infos[0]?.sha256, hash(Buffer.from('hello')));
      assert.deepEqual(await store.stat('by-hand.txt'), infos[0]);
      assert.equal(warnings, 1, 'computed once');
      assert.ok((await targets(bucket)).includes('elsewhere/x'));
    });

    it('downloads a local copy once, keeps it within the bound, and refuses one that is damaged', async () => {
      const bucket = await server.makeBucket();
      const clock = createShiftedClock();
      await using fixture = await open({ bucket, clock, maxCopyBytes: 2_500 });
      const { store, dir } = fixture;
      const copies = async () =>
        (await readdir(join(dir.path, 'copies'))).filter((name) => !name.startsWith('.')).length;
      for (const name of ['a', 'b', 'c']) await store.put(`${name}.mp4`, Buffer.alloc(1_000, name));
      const paths = await Promise.all([1, 2, 3].map(() => store.localPath('a.mp4')));
      assert.equal(new Set(paths).size, 1);
      assert.deepEqual(await readFile(paths[0] ?? ''), Buffer.alloc(1_000, 'a'));
      await store.localPath('b.mp4');
      await store.localPath('c.mp4');
      assert.equal(await copies(), 3, 'all in use');
      const old = clock.now() / 1_000 - 7 * 3_600;
      await utimes(paths[0] ?? '', old, old);
      await store.put('d.mp4', Buffer.alloc(100, 'd'));
      await store.localPath('d.mp4');
      assert.equal(await copies(), 3, 'the longest unused one went');
      assert.deepEqual(await readFile(await store.localPath('a.mp4')), Buffer.alloc(1_000, 'a'));
      const Metadata = { sha256: hash(Buffer.from('another')) };
      await server.client.send(
        new PutObjectCommand({ Bucket: bucket, Key: `${prefix}bad`, Body: 'content', Metadata }),
      );
      await rejectsWith(store.localPath('bad'), Code.DATA_LOSS, 'OBJECT_CORRUPT');
      const gone = new AbortController();
      gone.abort(new Error('worker left'));
      await assert.rejects(store.localPath('b.mp4', gone.signal), { message: 'worker left' });
    });

    it('says so when the bucket is missing, and when the key is wrong', async () => {
      await rejectsWith(open({ bucket: 'no-such-bucket' }), Code.FAILED_PRECONDITION, 'OBJECTS_BUCKET_MISSING');
      // gofakes3 looks at no signature.
      if (program === gofakes3) return;
      const bucket = await server.makeBucket();
      process.env['AWS_SECRET_ACCESS_KEY'] = 'wrong-secret';
      try {
        const error = await rejectsWith(open({ bucket }), Code.FAILED_PRECONDITION, 'OBJECTS_ACCESS_DENIED');
        assert.ok(!JSON.stringify([error, error.cause, error.message]).includes('wrong-secret'));
      } finally {
        setAwsEnvironment();
      }
    });

    it('keeps an upload that began elsewhere and is young', async () => {
      const bucket = await server.makeBucket();
      await server.client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key: `${prefix}x` }));
      await using _fixture = await open({ bucket });
      assert.equal((await uploads(bucket)).length, 1);
    });
  });
}
