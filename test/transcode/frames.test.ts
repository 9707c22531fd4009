import assert from 'node:assert/strict';
import { join } from 'node:path';
import { gopFramesFor } from '../../workers/transcode/frame-plan.ts';
import { rational } from '../../workers/transcode/rational.ts';
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

/** Frames that a variable-rate source leaves out: a hole of 0.7 s over the edge of the first two chunks, and single ones. */
function leftOut(rate: string, frames: number): (index: number) => boolean {
  const [num = 1, den = 1] = rate.split('/').map(Number);
  const edge = gopFramesFor(rational(num, den));
  const half = Math.round((0.35 * num) / den);
  return (index) => Math.abs(index - edge) < half || (index % 17 === 5 && index < frames - 1);
}

describe('chunked frames', () => {
  for (const { rate, frames, chunks } of [
    { rate: '24000/1001', frames: 264, chunks: 6 },
    { rate: '24/1', frames: 330, chunks: 5 },
    { rate: '25/1', frames: 250, chunks: 5 },
    { rate: '30000/1001', frames: 360, chunks: 6 },
    { rate: '30/1', frames: 330, chunks: 5 },
    { rate: '50/1', frames: 500, chunks: 5 },
    { rate: '60000/1001', frames: 660, chunks: 6 },
    { rate: '60/1', frames: 660, chunks: 5 },
  ]) {
    const name = rate.replace('/', '-');
    const input = ['-f', 'lavfi', '-i'];

    it(`at ${rate} are those of the source, each once and in order, over ${chunks} chunks`, async () => {
      const picture = `${numberedFrames(rate, 30)},trim=end_frame=${frames}`;
      const source = await makeSource(`numbers-${name}.mp4`, [...input, picture, ...sourceCodec]);
      assert.deepEqual(await readFrameNumbers(source), upTo(frames));
      const title = await publishedNumbers(source);
      assert.equal(title.frameRate, rate);
      assert.equal(title.chunks, chunks);
      assert.deepEqual(title.numbers, upTo(frames));
    });

    it(`of a variable rate around ${rate} last until the next one comes, over chunk edges too`, async () => {
      const isLeftOut = leftOut(rate, frames);
      const gone = upTo(frames).filter(isLeftOut);
      const holes = gone.map((index) => `eq(n,${index})`).join('+');
      const picture = `${numberedFrames(rate, 30)},trim=end_frame=${frames},select='not(${holes})'`;
      const args = [...input, picture, '-fps_mode', 'vfr', ...sourceCodec];
      const title = await publishedNumbers(await makeSource(`variable-${name}.mp4`, args));
      let shown = 0;
      const expected = upTo(frames).map((index) => {
        if (!isLeftOut(index)) shown = index;
        return shown;
      });
      assert.equal(title.frameRate, rate);
      assert.deepEqual(title.numbers, expected);
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
