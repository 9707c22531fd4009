import assert from 'node:assert/strict';
import { join } from 'node:path';
import { colourOf } from '../../workers/transcode/source/colour.ts';
import { ffmpeg, ffprobe, makeSource, sourceCodec } from './sources.ts';
import { createTranscodeFixture } from './transcode-fixture.ts';

const titleId = 'titles/colours';
const untagged = { pixelFormat: 'yuv420p', colorSpace: '', colorPrimaries: '', colorTransfer: '' };
const short = ({ matrix, primaries, transfer }: ReturnType<typeof colourOf>) => `${matrix} ${primaries} ${transfer}`;

describe('colours of a title', () => {
  it('are those that the source says, with what goes with them where it says only some', () => {
    const size = { width: 640, height: 360 };
    const of = (tags: Partial<typeof untagged>) => short(colourOf({ ...untagged, ...tags }, size));
    assert.equal(of({ colorSpace: 'bt709', colorTransfer: 'iec61966-2-1' }), 'bt709 bt709 iec61966-2-1');
    assert.equal(of({ colorSpace: 'bt470bg' }), 'bt470bg bt470bg smpte170m');
    assert.equal(of({ colorPrimaries: 'bt2020' }), 'bt2020nc bt2020 bt2020-10');
    assert.equal(
      of({ colorSpace: 'smpte170m', colorPrimaries: 'smpte432', colorTransfer: 'gamma22' }),
      'smpte170m smpte432 bt470m',
    );
    assert.equal(
      of({ colorSpace: 'unknown', colorPrimaries: 'reserved', colorTransfer: 'of-tomorrow' }),
      'smpte170m smpte170m smpte170m',
    );
  });

  it('are those that players guess at the size of a source that says nothing', () => {
    const at = (width: number, height: number) => short(colourOf(untagged, { width, height }));
    assert.equal(at(1280, 720), 'bt709 bt709 bt709');
    assert.equal(at(608, 1080), 'bt709 bt709 bt709');
    assert.equal(at(720, 576), 'bt470bg bt470bg smpte170m');
    assert.equal(at(640, 360), 'smpte170m smpte170m smpte170m');
  });

  it('are said in every rung, small ones too, and red, green and blue become what is said', async () => {
    await using fixture = await createTranscodeFixture();
    const picture = ['-f', 'lavfi', '-i', 'color=0x30b040:s=1280x96:r=25:d=0.2,format=bgr0'];
    const sourceKey = await fixture.upload(await makeSource('rgb.mkv', [...picture, '-c:v', 'ffv1']));
    const ladder = [96, 48].map((height) => ({ height, crf: 10, maxrateKbps: 800 }));
    const result = await fixture.transcode({ titleId, sourceKey, ladder });
    const [small, large] = result.files.map(({ objectKey }) => join(fixture.objectsDir, objectKey));
    const sheet = join(`${large}`, '../../images/sheet-00001.jpg');
    const entries = ['-show_entries', 'stream=color_range,color_space,color_transfer,color_primaries'];
    const pixel = ['-frames:v', '1', '-vf', 'crop=8:8:2:2,scale=1:1:flags=area,format=rgb24', '-f', 'rawvideo', '-'];
    for (const input of [`${small}index.m3u8`, `${large}index.m3u8`, sheet]) {
      if (input !== sheet) {
        const tags = await ffprobe([...entries, '-of', 'csv=p=0', input]);
        assert.equal(tags.trim().split('\n').at(-1), 'tv,bt709,bt709,bt709');
      }
      const shown = [...(await ffmpeg(['-i', input, ...pixel]))];
      const apart = shown.map((value, index) => Math.abs(value - ([0x30, 0xb0, 0x40][index] ?? 0)));
      assert.ok(Math.max(...apart) <= 6, `${input} shows ${shown}`);
    }
  });

  it('of a source in full range come out in the range that players take for granted', async () => {
    await using fixture = await createTranscodeFixture();
    const picture = ['-f', 'lavfi', '-i', 'color=white:s=128x72:r=25:d=0.2,scale=out_range=full,format=yuvj420p'];
    const args = [...picture, ...sourceCodec, '-color_range', 'pc'];
    const sourceKey = await fixture.upload(await makeSource('full-range.mp4', args));
    const result = await fixture.transcode({ titleId, sourceKey });
    const luma = ['-frames:v', '1', '-vf', 'crop=2:2', '-pix_fmt', 'yuv420p', '-f', 'rawvideo', '-'];
    const [white] = await ffmpeg(['-i', join(fixture.objectsDir, result.hlsObjectKey), '-map', '0:v:0', ...luma]);
    assert.ok(white !== undefined && white >= 233 && white <= 237, `white is ${white}`);
  });
});
