import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Code } from '../../server/core/codes.ts';
import { chunkFaults } from '../../workers/transcode/encode/verify-chunk.ts';
import { readSamples } from '../../workers/transcode/mp4/read-fragments.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { ffmpeg, ffprobe, makeSource, numberedFrames, readFrameNumbers, sourceCodec, upTo } from './sources.ts';
import { createTranscodeFixture, smallLadder } from './transcode-fixture.ts';

const titleId = 'titles/golden';

describe('sources and cuts that are known to go wrong', () => {
  it('29.97 fps keeps its keyframes at every 60th frame past frame 1020, where cuts by time slip', async () => {
    await using fixture = await createTranscodeFixture();
    const input = ['-f', 'lavfi', '-i', numberedFrames('30000/1001', 40.04)];
    const sourceKey = await fixture.upload(await makeSource('drift.mp4', [...input, ...sourceCodec]));
    const result = await fixture.transcode({ titleId, sourceKey, ladder: smallLadder });
    assert.equal(result.frameCount, 1200);
    const playlist = join(fixture.objectsDir, result.hlsObjectKey);
    const entries = ['-select_streams', 'v:0', '-show_entries', 'packet=pts,flags', '-of', 'csv=p=0'];
    const packets = (await ffprobe([...entries, playlist])).trim().split('\n');
    const frames = packets
      .map((line) => line.split(','))
      .map(([pts = '', flags = '']) => ({ frame: Number(pts) / 1001, key: flags.includes('K') }))
      .sort((a, b) => a.frame - b.frame);
    assert.deepEqual(
      frames.map(({ frame }) => frame),
      upTo(1200),
      'times are whole frames of 1001 ticks, each once',
    );
    assert.deepEqual(
      frames.filter(({ key }) => key).map(({ frame }) => frame),
      upTo(20).map((gop) => gop * 60),
    );
    assert.deepEqual(await readFrameNumbers(playlist), upTo(1200));
  });

  it('a chunk past the end, which ffmpeg ends with success, is found out by its frames', async () => {
    const source = await makeSource('three.mp4', ['-f', 'lavfi', '-i', numberedFrames('25/1', 3), ...sourceCodec]);
    const path = `${source}.past.mp4`;
    const flags = ['-movflags', '+frag_keyframe+empty_moov+default_base_moof'];
    await ffmpeg(['-ss', '10', '-i', source, '-c:v', 'libx264', ...flags, path]);
    const expected = { codec: 'h264', frames: 48, gopFrames: 48, ticksPerFrame: 512 } as const;
    assert.deepEqual(chunkFaults(readSamples(await readFile(path)), expected), ['0 frames, 48 planned']);
  });

  it('a transport stream cut within a packet is refused; cut between packets it is what it holds, no frame twice but the lost', async () => {
    await using fixture = await createTranscodeFixture();
    const args = ['-f', 'lavfi', '-i', numberedFrames('25/1', 8), ...sourceCodec, '-f', 'mpegts'];
    const whole = await readFile(await makeSource('whole.ts', args));
    const cut = join(fixture.dir, 'cut.ts');
    const packets = Math.floor(whole.length / 2 / 188);
    await writeFile(cut, whole.subarray(0, packets * 188 + 100));
    const show = ['-count_frames', '-show_entries', 'stream=nb_read_frames', '-of', 'csv=p=0'];
    const held = Number.parseInt(await ffprobe(['-select_streams', 'v:0', ...show, cut]), 10);
    assert.ok(held > 60 && held < 140, `ffmpeg reads ${held} frames of half a file and calls it a success`);
    const params = { titleId, sourceKey: await fixture.upload(cut), ladder: smallLadder };
    await rejectsWith(fixture.run(params), Code.INVALID_ARGUMENT, 'SOURCE_TRUNCATED');
    await writeFile(cut, whole.subarray(0, packets * 188));
    await fixture.upload(cut);
    const result = await fixture.transcode(params);
    const numbers = await readFrameNumbers(join(fixture.objectsDir, result.hlsObjectKey));
    assert.equal(numbers.length, result.frameCount);
    // In coding order the last frames are cut off; a later one may be there, and the one before fills the place.
    numbers.forEach((number, index) => {
      assert.ok(number === index || (index > held - 4 && number === numbers[index - 1]), `frame ${index} is ${number}`);
    });
  });

  it('a portrait source and one of less than a second come out whole', async () => {
    await using fixture = await createTranscodeFixture();
    const args = ['-f', 'lavfi', '-i', 'testsrc2=s=144x256:r=25:d=0.52', ...sourceCodec];
    const sourceKey = await fixture.upload(await makeSource('portrait.mp4', args));
    const result = await fixture.transcode({ titleId, sourceKey, ladder: smallLadder });
    const [rung] = result.files;
    assert.deepEqual([result.frameCount, rung?.width, rung?.height], [13, 144, 256]);
    assert.equal(result.verification.ok, true);
  });
});
