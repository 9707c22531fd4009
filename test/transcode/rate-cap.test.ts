import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import type { ChunkRecord } from '../../workers/transcode/encode/encode-chunk.ts';
import type { Sample } from '../../workers/transcode/mp4/read-fragments.ts';
import type { TranscodeResult } from '../../workers/transcode/publish/encode-set.ts';
import { bucketPeakKilobits } from '../../workers/transcode/publish/rate-bucket.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { makeSource, sourceCodec } from './sources.ts';
import { createTranscodeFixture } from './transcode-fixture.ts';

const sample = (bytes: number, durationTicks = 10): Sample => {
  return { decodeTicks: 0, durationTicks, offsetTicks: 0, sync: true, data: Buffer.alloc(bytes) };
};
/** 1 kb of data each, at 100 ticks a second. */
const kilobits = (...sizes: number[]) => sizes.map((size) => sample(size * 125));

describe('the buffer of a rate cap', () => {
  it('holds what came in and has not drained yet', () => {
    // 0.1 s a sample at 50 kb/s drains 5 kb.
    assert.equal(bucketPeakKilobits(kilobits(5, 5, 5), 100, 50), 5);
    assert.equal(bucketPeakKilobits(kilobits(5, 10, 10), 100, 50), 15);
    assert.equal(bucketPeakKilobits(kilobits(20, 0, 0, 10), 100, 50), 20);
    assert.equal(bucketPeakKilobits(kilobits(20, 0, 10), 100, 50), 20);
    assert.equal(bucketPeakKilobits(kilobits(20, 10, 10), 100, 50), 30);
    assert.equal(bucketPeakKilobits([], 100, 50), 0);
  });

  it('overflows exactly when some stretch takes more than maxrate times its length and one buffer', () => {
    const sizes = [3, 9, 1, 14, 0, 0, 2, 8, 8, 1, 30, 0, 1];
    const peak = bucketPeakKilobits(kilobits(...sizes), 100, 50);
    let most = 0;
    for (let from = 0; from < sizes.length; from++) {
      let taken = 0;
      for (let to = from; to < sizes.length; to++) {
        taken += sizes[to] ?? 0;
        // All of a sample is there when its time begins: the stretch up to it has drained.
        most = Math.max(most, taken - 5 * (to - from));
      }
    }
    assert.equal(peak, most);
  });
});

describe('an encode over its cap', () => {
  /** Noise from the first picture on, whose key frames alone are more than a small buffer holds. */
  const noise = (seconds: number) => {
    const picture = `color=black:s=256x144:r=25:d=${seconds},noise=alls=60:allf=t`;
    return makeSource(`noise-${seconds}.mp4`, ['-f', 'lavfi', '-i', picture, ...sourceCodec]);
  };
  const params = (maxrateKbps: number) => ({
    titleId: 'titles/noise',
    sourceKey: 'uploads/source',
    codecs: ['vp9'],
    ladder: [{ height: 144, crf: 23, maxrateKbps }],
  });

  it('is made again under a tighter one, that chunk alone, and the title says so', async () => {
    await using fixture = await createTranscodeFixture();
    await fixture.upload(await noise(4));
    const run = await fixture.run(params(720));
    const chunks = run.children.filter(({ job }) => job.kind === 'encode-chunk-vp9');
    const caps = chunks.map(({ result }) => (result as unknown as ChunkRecord).rungs[0]?.maxrateKbps ?? 0);
    const kept = caps.filter((cap) => cap === 504).length;
    assert.ok(kept > 0 && kept < caps.length, `${caps}`);
    const result = run.result as unknown as TranscodeResult;
    assert.equal(result.verification.ok, true);
    assert.match(
      result.warnings.join(),
      /^vp9-144p: \d chunks encoded again to stay under 504 kb\/s, first at frame \d+$/,
    );
    const again = await fixture.transcode(params(720));
    assert.deepEqual(again.warnings, result.warnings);
  });

  it('is made with the coarsest quantizers in the end, where VP9 keeps to no cap on pure noise', async () => {
    await using fixture = await createTranscodeFixture();
    await fixture.upload(await noise(1));
    const result = await fixture.transcode(params(100));
    assert.match(result.warnings.join(), /^vp9-144p: 1 chunks encoded again to stay under 70 kb\/s, first at frame 0$/);
    const rung = result.files.find(({ id }) => id === 'video-vp9-144p');
    // A second of it, with the buffer of one and a half.
    assert.ok(rung && rung.bitrateBps < (70 + 105) * 1050, `${rung?.bitrateBps} b/s`);
  });

  it('fails with ENCODE_REJECTED when no encode keeps to it', async () => {
    await using fixture = await createTranscodeFixture();
    const picture = 'color=gray:s=1280x720:r=25:d=0.04,noise=alls=100:allf=t';
    await fixture.upload(await makeSource('noise-large.mp4', ['-f', 'lavfi', '-i', picture, ...sourceCodec]));
    const ladder = [{ height: 720, crf: 23, maxrateKbps: 50 }];
    const error = await rejectsWith(fixture.run({ ...params(50), ladder }), Code.INTERNAL, 'ENCODE_REJECTED');
    assert.match(error.message, /kb gather over 50 kb\/s, the buffer holds 75/);
  });
});
