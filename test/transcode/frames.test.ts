import assert from 'node:assert/strict';
import { join } from 'node:path';
import { gopFramesFor } from '../../workers/transcode/plan/frame-plan.ts';
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
  const input = ['-f', 'lavfi', '-i'];

  // Two GOPs and a half each: three chunks, the last one short.
  for (const { rate, frames } of [
    { rate: '24000/1001', frames: 115 },
    { rate: '24/1', frames: 160 },
    { rate: '25/1', frames: 120 },
    { rate: '30000/1001', frames: 150 },
    { rate: '30/1', frames: 160 },
    { rate: '50/1', frames: 240 },
    { rate: '60000/1001', frames: 300 },
    { rate: '60/1', frames: 320 },
  ]) {
    it(`at ${rate} are those of the source, each once and in order, over three chunks`, async () => {
      const picture = `${numberedFrames(rate, 30)},trim=end_frame=${frames}`;
      const source = await makeSource(`numbers-${rate.replace('/', '-')}.mp4`, [...input, picture, ...sourceCodec]);
      const title = await publishedNumbers(source);
      assert.equal(title.frameRate, rate);
      assert.equal(title.chunks, 3);
      assert.deepEqual(title.numbers, upTo(frames));
    });
  }

  for (const { rate, frames } of [
    { rate: '24000/1001', frames: 115 },
    { rate: '25/1', frames: 120 },
    { rate: '60/1', frames: 320 },
  ]) {
    it(`of a variable rate around ${rate} last until the next one comes, over chunk edges too`, async () => {
      const isLeftOut = leftOut(rate, frames);
      const gone = upTo(frames).filter(isLeftOut);
      const holes = gone.map((index) => `eq(n,${index})`).join('+');
      const picture = `${numberedFrames(rate, 30)},trim=end_frame=${frames},select='not(${holes})'`;
      const args = [...input, picture, '-fps_mode', 'vfr', ...sourceCodec];
      const title = await publishedNumbers(await makeSource(`variable-${rate.replace('/', '-')}.mp4`, args));
      let shown = 0;
      const expected = upTo(frames).map((index) => {
        if (!isLeftOut(index)) shown = index;
        return shown;
      });
      assert.equal(title.frameRate, rate);
      assert.deepEqual(title.numbers, expected);
    });
  }

  it('of an open-GOP Matroska file, where each chunk begins at the nearest keyframe, are all there', async () => {
    const open = ['-bf', '3', '-x264-params', 'open-gop=1:b-pyramid=normal', '-preset', 'veryfast', '-g', '20'];
    const picture = `${numberedFrames('25/1', 11)},trim=end_frame=120`;
    const title = await publishedNumbers(
      await makeSource('open-gop.mkv', [...input, picture, ...sourceCodec, ...open]),
    );
    assert.deepEqual(title.numbers, upTo(120));
  });

  it('of an open-GOP transport stream that starts at 1.4 s are all there', async () => {
    const open = ['-x264-params', 'open-gop=1'];
    const picture = numberedFrames('30000/1001', 6);
    const source = await makeSource('open-gop.ts', [...input, picture, ...sourceCodec, ...open, '-f', 'mpegts']);
    assert.deepEqual((await publishedNumbers(source)).numbers, upTo(180));
  });

  it('of a Matroska file with times in whole milliseconds get the exact rate', async () => {
    const picture = `${numberedFrames('24000/1001', 11)},trim=end_frame=115`;
    const title = await publishedNumbers(await makeSource('times-in-ms.mkv', [...input, picture, ...sourceCodec]));
    assert.equal(title.frameRate, '24000/1001');
    assert.deepEqual(title.numbers, upTo(115));
  });
});
