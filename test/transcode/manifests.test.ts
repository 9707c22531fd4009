import assert from 'node:assert/strict';
import { writeMpd } from '../../workers/transcode/manifest/dash.ts';
import { writeMasterPlaylist, writeMediaPlaylist } from '../../workers/transcode/manifest/hls.ts';
import type { AudioTrack, MediaSegment, VideoTrack } from '../../workers/transcode/manifest/media-track.ts';
import { segmentName } from '../../workers/transcode/manifest/media-track.ts';
import { averageRate, peakRate } from '../../workers/transcode/manifest/peak-rate.ts';
import { declaredRate } from '../../workers/transcode/publish/declared-rate.ts';
import { rational } from '../../workers/transcode/rational.ts';

function segmentsOf(durations: readonly number[], bytes: readonly number[]): MediaSegment[] {
  let startTicks = 0;
  return durations.map((durationTicks, index) => {
    const segment = { name: segmentName(index), startTicks, durationTicks, bytes: bytes[index] ?? 0 };
    startTicks += durationTicks;
    return segment;
  });
}

const videoSegments = segmentsOf([60_060, 60_060, 30_030], [500_000, 250_000, 100_000]);

const video = (id: string, width: number, height: number, peakBps: number): VideoTrack => ({
  folder: `video/${id}`,
  id,
  codec: 'avc1.64001f',
  timescale: 30_000,
  segments: videoSegments,
  peakBps,
  averageBps: peakBps / 2,
  width,
  height,
  frameRate: rational(30_000, 1001),
});

const audio: AudioTrack = {
  folder: 'audio/en',
  id: 'en',
  codec: 'mp4a.40.2',
  timescale: 48_000,
  segments: segmentsOf([96_256, 95_232, 48_128], [32_000, 32_000, 16_000]),
  peakBps: 140_000,
  averageBps: 130_000,
  language: 'en',
  title: '',
  purpose: 'main',
  streamIndex: 1,
  profile: 'aac-stereo',
  channels: 2,
  sampleRateHz: 48_000,
};

const presentation = {
  seconds: rational(150_150, 30_000),
  video: [video('270p', 480, 270, 400_000), video('720p', 1280, 720, 2_000_000)],
  audio: [audio],
  text: [],
};

describe('HLS playlists', () => {
  it('list variants with measured rates, codecs and an audio group', () => {
    assert.equal(
      writeMasterPlaylist(presentation),
      [
        '#EXTM3U',
        '#EXT-X-VERSION:7',
        '#EXT-X-INDEPENDENT-SEGMENTS',
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="en",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="audio/en/index.m3u8"',
        '#EXT-X-STREAM-INF:BANDWIDTH=540000,AVERAGE-BANDWIDTH=330000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=480x270,FRAME-RATE=29.970,VIDEO-RANGE=SDR,AUDIO="audio",CLOSED-CAPTIONS=NONE',
        'video/270p/index.m3u8',
        '#EXT-X-STREAM-INF:BANDWIDTH=2140000,AVERAGE-BANDWIDTH=1130000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=29.970,VIDEO-RANGE=SDR,AUDIO="audio",CLOSED-CAPTIONS=NONE',
        'video/720p/index.m3u8',
        '',
      ].join('\n'),
    );
  });

  it('name no audio where there is none', () => {
    const text = writeMasterPlaylist({ ...presentation, audio: [] });
    assert.ok(!text.includes('AUDIO') && !text.includes('mp4a'));
    assert.match(text, /BANDWIDTH=400000,/);
  });

  it('give every track of a group a name of its own, whatever the source calls them', () => {
    const titles = ['English', 'English', 'English 2', 'Eng"lish', '"'];
    const text = writeMasterPlaylist({
      ...presentation,
      audio: titles.map((title, streamIndex) => ({ ...audio, title, streamIndex })),
    });
    const names = [...text.matchAll(/NAME="([^"]*)"/g)].map(([, name]) => name);
    assert.deepEqual(names, ['English', 'English 2', 'English 2 2', 'English 3', 'en']);
  });

  it('select the default by itself, also where it is a commentary', () => {
    const comments = ['a', 'b'].map((title, streamIndex) => {
      return { ...audio, title, streamIndex, purpose: 'commentary' as const };
    });
    const text = writeMasterPlaylist({ ...presentation, audio: comments });
    const marks = [...text.matchAll(/DEFAULT=(\w+),AUTOSELECT=(\w+)/g)].map(([, ...found]) => found.join());
    assert.deepEqual(marks, ['YES,YES', 'NO,NO']);
  });

  it('list segments with their map, none longer than the target when rounded', () => {
    assert.equal(
      writeMediaPlaylist({ timescale: 30_000, segments: videoSegments }),
      [
        '#EXTM3U',
        '#EXT-X-VERSION:7',
        '#EXT-X-TARGETDURATION:2',
        '#EXT-X-MEDIA-SEQUENCE:1',
        '#EXT-X-PLAYLIST-TYPE:VOD',
        '#EXT-X-INDEPENDENT-SEGMENTS',
        '#EXT-X-MAP:URI="init.mp4"',
        '#EXTINF:2.002000,',
        'seg-00001.m4s',
        '#EXTINF:2.002000,',
        'seg-00002.m4s',
        '#EXTINF:1.001000,',
        'seg-00003.m4s',
        '#EXT-X-ENDLIST',
        '',
      ].join('\n'),
    );
  });
});

describe('DASH MPD', () => {
  const mpd = writeMpd(presentation);

  it('is static isoff-live with an exact duration and a buffer of one segment', () => {
    assert.match(mpd, /^<\?xml version="1.0" encoding="UTF-8"\?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"/);
    assert.match(mpd, /profiles="urn:mpeg:dash:profile:isoff-live:2011" type="static"/);
    assert.match(mpd, /mediaPresentationDuration="PT5.005S" minBufferTime="PT2S"/);
  });

  it('has one timeline for all rungs and one for audio, runs of equal segments folded', () => {
    const timelines = [...mpd.matchAll(/<SegmentTimeline>([\s\S]*?)<\/SegmentTimeline>/g)].map((match) =>
      match[1]?.replace(/\s+/g, ' ').trim(),
    );
    assert.deepEqual(timelines, [
      '<S t="0" d="60060" r="1"/> <S t="120120" d="30030"/>',
      '<S t="0" d="96256"/> <S t="96256" d="95232"/> <S t="191488" d="48128"/>',
    ]);
    assert.match(mpd, /media="video\/\$RepresentationID\$\/seg-\$Number%05d\$\.m4s"/);
    assert.match(mpd, /initialization="audio\/\$RepresentationID\$\/init\.mp4"/);
  });

  it('describes every rung with a rational rate, and audio with channels and language', () => {
    const rung = '<Representation id="720p" bandwidth="2000000" codecs="avc1.64001f" width="1280" height="720"';
    assert.ok(mpd.includes(`${rung} frameRate="30000/1001" sar="1:1"/>`));
    assert.match(
      mpd,
      /<AdaptationSet id="1" contentType="video" mimeType="video\/mp4" segmentAlignment="true" startWithSAP="1" par="16:9"/,
    );
    assert.match(mpd, /contentType="audio" mimeType="audio\/mp4" lang="en"/);
    assert.match(mpd, /audio_channel_configuration:2011" value="2"/);
  });

  it('has the parts of a set in the order of the schema: labels before roles', () => {
    const text = { folder: 'text/en', id: 'en', file: 'text/en/subtitles.vtt', language: 'en', title: 'Signs' };
    const tracks = [{ ...text, forced: true, hearingImpaired: false, averageBps: 100 }];
    const titled = writeMpd({ ...presentation, audio: [{ ...audio, title: 'Director' }], text: tracks });
    const order = [...titled.matchAll(/<(Label|Role|SegmentTemplate|Representation|AdaptationSet)\b/g)].map(
      ([, name]) => name,
    );
    assert.deepEqual(order.slice(order.lastIndexOf('AdaptationSet')), [
      'AdaptationSet',
      'Label',
      'Role',
      'Representation',
    ]);
    const sound = order.slice(order.indexOf('AdaptationSet', 1), order.lastIndexOf('AdaptationSet'));
    assert.deepEqual(sound, ['AdaptationSet', 'Label', 'Role', 'SegmentTemplate', 'Representation']);
  });

  it('escapes what XML does not hold', () => {
    const odd = writeMpd({ ...presentation, audio: [{ ...audio, language: '"><x' }] });
    assert.ok(odd.includes('lang="&quot;&gt;&lt;x"'));
  });
});

describe('rates that manifests declare', () => {
  it('are read from their text, the lowest of all, and 0 where one of them is silent', () => {
    const manifests = { master: writeMasterPlaylist(presentation), mpd: writeMpd(presentation) };
    const rung = (id: string, more = manifests) => declaredRate(more, id, `video/${id}/index.m3u8`);
    assert.equal(rung('270p'), 400_000);
    assert.equal(rung('720p'), 2_000_000);
    assert.equal(declaredRate(manifests, 'en'), 140_000);
    assert.equal(rung('270p', { ...manifests, master: manifests.master.replace('=540000', '=54000') }), 54_000);
    assert.equal(rung('270p', { ...manifests, master: '#EXTM3U\n' }), 0);
    assert.equal(rung('270p', { ...manifests, mpd: '<MPD/>' }), 0);
  });
});

describe('measured rates', () => {
  it('take the worst run of 0.5 to 1.5 target durations as the peak', () => {
    // One segment: 500,000 bytes in 2.002 s.
    assert.equal(peakRate(videoSegments, 30_000, 2), Math.ceil((500_000 * 8) / 2.002));
    // A short dense segment counts alone only when it is at least half a target long.
    const short = segmentsOf([2, 2, 2, 0.5], [1000, 1000, 1000, 1000]);
    assert.equal(peakRate(short, 1, 2), Math.ceil((2000 * 8) / 2.5));
  });

  it('fall back to single segments when all are outside that range', () => {
    assert.equal(peakRate(segmentsOf([0.2], [100]), 1, 1), 4000);
  });

  it('average over everything', () => {
    assert.equal(averageRate(videoSegments, 30_000), Math.ceil((850_000 * 8) / 5.005));
  });
});
