import assert from 'node:assert/strict';
import { join } from 'node:path';
import { jpegSize } from '../../workers/transcode/images/jpeg-size.ts';
import type { TranscodeResult } from '../../workers/transcode/publish/encode-set.ts';
import { ffmpeg, ffprobe } from './sources.ts';
import { clipPath, createTranscodeFixture, type TranscodeFixture } from './transcode-fixture.ts';

/** What is used of hls.js; its own types need a browser's. */
interface HlsModule {
  readonly M3U8Parser: {
    parseMasterPlaylist(
      text: string,
      url: string,
    ): {
      readonly playlistParsingError: Error | null;
      readonly levels: readonly {
        readonly url: string;
        readonly bitrate: number;
        readonly videoCodec?: string;
        readonly audioCodec?: string;
        readonly attrs: Readonly<Record<string, string>>;
      }[];
    };
    parseMasterPlaylistMedia(text: string, url: string, parsed: unknown): Record<string, readonly { url: string }[]>;
    parseLevelPlaylist(
      text: string,
      url: string,
      id: number,
      type: string,
      level: number,
      variables: null,
    ): {
      readonly playlistParsingError: Error | null;
      readonly live: boolean;
      readonly targetduration: number;
      readonly totalduration: number;
      readonly fragments: readonly { url: string; start: number; duration: number; byteRange: readonly number[] }[];
    };
  };
}

interface MpdSegment {
  readonly resolvedUri: string;
  readonly duration: number;
}

interface MpdPlaylist {
  readonly attributes: {
    readonly CODECS?: string;
    readonly BANDWIDTH: number;
    readonly RESOLUTION?: { width: number };
  };
  readonly segments: readonly MpdSegment[];
}

/** What is used of mpd-parser, which has no types. */
interface MpdModule {
  parse(
    text: string,
    options: { manifestUri: string },
  ): {
    readonly duration: number;
    readonly playlists: readonly MpdPlaylist[];
    readonly mediaGroups: {
      readonly AUDIO: {
        audio: Record<string, { default: boolean; language: string; playlists: readonly MpdPlaylist[] }>;
      };
    };
  };
}

/** What is used of mp4box; its own types need a browser's. */
interface Mp4Module {
  createFile(): {
    onError: (module: string, message: string) => void;
    onReady: (info: { tracks: readonly { codec: string; timescale: number; nb_samples: number }[] }) => void;
    appendBuffer(buffer: ArrayBuffer): void;
    flush(): void;
    getTrackSamplesInfo(id: number): readonly { dts: number; duration: number; is_sync: boolean; size: number }[];
    moov: { traks: readonly { tkhd: { track_id: number } }[] };
  };
}

// By a name that the type checker does not follow.
const load = (name: string): Promise<unknown> => import(name);

const base = 'http://origin.test/';

describe('other readers of a published title', () => {
  let fixture: TranscodeFixture;
  let result: TranscodeResult;
  let folder: string;
  let hls: HlsModule['M3U8Parser'];
  const bytesOf = async (path: string) => Buffer.from(await fixture.objects.read(`${folder}/${path}`));
  const textOf = async (path: string) => (await bytesOf(path)).toString();
  before(async () => {
    hls = ((await load('hls.js')) as HlsModule).M3U8Parser;
    fixture = await createTranscodeFixture();
    const sourceKey = await fixture.upload(clipPath);
    const ladder = [
      { height: 270, crf: 26, maxrateKbps: 500 },
      { height: 144, crf: 26, maxrateKbps: 300 },
    ];
    result = await fixture.transcode({ titleId: 'titles/oracles', sourceKey, ladder });
    folder = result.encodeSetKey.slice(0, result.encodeSetKey.lastIndexOf('/'));
  });
  after(() => fixture[Symbol.asyncDispose]());

  it("are hls.js's parser: variants, groups and rates as the files have them", async () => {
    const master = await textOf('master.m3u8');
    const parsed = hls.parseMasterPlaylist(master, `${base}master.m3u8`);
    assert.equal(parsed.playlistParsingError, null);
    const video = result.files.filter(({ kind }) => kind === 'video');
    const audio = result.files.filter(({ kind }) => kind === 'audio');
    const expected = audio.flatMap((sound) =>
      video.map(({ id, codec, peakBps }) => [
        `${base}video/${id.slice('video-'.length)}/index.m3u8`,
        codec,
        sound.codec,
        peakBps + sound.peakBps,
      ]),
    );
    const levels = parsed.levels.map(({ url, videoCodec, audioCodec, bitrate, attrs }) => [
      ...[url, videoCodec, audioCodec],
      Number(attrs['BANDWIDTH'] ?? bitrate),
    ]);
    assert.deepEqual(levels, expected);
    const media = hls.parseMasterPlaylistMedia(master, `${base}master.m3u8`, parsed);
    assert.deepEqual(
      media['AUDIO']?.map(({ url }) => url),
      audio.map(({ id }) => `${base}audio/${id.slice('audio-'.length)}/index.m3u8`),
    );
  });

  it("are hls.js's parser: segments of every playlist, their lengths and the whole", async () => {
    for (const file of result.files.filter(({ kind }) => kind === 'video' || kind === 'audio')) {
      const path = file.objectKey.slice(folder.length + 1);
      const text = await textOf(`${path}index.m3u8`);
      const level = hls.parseLevelPlaylist(text, `${base}${path}index.m3u8`, 0, 'main', 0, null);
      assert.equal(level.playlistParsingError, null);
      assert.deepEqual([level.live, level.fragments.length], [false, file.segmentCount]);
      assert.ok(Math.abs(level.totalduration - 5.28) < 1024 / 48_000, `${file.id}: ${level.totalduration}`);
      assert.ok(level.fragments.every(({ duration }) => Math.round(duration) <= level.targetduration));
      for (const { url } of level.fragments) assert.ok((await bytesOf(url.slice(base.length))).length > 0);
    }
  });

  it('are players that wind: each range of an I-frame playlist decodes alone to one picture', async () => {
    const path = 'video/144p/iframes.m3u8';
    const list = hls.parseLevelPlaylist(await textOf(path), `${base}${path}`, 0, 'main', 0, null);
    assert.equal(list.fragments.length, 3);
    for (const { url, byteRange } of list.fragments) {
      const [start = 0, end = 0] = byteRange;
      const part = (await bytesOf(url.slice(base.length))).subarray(start, end);
      assert.equal(part.toString('latin1', 4, 8), 'moof');
      const key = `pictures/${start}-${url.slice(base.length).replaceAll('/', '-')}.mp4`;
      await fixture.objects.put(key, Buffer.concat([await bytesOf('video/144p/init.mp4'), part]));
      const picture = ['-frames:v', '1', '-f', 'rawvideo', '-pix_fmt', 'gray', '-'];
      const pixels = await ffmpeg(['-v', 'fatal', '-i', join(fixture.objectsDir, key), ...picture]);
      assert.equal(pixels.length, 256 * 144);
    }
    const master = await textOf('master.m3u8');
    const lines = master.split('\n').filter((line) => line.startsWith('#EXT-X-I-FRAME-STREAM-INF'));
    assert.equal(lines.length, 2);
    assert.ok(lines.some((line) => line.includes(`URI="${path}"`) && line.includes('RESOLUTION=256x144')));
  });

  it('are the parser of mpd-parser: the same segments over the same time as HLS', async () => {
    const { parse } = (await load('mpd-parser')) as MpdModule;
    const mpd = parse(await textOf('manifest.mpd'), { manifestUri: `${base}manifest.mpd` });
    assert.equal(mpd.duration, 5.28);
    const seconds = ({ segments }: MpdPlaylist) => segments.reduce((sum, { duration }) => sum + duration, 0);
    const shapes = mpd.playlists.map((list) => [
      list.attributes.CODECS,
      list.attributes.BANDWIDTH,
      list.segments.length,
    ]);
    const video = result.files.filter(({ kind }) => kind === 'video');
    assert.deepEqual(
      shapes,
      video.map(({ codec, peakBps, segmentCount }) => [codec, peakBps, segmentCount]),
    );
    const sounds = Object.values(mpd.mediaGroups.AUDIO.audio).flatMap(({ playlists }) => playlists);
    for (const list of [...mpd.playlists, ...sounds]) {
      assert.ok(Math.abs(seconds(list) - 5.28) < 1024 / 48_000);
      const { segments } = list;
      for (const { resolvedUri } of segments) assert.ok((await bytesOf(resolvedUri.slice(base.length))).length > 0);
    }
  });

  it('are the box parser of mp4box: every sample in place, keyframes first, no tick missing', async () => {
    const { createFile } = (await load('mp4box')) as Mp4Module;
    for (const file of result.files.filter(({ kind }) => kind === 'video' || kind === 'audio')) {
      const path = file.objectKey.slice(folder.length + 1);
      const mp4 = createFile();
      const faults: string[] = [];
      const codecs: string[] = [];
      mp4.onError = (module, message) => faults.push(`${module}: ${message}`);
      mp4.onReady = ({ tracks }) => codecs.push(...tracks.map(({ codec }) => codec));
      const parts = [await bytesOf(`${path}init.mp4`)];
      for (let index = 1; index <= file.segmentCount; index++) {
        parts.push(await bytesOf(`${path}seg-${String(index).padStart(5, '0')}.m4s`));
      }
      const whole = new Uint8Array(Buffer.concat(parts)).buffer;
      mp4.appendBuffer(Object.assign(whole, { fileStart: 0 }));
      mp4.flush();
      assert.deepEqual([faults, codecs], [[], [file.codec]]);
      const samples = mp4.getTrackSamplesInfo(mp4.moov.traks[0]?.tkhd.track_id ?? 0);
      const track = result.verification.tracks.find(({ id }) => id === file.id);
      assert.ok(track);
      assert.equal(samples.length, track.samples);
      let ticks = 0;
      for (const { dts, duration } of samples) {
        assert.equal(dts, ticks);
        ticks += duration;
      }
      assert.equal(ticks, track.durationTicks);
      if (file.kind === 'video') {
        const sync = samples.flatMap(({ is_sync }, index) => (is_sync ? [index] : []));
        assert.deepEqual(sync, [0, 48, 96]);
      }
    }
  });

  it('are web players with previews: each cue names a part of a sheet that is there', async () => {
    const track = await textOf('images/thumbnails.vtt');
    const cues = [...track.matchAll(/^(\S+) --> (\S+)\n(sheet-\d{5}\.jpg)#xywh=(\d+),(\d+),(\d+),(\d+)$/gm)];
    assert.equal(cues.length, 6);
    assert.deepEqual(cues.at(-1)?.slice(1, 4), ['00:00:05.000', '00:00:05.280', 'sheet-00001.jpg']);
    const size = jpegSize(await bytesOf('images/sheet-00001.jpg'));
    assert.deepEqual(size, { width: 5 * 160, height: 5 * 90 });
    const entries = ['-show_entries', 'stream=codec_name,width,height', '-of', 'csv=p=0'];
    const read = await ffprobe([...entries, join(fixture.objectsDir, folder, 'images/sheet-00001.jpg')]);
    assert.equal(read.trim(), 'mjpeg,800,450');
    const mpd = await textOf('manifest.mpd');
    assert.match(mpd, /<AdaptationSet id="\d+" contentType="image" mimeType="image\/jpeg">/);
    assert.match(mpd, /<EssentialProperty schemeIdUri="[^"]*thumbnail_tile" value="5x5"\/>/);
  });

  it('are people: the verification page says every check and runs nothing', async () => {
    const page = await textOf('verification.html');
    for (const { name } of result.verification.checks) assert.ok(page.includes(`<td>${name}</td><td>ok</td>`), name);
    assert.ok(page.includes('<td>video-144p</td><td>132</td>'));
    assert.ok(!/<script|https?:/.test(page));
  });
});
