import assert from 'node:assert/strict';
import { join } from 'node:path';
import { makeSource, numberedFrames, readFrameNumbers, sourceCodec, upTo } from './sources.ts';
import { createTranscodeFixture, smallLadder } from './transcode-fixture.ts';

/** Transcodes a source and reads the numbers its published frames carry. */
async function publishedNumbers(source: string, deps = {}) {
  await using fixture = await createTranscodeFixture(deps);
  const sourceKey = await fixture.upload(source);
  const run = await fixture.run({ titleId: 'titles/numbers', sourceKey, ladder: smallLadder });
  const result = run.result as { hlsObjectKey: string; frameCount: number; frameRate: string };
  const playlist = join(fixture.objectsDir, result.hlsObjectKey);
  const chunks = run.children.filter(({ job }) => job.kind === 'encode-chunk').length;
  return { ...result, chunks, numbers: await readFrameNumbers(playlist) };
}

describe('chunked frames', () => {
  for (const { rate, seconds, frames, chunks } of [
    { rate: '25/1', seconds: 10, frames: 250, chunks: 5 },
    { rate: '30000/1001', seconds: 12, frames: 360, chunks: 6 },
    { rate: '24000/1001', seconds: 11, frames: 264, chunks: 6 },
    { rate: '60/1', seconds: 11, frames: 660, chunks: 5 },
  ]) {
    it(`at ${rate} are those of the source, each once and in order, over ${chunks} chunks`, async () => {
      const name = `numbers-${rate.replace('/', '-')}.mp4`;
      const source = await makeSource(name, ['-f', 'lavfi', '-i', numberedFrames(rate, seconds), ...sourceCodec]);
      assert.deepEqual(await readFrameNumbers(source), upTo(frames));
      const title = await publishedNumbers(source);
      assert.equal(title.frameRate, rate);
      assert.equal(title.chunks, chunks);
      assert.deepEqual(title.numbers, upTo(frames));
    });
  }

  it('of an open-GOP transport stream that starts at 1.4 s are all there', async () => {
    const open = ['-x264-params', 'open-gop=1'];
    const input = ['-f', 'lavfi', '-i', numberedFrames('30000/1001', 12)];
    const source = await makeSource('open-gop.ts', [...input, ...sourceCodec, ...open, '-f', 'mpegts']);
    assert.deepEqual((await publishedNumbers(source)).numbers, upTo(360));
  });

  it('of a Matroska file with times in whole milliseconds get the exact rate', async () => {
    const input = ['-f', 'lavfi', '-i', numberedFrames('24000/1001', 11)];
    const title = await publishedNumbers(await makeSource('times-in-ms.mkv', [...input, ...sourceCodec]));
    assert.equal(title.frameRate, '24000/1001');
    assert.deepEqual(title.numbers, upTo(264));
  });

  it('fill a gap of a variable-rate source that lies across a chunk edge', async () => {
    const gap = `${numberedFrames('30/1', 11)},select='not(between(n,120,140))'`;
    const input = ['-f', 'lavfi', '-i', gap, '-fps_mode', 'vfr'];
    const title = await publishedNumbers(await makeSource('gap.mp4', [...input, ...sourceCodec]));
    const expected = upTo(330).map((index) => (index >= 120 && index <= 140 ? 119 : index));
    assert.equal(title.frameCount, 330);
    assert.deepEqual(title.numbers, expected);
  });
});
