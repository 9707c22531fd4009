import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ffmpeg, ffprobe, makeSource, numberedFrames, readFrameNumbers, sourceCodec, upTo } from './sources.ts';
import { createTranscodeFixture, smallLadder } from './transcode-fixture.ts';

const titleId = 'titles/odd';

function testPicture(size: string, seconds: number, rate = 25): string[] {
  return ['-f', 'lavfi', '-i', `testsrc2=s=${size}:r=${rate}:d=${seconds}`];
}

function tone(seconds: number, channels = 'stereo'): string[] {
  return ['-f', 'lavfi', '-i', `sine=f=440:r=48000:d=${seconds},aformat=channel_layouts=${channels}`];
}

/** Loudness of the first channel around a time, as the root mean square of 100 ms. */
async function loudnessAt(playlist: string, seconds: number): Promise<number> {
  const cut = `atrim=start=${seconds}:end=${seconds + 0.1},aformat=sample_fmts=s16:channel_layouts=stereo`;
  const raw = await ffmpeg(['-i', playlist, '-map', '0:a:0', '-af', cut, '-f', 's16le', '-']);
  let sum = 0;
  for (let at = 0; at + 4 <= raw.length; at += 4) sum += raw.readInt16LE(at) ** 2;
  return Math.sqrt(sum / Math.max(1, raw.length / 4));
}

/** Mean difference of neighbouring lines over half a second: pictures of upright stripes have none, unless combed. */
async function combing(input: string): Promise<number> {
  const pixels = await ffmpeg([
    ...['-i', input, '-map', '0:v:0', '-frames:v', '12'],
    ...['-vf', 'trim=start_frame=12,scale=320:288,format=gray', '-f', 'rawvideo', '-'],
  ]);
  let sum = 0;
  for (let at = 320; at < pixels.length; at++) {
    if (at % (320 * 288) >= 320) sum += Math.abs((pixels[at] ?? 0) - (pixels[at - 320] ?? 0));
  }
  return sum / pixels.length;
}

describe('transcode of odd sources', () => {
  it('makes a video-only title of a source without audio', async () => {
    await using fixture = await createTranscodeFixture();
    const sourceKey = await fixture.upload(
      await makeSource('silent.mp4', [...testPicture('256x144', 1), ...sourceCodec]),
    );
    const result = await fixture.transcode({ titleId, sourceKey, ladder: smallLadder });
    assert.deepEqual(
      result.files.map((file) => file.id),
      ['video-144p', 'thumbnails', 'hls', 'dash'],
    );
    const streams = await ffprobe([
      '-show_entries',
      'stream=codec_type',
      '-of',
      'csv=p=0',
      join(fixture.objectsDir, result.hlsObjectKey),
    ]);
    assert.ok(!streams.includes('audio'));
    const master = Buffer.from(await fixture.objects.read(result.hlsObjectKey)).toString();
    assert.ok(!master.includes('AUDIO'));
  });

  it('rounds an odd size to an even one of the same shape', async () => {
    await using fixture = await createTranscodeFixture();
    const args = [...testPicture('427x241', 1), '-c:v', 'mpeg4', '-q:v', '3'];
    const sourceKey = await fixture.upload(await makeSource('odd-size.mkv', args));
    const result = await fixture.transcode({ titleId, sourceKey });
    const [rung] = result.files;
    assert.deepEqual([rung?.width, rung?.height], [426, 240]);
  });

  it('bakes a rotation in and measures rungs by the short side', async () => {
    await using fixture = await createTranscodeFixture();
    const flat = await makeSource('flat.mp4', [...testPicture('320x180', 1), ...sourceCodec]);
    const turned = await makeSource('turned.mp4', ['-i', flat, '-c', 'copy', '-metadata:s:v:0', 'rotate=90']);
    const sourceKey = await fixture.upload(turned);
    const result = await fixture.transcode({ titleId, sourceKey, ladder: smallLadder });
    const [rung] = result.files;
    assert.deepEqual([rung?.width, rung?.height], [144, 256]);
    const playlist = join(fixture.objectsDir, `${rung?.objectKey}index.m3u8`);
    const size = await ffprobe([
      '-show_entries',
      'stream=width,height:stream_side_data=rotation',
      '-of',
      'csv=p=0',
      playlist,
    ]);
    assert.equal(size.trim().split('\n')[0], '144,256');
    // The source's first picture turned by hand must be the published one.
    const thumbnail = (input: string, filter: string) =>
      ffmpeg([
        '-noautorotate',
        '-i',
        input,
        '-map',
        '0:v:0',
        '-frames:v',
        '1',
        '-vf',
        `${filter}scale=9:16,format=gray`,
        '-f',
        'rawvideo',
        '-',
      ]);
    const shown = await thumbnail(playlist, '');
    const upright = await thumbnail(flat, 'transpose=cclock,');
    const apart =
      upright.reduce((sum, value, index) => sum + Math.abs(value - (shown[index] ?? 0)), 0) / upright.length;
    assert.ok(apart < 12, `pictures differ by ${apart} of 255 on average`);
  });

  it('keeps the shape of pictures with oblong pixels', async () => {
    await using fixture = await createTranscodeFixture();
    const args = [...testPicture('192x144', 1), '-vf', 'setsar=4/3', ...sourceCodec];
    const sourceKey = await fixture.upload(await makeSource('anamorphic.mp4', args));
    const [rung] = (await fixture.transcode({ titleId, sourceKey, ladder: smallLadder })).files;
    assert.deepEqual([rung?.width, rung?.height], [256, 144]);
  });

  it('keeps late audio late and ends it with the video', async () => {
    await using fixture = await createTranscodeFixture();
    const inputs = [...testPicture('256x144', 4), '-itsoffset', '1.5', ...tone(5)];
    const args = [...inputs, ...sourceCodec, '-c:a', 'aac'];
    const sourceKey = await fixture.upload(await makeSource('late-audio.mkv', args));
    const result = await fixture.transcode({ titleId, sourceKey, ladder: smallLadder });
    const check = result.verification.checks.find((each) => each.name === 'audio_video_length');
    assert.equal(check?.ok, true, check?.detail);
    const playlist = join(fixture.objectsDir, result.hlsObjectKey);
    assert.ok((await loudnessAt(playlist, 1.3)) < 50);
    assert.ok((await loudnessAt(playlist, 1.6)) > 500);
    assert.ok((await loudnessAt(playlist, 3.8)) > 500);
  });

  it('folds 5.1 down to stereo and carries the language to both manifests', async () => {
    await using fixture = await createTranscodeFixture();
    const inputs = [...testPicture('256x144', 2), ...tone(2, '5.1')];
    const args = [...inputs, ...sourceCodec, '-c:a', 'aac', '-metadata:s:a:0', 'language=deu'];
    const sourceKey = await fixture.upload(await makeSource('surround.mp4', args));
    const result = await fixture.transcode({ titleId, sourceKey, ladder: smallLadder });
    const audio = result.files.find((file) => file.kind === 'audio');
    assert.deepEqual([audio?.id, audio?.language], ['audio-de', 'de']);
    const master = Buffer.from(await fixture.objects.read(result.hlsObjectKey)).toString();
    assert.match(master, /LANGUAGE="de".*CHANNELS="2"/);
    const mpd = Buffer.from(await fixture.objects.read(result.dashObjectKey)).toString();
    assert.match(mpd, /lang="de"/);
    assert.ok((await loudnessAt(join(fixture.objectsDir, result.hlsObjectKey), 1)) > 300);
  });

  it('leaves out subtitles that are pictures, warns of them on the verification page too, and makes the title all the same', async () => {
    await using fixture = await createTranscodeFixture();
    // Presentation Graphics as on Blu-ray: an empty composition, and the end of its display set.
    const segment = (type: number, ...body: number[]) =>
      Buffer.from([0x50, 0x47, 0, 1, 0x5f, 0x90, 0, 0, 0, 0, type, 0, body.length, ...body]);
    const composition = segment(0x16, 1, 0, 0, 0x90, 0x10, 0, 1, 0x80, 0, 0, 0);
    const sup = join(fixture.dir, 'empty.sup');
    await writeFile(sup, Buffer.concat([composition, segment(0x80)]));
    // What a file says of its languages is anybody's text.
    const codecs = [...sourceCodec, '-c:s', 'copy', '-metadata:s:s:0', 'language=<i>'];
    const args = [...testPicture('256x144', 1), '-i', sup, '-map', '0:v', '-map', '1:s', ...codecs];
    const sourceKey = await fixture.upload(await makeSource('picture-subtitles.mkv', args));
    const result = await fixture.transcode({ titleId, sourceKey, ladder: smallLadder });
    const warning = 'subtitle stream 1 (hdmv_pgs_subtitle, <i>) left out: it is made of pictures, not of text';
    assert.deepEqual(result.warnings, [warning]);
    assert.ok(!result.files.some((file) => file.kind === 'text'));
    assert.equal(result.verification.ok, true);
    const report = async (name: string) => {
      const key = result.encodeSetKey.replace('encode-set.json', name);
      return Buffer.from(await fixture.objects.read(key)).toString();
    };
    assert.deepEqual(JSON.parse(await report('verification.json')).warnings, [warning]);
    const page = await report('verification.html');
    assert.ok(page.includes(`<h2>Warnings</h2>\n<ul>\n<li>${warning.replace('<i>', '&lt;i&gt;')}</li>`), page);
  });

  it('makes a title of a single frame', async () => {
    await using fixture = await createTranscodeFixture();
    const args = ['-f', 'lavfi', '-i', numberedFrames('25/1', 1), '-frames:v', '1', ...sourceCodec];
    const sourceKey = await fixture.upload(await makeSource('one-frame.mp4', args));
    const result = await fixture.transcode({ titleId, sourceKey, ladder: smallLadder });
    assert.equal(result.frameCount, 1);
    assert.deepEqual(await readFrameNumbers(join(fixture.objectsDir, result.hlsObjectKey)), upTo(1));
  });

  it('maps an HDR picture to SDR and says so in no tag', async () => {
    await using fixture = await createTranscodeFixture();
    const tags = ['-color_primaries', 'bt2020', '-color_trc', 'smpte2084', '-colorspace', 'bt2020nc'];
    const codec = ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', 'log-level=none'];
    const args = [...testPicture('256x144', 1), '-pix_fmt', 'yuv420p10le', ...codec, ...tags];
    const sourceKey = await fixture.upload(await makeSource('hdr10-bare.mkv', args));
    const result = await fixture.transcode({ titleId, sourceKey, ladder: smallLadder });
    const entries = 'stream=pix_fmt,color_transfer,color_primaries';
    const playlist = join(fixture.objectsDir, result.hlsObjectKey);
    const shown = await ffprobe([
      '-select_streams',
      'v:0',
      '-show_entries',
      entries,
      '-of',
      'default=nk=1:nw=1',
      playlist,
    ]);
    assert.deepEqual(shown.trim().split('\n').slice(0, 3), ['yuv420p', 'bt709', 'bt709']);
  });

  /** Stripes that move with every field, woven into 25 frames a second, or carried as they are in interlaced marks. */
  const interlaced = (name: string, woven: boolean) => {
    const weave = woven ? 'tinterlace=interleave_top,' : '';
    const stripes = `color=black:s=320x2:r=${woven ? 50 : 25}:d=2,format=yuv444p,geq=lum='128+100*sin(X/8+N)':cb=128:cr=128`;
    const filters = ['-vf', `${weave}fieldorder=tff,setfield=tff`, '-flags', '+ilme+ildct', '-field_order', 'tt'];
    const input = ['-f', 'lavfi', '-i', `${stripes},scale=320:288:flags=neighbor`];
    return makeSource(name, [...input, ...filters, '-c:v', 'mpeg2video', '-q:v', '3', '-f', 'mpegts']);
  };
  const stripesLadder = [{ height: 288, crf: 18, maxrateKbps: 4000 }];

  /** Mean difference of each frame from the one before it, of one line of pixels. */
  async function motion(playlist: string): Promise<number[]> {
    const line = ['-vf', 'scale=320:1:flags=area,format=gray', '-fps_mode', 'passthrough', '-f', 'rawvideo', '-'];
    const pixels = await ffmpeg(['-i', playlist, '-map', '0:v:0', ...line]);
    return Array.from({ length: pixels.length / 320 - 1 }, (_, frame) => {
      let sum = 0;
      for (let x = 0; x < 320; x++)
        sum += Math.abs((pixels[frame * 320 + x] ?? 0) - (pixels[(frame + 1) * 320 + x] ?? 0));
      return sum / 320;
    });
  }

  it('makes a picture of each field of an interlaced source: twice the rate, no combs, motion in every frame', async () => {
    await using fixture = await createTranscodeFixture();
    const sourceKey = await fixture.upload(await interlaced('interlaced.ts', true));
    const result = await fixture.transcode({ titleId, sourceKey, ladder: stripesLadder });
    assert.deepEqual([result.frameRate, result.frameCount], ['50/1', 100]);
    assert.ok((await combing(join(fixture.objectsDir, sourceKey))) > 10);
    const playlist = join(fixture.objectsDir, result.hlsObjectKey);
    assert.ok((await combing(playlist)) < 2);
    const moved = await motion(playlist);
    assert.equal(moved.length, 99);
    // The first and the last field have no neighbour in time to be rebuilt from.
    assert.ok(Math.min(...moved.slice(1, -1)) > 20, `${moved}`);
  });

  it('leaves a progressive picture in interlaced marks at its rate', async () => {
    await using fixture = await createTranscodeFixture();
    const sourceKey = await fixture.upload(await interlaced('marked-only.ts', false));
    const result = await fixture.transcode({ titleId, sourceKey, ladder: stripesLadder });
    assert.deepEqual([result.frameRate, result.frameCount], ['25/1', 50]);
    assert.ok(Math.min(...(await motion(join(fixture.objectsDir, result.hlsObjectKey)))) > 20);
  });
});
