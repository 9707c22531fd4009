import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Code } from '../../server/core/codes.ts';
import { silentLogger } from '../../server/core/log.ts';
import { type HttpOrigin, startHttpOrigin } from '../../server/origin/http-origin.ts';
import type { ObjectStore } from '../../server/stores/objects/object-store.ts';
import type { EncodeSet, TranscodeResult } from '../../workers/transcode/publish/encode-set.ts';
import { createTranscodeKinds } from '../../workers/transcode/transcode-kinds.ts';
import { freeze } from '../support/processes.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { longestTestMs, startServer } from '../support/run-server.ts';
import { runShowrunner } from '../support/showrunner.ts';
import { type RunJobOptions, runJob } from '../transcode/run-job.ts';
import { ffprobe, makeSource, sourceCodec } from '../transcode/sources.ts';
import { openS3Fixture, type S3Fixture, setAwsEnvironment } from './s3-fixture.ts';
import { credentials, gofakes3, needS3Program, type S3Server, startS3Server } from './s3-server.ts';

const frames = 36;
const ladder = [{ height: 90, crf: 30, maxrateKbps: 300 }];
const video = ['-f', 'lavfi', '-i', 'testsrc2=s=160x90:r=24:d=1.5'];
const source = () => makeSource('s3.mp4', [...video, '-f', 'lavfi', '-i', 'sine=d=1.5', ...sourceCodec, '-c:a', 'aac']);

describe('a title in S3', () => {
  let server: S3Server;
  let restoreEnvironment: (() => void) | undefined;
  before(async function () {
    const path = await needS3Program(this, gofakes3);
    restoreEnvironment = setAwsEnvironment();
    server = await startS3Server(gofakes3, path);
  });
  after(async () => {
    restoreEnvironment?.();
    await server?.[Symbol.asyncDispose]();
  });

  const run = (
    objects: ObjectStore,
    { dir }: S3Fixture,
    sourceKey: string,
    more: Partial<RunJobOptions> = {},
  ): Promise<TranscodeResult> => {
    const kinds = createTranscodeKinds({ objects, log: silentLogger });
    const params = { titleId: 'titles/s3', sourceKey, ladder };
    return runJob({ kinds, kind: 'transcode', params, dir: dir.path, ...more }).then(
      ({ result }) => result as unknown as TranscodeResult,
    );
  };
  const countFrames = async (origin: HttpOrigin, key: string) => {
    const count = ['-count_frames', '-select_streams', 'v:0', '-show_entries', 'stream=nb_read_frames'];
    // HLS and DASH streams are listed twice, within their program and alone.
    return Number.parseInt(await ffprobe([...count, '-of', 'csv=p=0', `${origin.baseUrl}/${key}`]), 10);
  };

  it('is encoded from S3 to S3, every object as its commit record says, and plays from the origin', async () => {
    const bucket = await server.makeBucket();
    await using fixture = await openS3Fixture({ endpoint: server.endpoint, bucket });
    const { store } = fixture;
    const sourceKey = (await store.putFile('sources/s3.mp4', await source())).key;
    const result = await run(store, fixture, sourceKey);
    assert.equal(result.verification.ok, true);
    const set = JSON.parse(Buffer.from(await store.read(result.encodeSetKey)).toString()) as EncodeSet;
    const listed = new Map((await store.list('titles/')).map((info) => [info.key, info]));
    for (const { key, sha256, bytes } of set.objects) {
      assert.deepEqual([listed.get(key)?.sha256, listed.get(key)?.bytes], [sha256, bytes], key);
    }
    const origin = await startHttpOrigin({ address: '127.0.0.1:0', objects: store, log: silentLogger });
    try {
      assert.equal(await countFrames(origin, result.hlsObjectKey), frames);
      assert.equal(await countFrames(origin, result.dashObjectKey), frames);
      const { key = '', bytes = 0 } = set.objects.find(({ key }) => key.endsWith('.m4s')) ?? {};
      const part = await fetch(`${origin.baseUrl}/${key}`, { headers: { range: 'bytes=8-15' } });
      assert.deepEqual([part.status, part.headers.get('content-range')], [206, `bytes 8-15/${bytes}`]);
      const whole = Buffer.from(await store.read(key));
      assert.deepEqual(Buffer.from(await part.arrayBuffer()), whole.subarray(8, 16));
    } finally {
      await origin.close();
    }
  });

  it('is not there when S3 goes away in the middle of publishing, and is whole after the next run', async () => {
    const bucket = await server.makeBucket();
    await using fixture = await openS3Fixture({ endpoint: server.endpoint, bucket });
    await using hasty = await openS3Fixture({
      endpoint: server.endpoint,
      bucket,
      retries: { attempts: 2, attemptMs: 500 },
    });
    const { store } = fixture;
    const sourceKey = (await store.putFile('sources/s3.mp4', await source())).key;
    // Some objects of the title arrive, then the server falls silent for as long as the run lasts.
    let published = 0;
    const failing: ObjectStore = {
      ...hasty.store,
      put: async (key, body, options) => {
        if (key.startsWith('titles/') && ++published === 4) await freeze(server.process.pid);
        return hasty.store.put(key, body, options);
      },
    };
    const broken = run(failing, fixture, sourceKey);
    const origin = await startHttpOrigin({ address: '127.0.0.1:0', objects: hasty.store, log: silentLogger });
    try {
      await rejectsWith(broken, Code.UNAVAILABLE, 'OBJECTS_UNAVAILABLE');
      const answer = await fetch(`${origin.baseUrl}/titles/s3/x/master.m3u8`);
      assert.deepEqual([answer.status, answer.headers.get('retry-after')], [503, '1']);
      assert.equal(answer.headers.get('cache-control'), null);
    } finally {
      await origin.close();
      server.process.kill('SIGCONT');
    }
    assert.ok(published >= 4);
    const keys = (await store.list('titles/')).map(({ key }) => key);
    assert.ok(keys.length >= 1 && !keys.some((key) => key.endsWith('encode-set.json')), keys.join());
    const result = await run(store, fixture, sourceKey);
    assert.equal(result.verification.ok, true);
    assert.ok(await store.stat(result.encodeSetKey));
  });

  it('is made by a whole server and its workers, with nothing but the setting and the AWS environment', async function () {
    this.timeout(longestTestMs);
    const url = `s3://${await server.makeBucket()}/prod?endpoint=${server.endpoint}`;
    await using running = await startServer({ workers: 1, settings: { SHOWRUNNER_OBJECTS_URL: url } });
    const settings = { SHOWRUNNER_STATE_DIR: running.stateDir };
    const command = ['transcode', await source(), '--title', 'titles/s3', '--address', running.address];
    const { code, output, errors } = await runShowrunner(command, settings);
    assert.deepEqual([code, errors], [0, '']);
    assert.match(output, new RegExp(`^frame_count +ok +${frames} frames`, 'm'));
    const hls = output.match(/^HLS {3}(\S+master\.m3u8)$/m)?.[1] ?? '';
    assert.match(await (await fetch(hls)).text(), /^#EXTM3U/);
    assert.equal(existsSync(join(running.stateDir, 'objects')), false);
    const log = JSON.stringify(running.logs());
    assert.ok(log.includes('objects are kept in S3') && !log.includes(credentials.secretAccessKey));
  });
});
