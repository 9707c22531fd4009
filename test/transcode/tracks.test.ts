import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Code } from '../../server/core/codes.ts';
import type { LoudnessReport } from '../../workers/transcode/encode/loudness.ts';
import { planAudio } from '../../workers/transcode/plan/plan-audio.ts';
import type { TranscodeResult } from '../../workers/transcode/publish/encode-set.ts';
import { planText } from '../../workers/transcode/text/plan-text.ts';
import { parseSrt } from '../../workers/transcode/text/srt.ts';
import { cleanCueText, parseWebVtt, webVttSegment } from '../../workers/transcode/text/webvtt.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import type { JobRun } from './run-job.ts';
import { ffmpeg, ffprobe, makeSource, numberedFrames, sourceCodec } from './sources.ts';
import { createTranscodeFixture, smallLadder, type TranscodeFixture } from './transcode-fixture.ts';

const english = `1
00:00:00,500 --> 00:00:01,500
{\\an8}Plain words & <b>bold</b> ones

after a blank line

2
00:00:01,800 --> 00:00:02,300
<script>alert(1)</script> across an edge

3
00:00:09,000 --> 00:00:12,000
After the end
`;

const german = `[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:01.00,0:00:03.00,Default,,0,0,0,,{\\i1}Schräge{\\i0} Worte\\N\\Nund mehr
Dialogue: 0,0:00:03.00,0:00:03.50,Default,,0,0,0,,{\\p1}m 0 0 l 10 10 0 10{\\p0}
`;

const french = `WEBVTT

sign
00:01.000 --> 00:02.000 line:0 position:10% align:left
<v Anne>Voix &amp; <i.loud>couleur <c.yellow>jaune</c></i>
`;

/** Four seconds with stereo English, quiet 5.1 German as its default, a commentary, and subtitles in SRT and ASS. */
async function manyTracks(fixture: TranscodeFixture): Promise<string> {
  const [srt, ass, vtt] = ['en.srt', 'de.ass', 'fr.vtt'].map((name) => join(fixture.dir, name));
  assert.ok(srt && ass && vtt);
  await writeFile(srt, english);
  await writeFile(ass, german);
  await writeFile(vtt, french);
  const sine = (hz: number, db: number) => `sine=f=${hz}:r=48000:d=4,volume=${db}dB`;
  const surround = `${sine(300, -30)}[c];[c]pan=5.1|FL=c0|FR=c0|FC=c0|LFE=c0|BL=c0|BR=c0`;
  const inputs = [numberedFrames('25/1', 4), `${sine(440, -6)},pan=stereo|c0=c0|c1=c0`, surround, sine(880, -20)];
  return makeSource('many-tracks.mkv', [
    ...inputs.flatMap((graph) => ['-f', 'lavfi', '-i', graph]),
    ...['-i', srt, '-i', ass, '-i', vtt],
    ...['-map', '0:v', '-map', '1:a', '-map', '2:a', '-map', '3:a', '-map', '4:s', '-map', '5:s', '-map', '6:s'],
    ...[...sourceCodec, '-c:a', 'flac', '-c:s:0', 'srt', '-c:s:1', 'ass', '-c:s:2', 'copy'],
    ...['-metadata:s:a:0', 'language=eng', '-metadata:s:a:1', 'language=ger', '-metadata:s:a:2', 'language=eng'],
    ...['-metadata:s:a:2', 'title=Director', '-metadata:s:s:0', 'language=eng', '-metadata:s:s:1', 'language=ger'],
    ...['-metadata:s:s:2', 'language=fre'],
    ...['-disposition:a:0', '0', '-disposition:a:1', 'default', '-disposition:a:2', 'comment'],
    ...['-disposition:s:0', 'hearing_impaired', '-disposition:s:1', 'forced'],
  ]);
}

describe('audio and text of a title', () => {
  let fixture: TranscodeFixture;
  let run: JobRun;
  let result: TranscodeResult;
  let folder: string;
  const textOf = async (path: string) => Buffer.from(await fixture.objects.read(`${folder}/${path}`)).toString();
  before(async () => {
    fixture = await createTranscodeFixture();
    const sourceKey = await fixture.upload(await manyTracks(fixture));
    run = await fixture.run({ titleId: 'titles/many', sourceKey, ladder: smallLadder, audioCodecs: ['aac', 'opus'] });
    result = run.result as unknown as TranscodeResult;
    folder = result.encodeSetKey.slice(0, result.encodeSetKey.lastIndexOf('/'));
  });
  after(() => fixture[Symbol.asyncDispose]());

  it('is every stream in stereo AAC, surround beside it in 5.1, and Opus where asked for', () => {
    const audio = result.files.filter((file) => file.kind === 'audio');
    assert.deepEqual(
      audio.map(({ id, profile, codec, language }) => [id, profile, codec, language]),
      [
        ['audio-de', 'aac-stereo', 'mp4a.40.2', 'de'],
        ['audio-de-5.1', 'aac-5.1', 'mp4a.40.2', 'de'],
        ['audio-de-opus', 'opus-stereo', 'opus', 'de'],
        ['audio-en', 'aac-stereo', 'mp4a.40.2', 'en'],
        ['audio-en-opus', 'opus-stereo', 'opus', 'en'],
        ['audio-en-2', 'aac-stereo', 'mp4a.40.2', 'en'],
        ['audio-en-2-opus', 'opus-stereo', 'opus', 'en'],
      ],
    );
  });

  it('has the layout, rate and length that it should, by another reader', async () => {
    for (const [id, channels] of [
      ['de', 2],
      ['de-5.1', 6],
      ['en-opus', 2],
    ] as const) {
      const entries = ['-show_entries', 'stream=channels,sample_rate', '-of', 'csv=p=0'];
      const playlist = join(fixture.objectsDir, `${folder}/audio/${id}/index.m3u8`);
      assert.equal((await ffprobe([...entries, playlist])).split('\n')[0], `48000,${channels}`);
      const pcm = await ffmpeg(['-i', playlist, '-f', 's16le', '-ac', '1', '-']);
      // Its HLS demuxer plays the priming too, which the edit list skips: up to two frames more.
      const samples = pcm.length / 2;
      assert.ok(samples > 4 * 48_000 - 1024 && samples < 4 * 48_000 + 2048, `${id}: ${samples} samples`);
    }
  });

  it('goes on without a hole over every edge of a segment', async () => {
    const playlist = join(fixture.objectsDir, `${folder}/audio/en/index.m3u8`);
    const pcm = await ffmpeg(['-i', playlist, '-f', 's16le', '-ac', '1', '-']);
    // Windows of 5 ms: two waves of the tone and more, all as loud as the first.
    const window = 240;
    const levels = Array.from({ length: Math.floor(pcm.length / 2 / window) }, (_, index) => {
      let sum = 0;
      for (let at = 0; at < window; at++) sum += pcm.readInt16LE((index * window + at) * 2) ** 2;
      return Math.sqrt(sum / window);
    });
    const inner = levels.slice(12, Math.floor((3.95 * 48_000) / window));
    const mean = inner.reduce((sum, level) => sum + level, 0) / inner.length;
    assert.ok(mean > 500);
    for (const [index, level] of inner.entries()) {
      assert.ok(level > 0.7 * mean && level < 1.3 * mean, `${level} of ${mean} at ${(index + 12) * 5} ms`);
    }
  });

  it('comes out at -23 LUFS, measured after the encode', () => {
    const reports = run.children.flatMap(({ job, result: child }) => {
      const { loudness } = child as { loudness?: LoudnessReport };
      return job.kind === 'encode-audio' && loudness ? [loudness] : [];
    });
    assert.equal(reports.length, 7);
    for (const report of reports) {
      assert.equal(report.targetLufs, -23);
      assert.equal(report.mode, 'gain');
      assert.ok(Math.abs((report.result.integratedLufs ?? 0) + 23) < 0.5, JSON.stringify(report));
    }
    const check = result.verification.checks.find(({ name }) => name === 'loudness');
    assert.equal(check?.ok, true);
    assert.match(check.detail, /^audio-de: -\d+\.\d LUFS to -2[23]\.\d LUFS \(gain\), target -23/);
  });

  it('is offered in HLS groups by profile, each with every language', async () => {
    const lines = (await textOf('master.m3u8')).split('\n');
    const media = lines.filter((line) => line.startsWith('#EXT-X-MEDIA:TYPE=AUDIO'));
    const short = media.map((line) => {
      const pick = (name: string) => line.match(new RegExp(`${name}="?([^",]*)`))?.[1] ?? '';
      return ['GROUP-ID', 'NAME', 'LANGUAGE', 'DEFAULT', 'AUTOSELECT', 'CHANNELS', 'URI'].map(pick).join(' ');
    });
    assert.deepEqual(short, [
      'audio de de YES YES 2 audio/de/index.m3u8',
      'audio en en NO YES 2 audio/en/index.m3u8',
      'audio Director en NO NO 2 audio/en-2/index.m3u8',
      'aac-5.1 de de YES YES 6 audio/de-5.1/index.m3u8',
      'aac-5.1 en en NO YES 2 audio/en/index.m3u8',
      'aac-5.1 Director en NO NO 2 audio/en-2/index.m3u8',
      'opus-stereo de de YES YES 2 audio/de-opus/index.m3u8',
      'opus-stereo en en NO YES 2 audio/en-opus/index.m3u8',
      'opus-stereo Director en NO NO 2 audio/en-2-opus/index.m3u8',
    ]);
    const variants = lines.filter((line) => line.startsWith('#EXT-X-STREAM-INF'));
    assert.deepEqual(
      variants.map((line) => line.match(/AUDIO="([^"]+)"/)?.[1]),
      ['audio', 'aac-5.1', 'opus-stereo'],
    );
    assert.ok(variants.every((line) => line.includes('SUBTITLES="subtitles"')));
    assert.match(variants[2] ?? '', /CODECS="avc1\.[0-9a-f]{6},opus"/);
  });

  it('is offered in DASH with language and role', async () => {
    const mpd = await textOf('manifest.mpd');
    const sets = [
      ...mpd.matchAll(
        /<AdaptationSet [^>]*contentType="(audio|text)"[^>]*lang="(\w+)"[^>]*>\s*(?:<Label>[^<]*<\/Label>\s*)?<Role [^>]*value="([\w-]+)"/g,
      ),
    ];
    assert.deepEqual(
      sets.map(([, type, lang, role]) => `${type} ${lang} ${role}`),
      [
        ...['audio de main', 'audio de main', 'audio de main', 'audio en alternate', 'audio en alternate'],
        ...['audio en commentary', 'audio en commentary', 'text en caption', 'text de forced-subtitle'],
        'text fr subtitle',
      ],
    );
    assert.ok(mpd.includes('<BaseURL>text/en/subtitles.vtt</BaseURL>'));
  });

  it('has subtitles with their times and marks, cut to the title, and no other markup', async () => {
    assert.equal(
      await textOf('text/en/subtitles.vtt'),
      [
        'WEBVTT\n',
        '00:00:00.500 --> 00:00:01.500 line:0\nPlain words &amp; <b>bold</b> ones\nafter a blank line\n',
        '00:00:01.800 --> 00:00:02.300\nalert(1) across an edge\n',
      ].join('\n'),
    );
    const [, ...cues] = (await textOf('text/de/subtitles.vtt')).split('\n\n');
    assert.deepEqual(cues, ['00:00:01.000 --> 00:00:03.000\n<i>Schräge</i> Worte\nund mehr\n']);
    assert.equal(
      await textOf('text/fr/subtitles.vtt'),
      'WEBVTT\n\n00:00:01.000 --> 00:00:02.000 line:0 position:10% align:left\nVoix &amp; <i>couleur jaune</i>\n',
    );
  });

  it('has subtitles in HLS segments with a clock, which ffmpeg reads back', async () => {
    assert.match(
      await textOf('text/en/index.m3u8'),
      /#EXT-X-TARGETDURATION:4\n[\s\S]*#EXTINF:4\.000000,\nseg-00001\.vtt\n/,
    );
    assert.match(await textOf('text/en/seg-00001.vtt'), /^WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00\.000\n\n/);
    const master = await textOf('master.m3u8');
    const line = master.split('\n').find((each) => each.includes('TYPE=SUBTITLES') && each.includes('LANGUAGE="en"'));
    assert.match(line ?? '', /FORCED=NO,CHARACTERISTICS="public\.accessibility/);
    const read = await ffmpeg(['-i', join(fixture.objectsDir, `${folder}/text/en/subtitles.vtt`), '-f', 'srt', '-']);
    assert.match(read.toString(), /00:00:01,800 --> 00:00:02,300/);
  });
});

describe('loudness of audio whose peaks leave no room for a gain', () => {
  it('is brought up dynamically, in length and under the ceiling of its peaks', async () => {
    await using fixture = await createTranscodeFixture();
    const sound = "aevalsrc='if(lt(mod(t,2),0.001),0.9,0.04)*sin(1000*2*PI*t)':s=48000:d=6";
    const inputs = ['-f', 'lavfi', '-i', numberedFrames('25/1', 6), '-f', 'lavfi', '-i', sound];
    const sourceKey = await fixture.upload(await makeSource('peaks.mkv', [...inputs, ...sourceCodec, '-c:a', 'flac']));
    const run = await fixture.run({ titleId: 'titles/peaks', sourceKey, ladder: smallLadder });
    const audio = run.children.find(({ job }) => job.kind === 'encode-audio')?.result as { loudness: LoudnessReport };
    const { mode, source, result } = audio.loudness;
    assert.equal(mode, 'dynamic');
    assert.ok((result.integratedLufs ?? -99) > (source.integratedLufs ?? 0) + 1, JSON.stringify(audio.loudness));
    assert.ok((result.truePeakDb ?? 0) < 0, JSON.stringify(audio.loudness));
    const { verification } = run.result as unknown as TranscodeResult;
    assert.ok(verification.checks.every(({ ok }) => ok));
  });
});

describe('text of cues', () => {
  it('stands where SRT puts it, by the places of a number pad', () => {
    const places = Array.from({ length: 9 }, (_, index) => {
      return `${index + 1}\n00:00:0${index},000 --> 00:00:0${index},500\n{\\an${index + 1}}{\\fs20}<font size="9">x</font>\n`;
    });
    const cues = parseSrt(places.join('\n'));
    assert.deepEqual(
      cues.map(({ settings, text }) => [settings, text]),
      [
        ...['align:left', '', 'align:right'].map((align) => [align, 'x']),
        ...['line:50% align:left', 'line:50%', 'line:50% align:right'].map((place) => [place, 'x']),
        ...['line:0 align:left', 'line:0', 'line:0 align:right'].map((place) => [place, 'x']),
      ],
    );
  });

  it('keeps known tags and entities, and makes text of all other markup', () => {
    const text = 'a < b & c --> d <i>e</i> &amp; <script>f</script> <v Bob>g\n\n  h  ';
    const clean = 'a &lt; b &amp; c --&gt; d <i>e</i> &amp; &lt;script&gt;f&lt;/script&gt; &lt;v Bob&gt;g\nh';
    assert.equal(cleanCueText(text), clean);
  });

  it('stands in both segments when it crosses their edge, with its full times', () => {
    const cues = parseWebVtt(
      'WEBVTT\n\n1\n00:00:01.000 --> 00:00:03.000 line:0\nacross\n\n00:05.000 --> 00:06.000\nlater\n',
    );
    const head = 'WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n';
    const cue = '\n00:00:01.000 --> 00:00:03.000 line:0\nacross\n';
    assert.equal(webVttSegment(cues, 0, 2000), head + cue);
    assert.equal(webVttSegment(cues, 2000, 4000), head + cue);
    assert.equal(webVttSegment(cues, 3000, 5000), head);
  });
});

describe('what is planned of audio and text', () => {
  const stream = { codec: 'ac3', channels: 6, layout: '5.1', sampleRateHz: 48_000, title: '' };
  const flags = { isDefault: false, isCommentary: false, isDescription: false };

  it('begins with the default stream and never with a commentary', () => {
    const tracks = planAudio(
      [
        { ...stream, ...flags, streamIndex: 1, language: 'eng', isCommentary: true, isDefault: true },
        { ...stream, ...flags, streamIndex: 2, language: '' },
        { ...stream, ...flags, streamIndex: 3, language: 'fra', channels: 1, isDefault: true },
      ],
      { opus: false, loudnessLufs: null },
    );
    assert.deepEqual(
      tracks.map(({ id, purpose }) => `${id} ${purpose}`),
      ['fr main', 'main alternate', 'main-5.1 alternate', 'en commentary', 'en-5.1 commentary'],
    );
  });

  it('leaves out subtitles made of pictures, and says why', () => {
    const more = { title: '', forced: false, hearingImpaired: false };
    const { planned, refused } = planText([
      { ...more, streamIndex: 2, codec: 'hdmv_pgs_subtitle', language: 'eng' },
      { ...more, streamIndex: 3, codec: 'mov_text', language: 'eng' },
      { ...more, streamIndex: 4, codec: 'eia_608', language: '' },
    ]);
    assert.deepEqual(
      [planned.map(({ id }) => id), refused],
      [
        ['en'],
        [
          'subtitle stream 2 (hdmv_pgs_subtitle, eng) left out: it is made of pictures, not of text',
          'subtitle stream 4 (eia_608) left out: its format cannot be read as text',
        ],
      ],
    );
  });

  it('refuses audio settings that there are none of', async () => {
    await using fixture = await createTranscodeFixture();
    const params = { titleId: 'titles/a', sourceKey: 'b', audioCodecs: ['opus'], loudnessLufs: -14 };
    const error = await rejectsWith(fixture.run(params), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    assert.deepEqual(error.fields.map(({ field }) => field).sort(), ['params.audioCodecs', 'params.loudnessLufs']);
  });
});
