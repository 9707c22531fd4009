import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Code } from '../../server/core/codes.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { ffmpeg, makeSource, numberedFrames, readFrameNumbers, sourceCodec, upTo } from './sources.ts';
import { createTranscodeFixture, smallLadder, type TranscodeFixture } from './transcode-fixture.ts';

const titleId = 'titles/changing';
/** Without B-frames, so that two streams follow each other with no overlap. */
const plainCodec = ['-c:v', 'libx264', '-preset', 'ultrafast', '-bf', '0', '-g', '25', '-crf', '18'];
const transport = ['-muxdelay', '0', '-muxpreload', '0', '-f', 'mpegts'];

function lavfi(...graphs: string[]): string[] {
  return graphs.flatMap((graph) => ['-f', 'lavfi', '-i', graph]);
}

/** Transport streams one behind the other, as a receiver writes them. */
async function joined(fixture: TranscodeFixture, ...paths: string[]): Promise<string> {
  const path = join(fixture.dir, 'joined.ts');
  await writeFile(path, Buffer.concat(await Promise.all(paths.map((each) => readFile(each)))));
  return fixture.upload(path);
}

/** Loudness of the first channel in windows of 20 ms, as root mean squares. */
async function levels(playlist: string): Promise<number[]> {
  const pcm = await ffmpeg(['-i', playlist, '-map', '0:a:0', '-f', 's16le', '-ac', '1', '-']);
  const window = 960;
  return Array.from({ length: Math.floor(pcm.length / 2 / window) }, (_, index) => {
    let sum = 0;
    for (let at = 0; at < window; at++) sum += pcm.readInt16LE((index * window + at) * 2) ** 2;
    return Math.sqrt(sum / window);
  });
}

describe('sources that change midway or whose clock is odd', () => {
  it('an AVI with B-frames, which has times of decoding alone, keeps every frame in order', async () => {
    await using fixture = await createTranscodeFixture();
    const args = [...lavfi(numberedFrames('25/1', 6)), ...sourceCodec];
    const sourceKey = await fixture.upload(await makeSource('b-frames.avi', args));
    const result = await fixture.transcode({ titleId, sourceKey, ladder: smallLadder });
    assert.deepEqual(await readFrameNumbers(join(fixture.objectsDir, result.hlsObjectKey)), upTo(150));
  });

  it('a transport stream that begins at exactly 0, with sound before its pictures, keeps every frame', async () => {
    await using fixture = await createTranscodeFixture();
    const inputs = lavfi('sine=f=440:r=48000:d=3', numberedFrames('25/1', 2));
    // Input options bind to the input behind them: only the pictures are late.
    const late = [...inputs.slice(0, 4), '-itsoffset', '0.8', ...inputs.slice(4)];
    const args = [...late, ...plainCodec, '-fps_mode', 'passthrough', '-c:a', 'mp2', ...transport];
    const sourceKey = await fixture.upload(await makeSource('from-zero.ts', args));
    const result = await fixture.transcode({ titleId, sourceKey, ladder: smallLadder, loudnessLufs: 0 });
    const numbers = await readFrameNumbers(join(fixture.objectsDir, result.hlsObjectKey));
    assert.deepEqual(numbers.slice(0, 50), upTo(50));
    const heard = await levels(join(fixture.objectsDir, result.hlsObjectKey));
    assert.ok(Math.min(...heard.slice(2, 95)) > 500, 'the sound goes on from where the pictures begin');
  });

  it('of 120 frames a second every other one is shown, though the container rounds their times', async () => {
    await using fixture = await createTranscodeFixture();
    const args = [...lavfi(numberedFrames('120/1', 1)), ...sourceCodec];
    const sourceKey = await fixture.upload(await makeSource('fast.mkv', args));
    const result = await fixture.transcode({ titleId, sourceKey, ladder: smallLadder });
    assert.equal(result.frameRate, '60/1');
    const even = upTo(60).map((frame) => frame * 2);
    assert.deepEqual(await readFrameNumbers(join(fixture.objectsDir, result.hlsObjectKey)), even);
  });

  it('a stream that is refreshed bit by bit, where decoders begin late after a seek, keeps every frame', async () => {
    await using fixture = await createTranscodeFixture();
    const refresh = [...plainCodec, '-x264-params', 'intra-refresh=1'];
    const args = [...lavfi(numberedFrames('25/1', 4)), ...refresh];
    const sourceKey = await fixture.upload(await makeSource('refreshed.mp4', args));
    const result = await fixture.transcode({ titleId, sourceKey, ladder: smallLadder });
    assert.deepEqual(await readFrameNumbers(join(fixture.objectsDir, result.hlsObjectKey)), upTo(100));
  });

  it('pictures that change their size midway come out frame by frame in one size', async () => {
    await using fixture = await createTranscodeFixture();
    const frames = numberedFrames('25/1', 4);
    const small = [...lavfi(`${frames},trim=end_frame=70`), ...plainCodec, ...transport];
    const large = `${frames},trim=start_frame=70,scale=512:288:flags=neighbor`;
    const sourceKey = await joined(
      fixture,
      await makeSource('small.ts', small),
      await makeSource('large.ts', [...lavfi(large), '-copyts', ...plainCodec, ...transport]),
    );
    const result = await fixture.transcode({ titleId, sourceKey, ladder: smallLadder });
    assert.deepEqual(await readFrameNumbers(join(fixture.objectsDir, result.hlsObjectKey)), upTo(100));
  });

  it('audio that changes from stereo to 5.1 midway goes on without a hole, at its place', async () => {
    await using fixture = await createTranscodeFixture();
    const part = (name: string, layout: string, offset: number) => {
      const inputs = lavfi('testsrc2=s=256x144:r=25:d=1', `sine=f=440:r=48000:d=1,aformat=channel_layouts=${layout}`);
      const clock = ['-output_ts_offset', String(offset)];
      return makeSource(name, [...inputs, ...plainCodec, '-c:a', 'ac3', ...clock, ...transport]);
    };
    const sourceKey = await joined(fixture, await part('stereo.ts', 'stereo', 0), await part('surround.ts', '5.1', 1));
    const result = await fixture.transcode({ titleId, sourceKey, ladder: smallLadder, loudnessLufs: 0 });
    assert.equal(result.frameCount, 50);
    const track = result.verification.tracks.find(({ id }) => id === 'audio-main');
    // 2 s, its priming, and the last one which may not be full.
    assert.ok(track && track.samples >= 94 && track.samples <= 96, `${track?.samples} frames of AAC`);
    const heard = await levels(join(fixture.objectsDir, result.hlsObjectKey));
    // The 32 ms before AC-3 begins again are faded by it; nothing longer may be missing.
    const silent = heard.slice(2, 97).filter((level) => level < 200).length;
    assert.ok(silent <= 3, `${silent} windows of 20 ms are silent: ${heard.map(Math.round)}`);
  });

  it('audio of a codec that nobody knows is left out beside audio that can be heard, with a warning', async () => {
    await using fixture = await createTranscodeFixture();
    const inputs = lavfi('testsrc2=s=256x144:r=25:d=0.4', 'sine=d=0.4');
    const tracks = ['-map', '0:v', '-map', '1:a', '-map', '1:a', '-c:a:0', 'aac', '-c:a:1', 'mp3'];
    const source = await readFile(await makeSource('spatial.mkv', [...inputs, ...tracks, ...sourceCodec]));
    const path = join(fixture.dir, 'unknown.mkv');
    await writeFile(path, source.toString('latin1').replace('A_MPEG/L3', 'A_MPEG/L9'), 'latin1');
    const result = await fixture.transcode({
      titleId,
      sourceKey: await fixture.upload(path),
      ladder: smallLadder,
      loudnessLufs: 0,
    });
    assert.deepEqual(result.warnings, ['audio stream 2 left out: its codec is unknown']);
    assert.deepEqual(
      result.files.filter(({ kind }) => kind === 'audio').map(({ id }) => id),
      ['audio-main'],
    );
  });

  it('a single picture with sound lasts as long as the sound, and says that the picture is held', async () => {
    await using fixture = await createTranscodeFixture();
    const inputs = lavfi('testsrc2=s=256x144:r=25:d=0.04', 'sine=f=440:r=48000:d=3');
    const sourceKey = await fixture.upload(await makeSource('cover.mp4', [...inputs, ...sourceCodec, '-c:a', 'aac']));
    const result = await fixture.transcode({ titleId, sourceKey, ladder: smallLadder, loudnessLufs: 0 });
    assert.equal(result.frameCount, 75);
    assert.deepEqual(result.warnings, ['the last picture is held for 2.96 s: the audio goes on']);
    const page = `${result.encodeSetKey.slice(0, result.encodeSetKey.lastIndexOf('/'))}/verification.html`;
    assert.match(Buffer.from(await fixture.objects.read(page)).toString(), /75, the last picture held for 74 of them/);
    const heard = await levels(join(fixture.objectsDir, result.hlsObjectKey));
    assert.ok(Math.min(...heard.slice(2, 145)) > 500, `${heard}`);
  });

  it('files put end to end, whose clocks lie over each other, are refused and not cut to the first', async () => {
    await using fixture = await createTranscodeFixture();
    const args = [...lavfi(numberedFrames('25/1', 2)), ...sourceCodec, '-f', 'mpegts'];
    const path = await makeSource('again.ts', args);
    const params = { titleId, sourceKey: await joined(fixture, path, path), ladder: smallLadder };
    const error = await rejectsWith(fixture.run(params), Code.INVALID_ARGUMENT, 'SOURCE_DISCONTINUOUS');
    assert.match(error.message, /runs back from \d+\.\d\d s to \d+\.\d\d s/);
  });

  it('a pause of the picture is kept and told', async () => {
    await using fixture = await createTranscodeFixture();
    const pause = `testsrc2=s=64x36:r=5:d=14,select='not(between(n,6,59))'`;
    const args = [...lavfi(pause), '-fps_mode', 'vfr', ...sourceCodec];
    const sourceKey = await fixture.upload(await makeSource('pause.mkv', args));
    const result = await fixture.transcode({ titleId, sourceKey, ladder: [{ height: 36, crf: 30, maxrateKbps: 200 }] });
    assert.equal(result.frameCount, 70);
    assert.deepEqual(result.warnings, ['the picture of 1.0 s is held for 11.0 s: the source has none until then']);
  });
});
