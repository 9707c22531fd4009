import assert from 'node:assert/strict';
import { statfsSync, statSync, writeFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Code } from '../../server/core/codes.ts';
import { putSame } from '../../workers/transcode/put-same.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { mountSmallDisk } from '../support/small-disk.ts';
import { makeSource, sourceCodec } from './sources.ts';
import { clipPath, createTranscodeFixture, smallLadder } from './transcode-fixture.ts';

const titleId = 'titles/publish';
const source = () => makeSource('publish.mp4', ['-f', 'lavfi', '-i', 'testsrc2=s=256x144:r=25:d=5', ...sourceCodec]);

describe('publishing a title', () => {
  it('leaves nothing published when an encode is killed, and a later run reuses the chunks that were done', async () => {
    await using fixture = await createTranscodeFixture();
    const params = { titleId, sourceKey: await fixture.upload(await source()), ladder: smallLadder };
    const controller = new AbortController();
    let started = 0;
    const onChild = () => {
      if (++started === 3) controller.abort();
    };
    await assert.rejects(fixture.run(params, { signal: controller.signal, onChild }), { name: 'AbortError' });
    assert.deepEqual(await fixture.keys('titles/'), []);
    const done = (await fixture.objects.list('transcode/rungs/')).filter((info) => info.key.endsWith('commit.json'));
    assert.equal(done.length, 2);
    const result = await fixture.transcode(params);
    assert.equal(result.verification.ok, true);
    for (const { key, modifiedMs } of done) assert.equal((await fixture.objects.stat(key))?.modifiedMs, modifiedMs);
  });

  it('stops a running encode when it is cancelled, and publishes nothing of it', async () => {
    await using fixture = await createTranscodeFixture();
    const silent = await makeSource('silent-clip.mp4', ['-i', clipPath, '-an', '-c', 'copy']);
    const params = { titleId, sourceKey: await fixture.upload(silent) };
    const controller = new AbortController();
    let cancelledAt = 0;
    const onProgress = (_report: unknown, kind: string) => {
      if (kind !== 'encode-chunk' || cancelledAt > 0) return;
      cancelledAt = performance.now();
      controller.abort();
    };
    await assert.rejects(fixture.run(params, { signal: controller.signal, onProgress }), { name: 'AbortError' });
    assert.ok(cancelledAt > 0 && performance.now() - cancelledAt < 10_000);
    assert.deepEqual(await fixture.keys('titles/'), []);
    assert.deepEqual(await fixture.keys('transcode/rungs/'), []);
  });

  it('encodes a chunk again when its record is there and a file of it is gone', async () => {
    await using fixture = await createTranscodeFixture();
    const params = { titleId, sourceKey: await fixture.upload(await source()), ladder: smallLadder };
    const first = await fixture.transcode(params);
    const [lost = ''] = (await fixture.keys('transcode/rungs/')).filter((key) => key.endsWith('.mp4'));
    await fixture.objects.delete(lost);
    await fixture.objects.delete(first.encodeSetKey);
    const second = await fixture.transcode(params);
    assert.deepEqual(second, first);
    assert.ok(await fixture.objects.stat(lost));
  });

  it('touches nothing that is there already when a worker that slept does it again', async () => {
    await using fixture = await createTranscodeFixture();
    const inputs = ['-f', 'lavfi', '-i', 'testsrc2=s=256x144:r=25:d=4', '-f', 'lavfi', '-i', 'sine=r=48000:d=4'];
    const sourceKey = await fixture.upload(await makeSource('slept.mp4', [...inputs, ...sourceCodec, '-c:a', 'aac']));
    const params = { titleId, sourceKey, ladder: smallLadder };
    const first = await fixture.transcode(params);
    const files = (await fixture.keys('')).filter((key) => key !== first.encodeSetKey && !key.startsWith('uploads/'));
    assert.ok(files.some((key) => key.endsWith('seg-00001.m4s')) && files.some((key) => key.endsWith('audio.mp4')));
    const inodes = () => files.map((key) => `${key} ${statSync(join(fixture.objectsDir, key)).ino}`);
    const before = inodes();
    // As the sleeper sees it: each record was not there when it looked.
    for (const record of files.filter((key) => key.endsWith('commit.json'))) await fixture.objects.delete(record);
    await fixture.objects.delete(first.encodeSetKey);
    const unseen = (lines: string[]) => lines.filter((line) => !line.includes('commit.json'));
    assert.deepEqual((await fixture.transcode(params)).files, first.files);
    assert.deepEqual(unseen(inodes()), unseen(before));
  });

  it('never puts other bytes in the place of those that a record vouches for', async () => {
    await using fixture = await createTranscodeFixture();
    const { objects } = fixture;
    const { signal } = new AbortController();
    const put = (text: string) =>
      putSame(objects, { key: 'a/seg', body: Buffer.from(text), contentType: 'video/mp4', signal, commitKey: 'a/set' });
    await put('of an attempt that was lost');
    const { sha256 } = await put('whole');
    await objects.put('a/set', Buffer.from(JSON.stringify({ objects: [{ key: 'a/seg', sha256 }] })));
    assert.equal((await put('whole')).sha256, sha256);
    await rejectsWith(put('other'), Code.DATA_LOSS, 'CONTENT_MISMATCH');
    assert.equal(Buffer.from(await objects.read('a/seg')).toString(), 'whole');
    // What was damaged since is not what the record vouches for.
    await objects.put('a/seg', Buffer.from('damaged'));
    assert.equal((await put('whole')).sha256, sha256);
  });

  it('keeps the older version playable when the ladder changes', async () => {
    await using fixture = await createTranscodeFixture();
    const sourceKey = await fixture.upload(await source());
    const first = await fixture.transcode({ titleId, sourceKey, ladder: smallLadder });
    const second = await fixture.transcode({ titleId, sourceKey, ladder: [{ height: 90, crf: 30, maxrateKbps: 300 }] });
    assert.notEqual(second.version, first.version);
    for (const { key, sha256 } of (await fixture.encodeSet(first)).objects) {
      assert.equal((await fixture.objects.stat(key))?.sha256, sha256);
    }
  });

  it('fails with DISK_FULL, leaves no half file and no commit record, and succeeds once there is room', async function () {
    await using fixture = await createTranscodeFixture();
    const filler = join(fixture.objectsDir, 'filler');
    const disk = mountSmallDisk(this, fixture.objectsDir, '16m');
    try {
      for (const folder of ['.tmp', '.info']) await mkdir(join(fixture.objectsDir, folder), { recursive: true });
      const params = { titleId, sourceKey: await fixture.upload(await source()), ladder: smallLadder };
      const onProgress = ({ stage }: { stage: string }, kind: string) => {
        if (kind !== 'transcode' || stage !== 'package') return;
        const { bavail, bsize } = statfsSync(fixture.objectsDir);
        writeFileSync(filler, Buffer.alloc(Math.max(0, bavail * bsize - 96 * 1024)));
      };
      let isFilled = false;
      const fillOnce: typeof onProgress = (report, kind) => {
        if (isFilled) return;
        onProgress(report, kind);
        isFilled = kind === 'transcode' && report.stage === 'package';
      };
      await rejectsWith(fixture.run(params, { onProgress: fillOnce }), Code.RESOURCE_EXHAUSTED, 'DISK_FULL');
      const keys = await fixture.keys('titles/');
      assert.ok(keys.length > 0 && !keys.some((key) => key.endsWith('encode-set.json')), keys.join());
      for (const key of keys)
        assert.equal((await fixture.objects.read(key)).length, (await fixture.objects.stat(key))?.bytes);
      await rm(filler);
      assert.equal((await fixture.transcode(params)).verification.ok, true);
    } finally {
      disk.unmount();
    }
  });

  it('fails with DISK_FULL when the working folder has no room', async function () {
    await using fixture = await createTranscodeFixture();
    const small = join(fixture.dir, 'small');
    await mkdir(small);
    const disk = mountSmallDisk(this, small, '8k');
    try {
      const sourceKey = await fixture.upload(await source());
      const run = fixture.run({ titleId, sourceKey, ladder: smallLadder }, { dir: small });
      await rejectsWith(run, Code.RESOURCE_EXHAUSTED, 'DISK_FULL');
      assert.deepEqual(await fixture.keys('titles/'), []);
    } finally {
      disk.unmount();
    }
  });
});
