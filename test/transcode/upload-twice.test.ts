import assert from 'node:assert/strict';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { Upload_State } from '../../proto/gen/showrunner/transcode/v1/transcode_pb.ts';
import { systemClock } from '../../server/core/clock.ts';
import { Code } from '../../server/core/codes.ts';
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

describe('an upload to two servers of one store at once', () => {
  let uploads: UploadServers;
  before(async () => {
    uploads = await createUploadServers();
  });
  after(() => uploads[Symbol.asyncDispose]());

  /** Sends a source on a server of its own; `pauses` happen elsewhere once so many bytes of it are stored. */
  async function sendWith(bytes: Buffer, pauses: readonly (readonly [number, () => Promise<unknown>])[]) {
    const client = await uploads.serve();
    async function* pausing(): AsyncGenerator<Request> {
      yield header(bytes);
      let sent = 0;
      for (const [at, pause] of pauses) {
        yield* dataOf(bytes, sent, at);
        sent = at;
        await waitUntil('its parts are there', async () => (await received(client, bytes).catch(() => 0)) === at);
        await pause();
      }
      yield* dataOf(bytes, sent);
    }
    return client.uploadSource(pausing());
  }

  it('joins what streams on two servers sent of one source, however each of them cut it', async () => {
    const bytes = content(600_000, 11);
    const more = async () => {
      const other = await uploads.serve({ partBytes: 50_000 });
      await other.uploadSource(stream(header(bytes, { offset: 200_000 }), ...dataOf(bytes, 200_000, 300_000)));
    };
    const { upload } = await sendWith(bytes, [[200_000, more]]);
    assert.equal(upload?.state, Upload_State.COMPLETE);
    assert.deepEqual(Buffer.from(await uploads.objects.read(upload.sourceKey)), bytes);
    assert.deepEqual(await uploads.objects.list(`transcode/uploads/parts/${digestOf(bytes)}/`), []);
  });

  it('says where to go on when a stream on another server left a hole, and drops nothing', async () => {
    const bytes = content(600_000, 12);
    const isLate = Promise.withResolvers<void>();
    // Its clock is ahead, so that everybody sees when its stream has begun.
    const other = await uploads.serve({ clock: { ...systemClock, now: () => systemClock.now() + 60_000 } });
    async function* late(): AsyncGenerator<Request> {
      yield header(bytes, { offset: 200_000 });
      await isLate.promise;
      yield* dataOf(bytes, 200_000, 250_000);
    }
    let shorter: ReturnType<typeof other.uploadSource> | undefined;
    const expireMs = async () => {
      const { upload } = await other.getUpload({ name: `uploads/${digestOf(bytes)}` });
      return upload?.expireTime ? timestampMs(upload.expireTime) : 0;
    };
    const begin = async () => {
      const before = await expireMs();
      shorter = other.uploadSource(late());
      await waitUntil('it has begun', async () => (await expireMs()) > before + 30_000);
    };
    const end = async () => {
      isLate.resolve();
      assert.equal(Number((await shorter)?.upload?.receivedBytes), 250_000);
    };
    const whole = sendWith(bytes, [
      [200_000, begin],
      [500_000, end],
    ]);
    await rejectsWith(whole, Code.FAILED_PRECONDITION, 'UPLOAD_OFFSET_MISMATCH');
    const offset = await received(other, bytes);
    assert.equal(offset, 250_000);
    const { upload } = await other.uploadSource(stream(header(bytes, { offset }), ...dataOf(bytes, offset)));
    assert.deepEqual(Buffer.from(await uploads.objects.read(upload?.sourceKey ?? '')), bytes);
  });

  it('is complete for the slower of two streams as well, and leaves no part of it', async () => {
    const bytes = content(600_000, 13);
    const faster = async () => {
      const other = await uploads.serve();
      await other.uploadSource(stream(header(bytes, { offset: 200_000 }), ...dataOf(bytes, 200_000)));
    };
    const { upload } = await sendWith(bytes, [[200_000, faster]]);
    assert.equal(upload?.state, Upload_State.COMPLETE);
    assert.deepEqual(await uploads.objects.list(`transcode/uploads/parts/${digestOf(bytes)}/`), []);
  });
});
