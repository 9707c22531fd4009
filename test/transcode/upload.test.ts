import assert from 'node:assert/strict';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { Upload_State } from '../../proto/gen/showrunner/transcode/v1/transcode_pb.ts';
import { systemClock } from '../../server/core/clock.ts';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { silentLogger } from '../../server/core/log.ts';
import type { ObjectStore } from '../../server/stores/objects/object-store.ts';
import { cleanUploads } from '../../server/transcode/clean-uploads.ts';
import { createUploads } from '../../server/transcode/uploads.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { waitUntil } from '../support/wait-until.ts';
import {
  content,
  createUploadServers,
  dataOf,
  digestOf,
  header,
  type Request,
  received,
  stream,
  type UploadServers,
} from './upload-fixture.ts';

describe('UploadSource', () => {
  let servers: UploadServers;
  let serve: UploadServers['serve'];
  let objects: ObjectStore;
  before(async () => {
    servers = await createUploadServers();
    ({ serve, objects } = servers);
  });
  after(() => servers[Symbol.asyncDispose]());

  it('stores a source under its digest, byte for byte, and keeps nothing else', async () => {
    const client = await serve();
    const bytes = content(1_000_000);
    const { upload, existed } = await client.uploadSource(stream(header(bytes), ...dataOf(bytes)));
    assert.deepEqual([existed, upload?.state], [false, Upload_State.COMPLETE]);
    assert.equal(upload?.sourceKey, `sources/${digestOf(bytes)}`);
    assert.deepEqual(Buffer.from(await objects.read(upload.sourceKey)), bytes);
    assert.deepEqual(await objects.list('transcode/uploads/'), []);
  });

  it('takes no bytes of a source that is there already', async () => {
    const client = await serve();
    const bytes = content(1_000_000);
    const { upload, existed } = await client.uploadSource(stream(header(bytes)));
    assert.deepEqual([existed, upload?.state, Number(upload?.receivedBytes)], [true, Upload_State.COMPLETE, 1_000_000]);
  });

  it('goes on after a broken stream with the bytes that are missing, also on another server', async () => {
    const first = await serve();
    const bytes = content(600_000, 2);
    const broken = new AbortController();
    async function* breaking(): AsyncGenerator<Request> {
      yield header(bytes);
      yield* dataOf(bytes, 0, 250_000);
      await waitUntil('two parts are stored', async () => (await received(first, bytes).catch(() => 0)) >= 200_000);
      broken.abort();
    }
    await rejectsWith(first.uploadSource(breaking(), { signal: broken.signal }), Code.CANCELLED, 'CANCELLED');
    const second = await serve();
    const goOn = async () => {
      const offset = await received(second, bytes);
      assert.ok(offset >= 200_000 && offset <= 250_000, `${offset}`);
      return second.uploadSource(stream(header(bytes, { offset }), ...dataOf(bytes, offset)));
    };
    // The first server may store what it had of the next part only now: then a client asks again where to go on.
    const { upload } = await goOn().catch(goOn);
    assert.equal(upload?.state, Upload_State.COMPLETE);
    assert.deepEqual(Buffer.from(await objects.read(upload.sourceKey)), bytes);
  });

  it('answers RECEIVING to a stream that ends early, with the time it is kept until', async () => {
    const client = await serve();
    const bytes = content(400_000, 3);
    const { upload } = await client.uploadSource(stream(header(bytes), ...dataOf(bytes, 0, 150_000)));
    assert.deepEqual([upload?.state, upload?.receivedBytes, upload?.sourceKey], [Upload_State.RECEIVING, 150_000n, '']);
    assert.ok(upload?.expireTime && timestampMs(upload.expireTime) > Date.now() + 6 * 24 * 3_600_000);
  });

  it('names the offset to go on from when a stream begins elsewhere', async () => {
    const client = await serve();
    const bytes = content(400_000, 3);
    const wrong = client.uploadSource(stream(header(bytes, { offset: 200_000 }), ...dataOf(bytes, 200_000)));
    const error = await rejectsWith(wrong, Code.FAILED_PRECONDITION, 'UPLOAD_OFFSET_MISMATCH');
    assert.equal(error.metadata['received_bytes'], '150000');
  });

  it('drops bytes that have another digest than announced, and takes the right ones afterwards', async () => {
    const client = await serve();
    const bytes = content(200_000, 4);
    const flipped = Buffer.from(bytes);
    flipped[100_001] = (flipped[100_001] ?? 0) ^ 1;
    const bad = client.uploadSource(stream(header(bytes), ...dataOf(flipped)));
    const error = await rejectsWith(bad, Code.DATA_LOSS, 'UPLOAD_CHECKSUM_MISMATCH');
    assert.equal(error.metadata['actual'], digestOf(flipped));
    const name = `uploads/${digestOf(bytes)}`;
    await rejectsWith(client.getUpload({ name }), Code.NOT_FOUND, 'UPLOAD_NOT_FOUND');
    assert.equal(await objects.stat(`sources/${digestOf(bytes)}`), undefined);
    const { upload } = await client.uploadSource(stream(header(bytes), ...dataOf(bytes)));
    assert.equal(upload?.state, Upload_State.COMPLETE);
  });

  it('refuses more than the limit, and more than was announced', async () => {
    const client = await serve();
    const bytes = content(100_000, 5);
    const large = client.uploadSource(stream(header(bytes, { size: 4_000_001 })));
    await rejectsWith(large, Code.INVALID_ARGUMENT, 'UPLOAD_TOO_LARGE');
    const over = client.uploadSource(stream(header(bytes, { size: 60_000 }), ...dataOf(bytes)));
    await rejectsWith(over, Code.INVALID_ARGUMENT, 'UPLOAD_OVERRUN');
  });

  it('lets a newer stream take over from one that hangs', async () => {
    const client = await serve();
    const bytes = content(300_000, 6);
    const hanging = Promise.withResolvers<void>();
    async function* stuck(): AsyncGenerator<Request> {
      yield header(bytes);
      yield* dataOf(bytes, 0, 100_000);
      await hanging.promise;
    }
    const older = rejectsWith(client.uploadSource(stuck()), Code.ABORTED, 'UPLOAD_TAKEN_OVER');
    await waitUntil('a part is there', async () => (await received(client, bytes).catch(() => 0)) === 100_000);
    const newer = await client.uploadSource(stream(header(bytes, { offset: 100_000 }), ...dataOf(bytes, 100_000)));
    assert.equal(newer.upload?.state, Upload_State.COMPLETE);
    await older;
    hanging.resolve();
  });

  it('ends a stream whose sender keeps silent and keeps what came', async () => {
    const client = await serve({ idleMs: 50 });
    const bytes = content(200_000, 7);
    const hanging = Promise.withResolvers<void>();
    async function* silent(): AsyncGenerator<Request> {
      yield header(bytes);
      yield* dataOf(bytes, 0, 50_000);
      await hanging.promise;
    }
    await rejectsWith(client.uploadSource(silent()), Code.DEADLINE_EXCEEDED, 'UPLOAD_IDLE');
    hanging.resolve();
    assert.equal(await received(client, bytes), 50_000);
  });

  it('bounds unfinished uploads, and makes room by removing those given up', async () => {
    const unfinished = (await objects.list('transcode/uploads/records/')).length;
    const bytes = content(40_000, 8);
    const full = await serve({ maxUnfinished: unfinished });
    const refused = full.uploadSource(stream(header(bytes), ...dataOf(bytes)));
    await rejectsWith(refused, Code.RESOURCE_EXHAUSTED, 'TOO_MANY_UPLOADS');
    const later = { ...systemClock, now: () => Date.now() + 8 * 24 * 3_600_000 };
    const client = await serve({ maxUnfinished: unfinished, clock: later });
    const { upload } = await client.uploadSource(stream(header(bytes), ...dataOf(bytes)));
    assert.equal(upload?.state, Upload_State.COMPLETE);
    assert.deepEqual(await objects.list('transcode/uploads/'), []);
  });

  it('removes what was given up though nobody uploads, and what a crash left of a removal', async () => {
    const bytes = content(40_000, 9);
    const client = await serve();
    await client.uploadSource(stream(header(bytes), ...dataOf(bytes, 0, 20_000)));
    const clock = createFakeClock();
    const later = { ...clock, now: () => Date.now() + 8 * 24 * 3_600_000 };
    let breaks = true;
    const broken: ObjectStore = {
      ...objects,
      delete: async (key) => {
        const isDeleted = await objects.delete(key);
        if (breaks) throw new AppError({ code: Code.UNAVAILABLE, reason: 'OBJECTS_UNAVAILABLE', message: 'gone' });
        return isDeleted;
      },
    };
    const uploads = createUploads({ objects: broken, clock: later, maxBytes: 4_000_000 });
    const cleaning = cleanUploads({ uploads, clock, log: silentLogger, everyMs: 1_000 });
    const left = async () => (await objects.list('transcode/uploads/')).map(({ key }) => key);
    await waitUntil('the removal that breaks', async () => (await left()).length === 1);
    breaks = false;
    await waitUntil('the next round', async () => {
      await clock.advance(1_000);
      return (await left()).length === 0;
    });
    await cleaning.close();
  });

  for (const [what, messages, field] of [
    ['data before the header', dataOf(content(4)), 'header'],
    ['no message', [], 'header'],
    ['a second header', [header(content(8)), header(content(8))], 'data'],
    ['a checksum that is none', [header(content(8), { sha256: 'ABC' })], 'header.sha256'],
    ['no bytes', [header(content(8), { size: 0 })], 'header.size_bytes'],
    ['a negative offset', [header(content(8), { offset: -1 })], 'header.offset_bytes'],
  ] as const) {
    it(`refuses ${what}`, async () => {
      const client = await serve();
      const refused = client.uploadSource(stream(...messages));
      const error = await rejectsWith(refused, Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
      assert.equal(error.fields[0]?.field, field);
    });
  }
});
