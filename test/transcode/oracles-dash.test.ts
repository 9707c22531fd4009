import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createContext, runInContext } from 'node:vm';
import { readSamples } from '../../workers/transcode/mp4/read-fragments.ts';
import type { EncodeSetFile, TranscodeResult } from '../../workers/transcode/publish/encode-set.ts';
import { makeSource, sourceCodec } from './sources.ts';
import { createTranscodeFixture, type TranscodeFixture } from './transcode-fixture.ts';

const run = promisify(execFile);
const packager = 'node_modules/shaka-packager/index.js';
const dashJs = 'node_modules/dashjs/dist/modern/umd/dash.all.min.js';
const base = 'http://origin.test/';
const frames = 120;

/** What is used of dash.js; its own types need a browser's. */
interface DashJs {
  MediaPlayer(): {
    create(): {
      updateSettings(settings: object): void;
      initialize(view: undefined, source: undefined, autoPlay: boolean): void;
      retrieveManifest(url: string, callback: (manifest: object | null, error: unknown) => void): void;
      getDashAdapter(): DashAdapter;
      destroy(): void;
    };
  };
}

interface DashAdapter {
  updatePeriods(manifest: object): void;
  getDuration(manifest: object): number;
  getStreamsInfo(manifest: object): readonly object[];
  getAllMediaInfoForType(stream: object, type: string, manifest: object): readonly DashMedia[];
  getVoRepresentations(media: DashMedia): readonly DashRepresentation[];
}

interface DashMedia {
  readonly codec: string;
  readonly lang: string;
  readonly roles: readonly { readonly value: string }[];
}

interface DashRepresentation {
  readonly id: string;
  readonly codecs: string;
  readonly bandwidth: number;
  readonly width: number;
  readonly height: number;
  readonly frameRate: number;
  readonly timescale: number;
  readonly initialization: string;
  readonly media: string;
  readonly segmentInfoType: string;
}

/** The little of a browser that dash.js looks at before it plays anything; each URL is answered with the text. */
function loadDashJs(code: string, answer: string): DashJs {
  class Request {
    readyState = 0;
    status = 0;
    responseURL = '';
    response = '';
    responseText = '';
    onload?: () => void;
    onloadend?: () => void;
    open(_method: string, url: string) {
      this.responseURL = url;
    }
    send() {
      setImmediate(() => {
        Object.assign(this, { readyState: 4, status: 200, response: answer, responseText: answer });
        this.onload?.();
        this.onloadend?.();
      });
    }
    setRequestHeader() {}
    getAllResponseHeaders = () => '';
    getResponseHeader = () => null;
    abort() {}
  }
  const listens = { addEventListener: () => {}, removeEventListener: () => {} };
  const element = () => ({
    ...listens,
    style: {},
    appendChild: () => {},
    setAttribute: () => {},
    canPlayType: () => '',
  });
  const page = { ...element(), createElement: element, getElementsByTagName: () => [], body: element() };
  const window: Record<string, unknown> = {
    ...{ console, URL, setTimeout, clearTimeout, setInterval, clearInterval, performance, TextDecoder, TextEncoder },
    ...{ ...listens, XMLHttpRequest: Request, document: page, getComputedStyle: () => ({ length: 0 }) },
    ...{ navigator: { userAgent: 'node' }, location: { href: base, protocol: 'http:' } },
    MediaSource: { isTypeSupported: () => true },
  };
  window['window'] = window;
  window['self'] = window;
  runInContext(code, createContext(window), { filename: dashJs });
  return window['dashjs'] as DashJs;
}

/** Tracks as shaka-packager wrote them into an MPD: codec, timescale and lengths of segments in ticks. */
function readShakaMpd(mpd: string) {
  return mpd
    .split('<AdaptationSet ')
    .slice(1)
    .flatMap((set) => {
      const rate = /frameRate="(\d+)\/(\d+)"/.exec(set);
      return set
        .split('<Representation ')
        .slice(1)
        .map((text) => {
          const value = (name: string) => new RegExp(`\\b${name}="([^"]+)"`).exec(text)?.[1] ?? '';
          const lengths = [...text.matchAll(/<S (?:t="\d+" )?d="(\d+)"(?: r="(\d+)")?/g)].flatMap(([, d, r = '0']) =>
            Array<number>(Number(r) + 1).fill(Number(d)),
          );
          const folder = value('initialization').split('/')[0] ?? '';
          return { id: folder, codec: value('codecs'), timescale: Number(value('timescale')), lengths, rate };
        });
    });
}

describe('packagers and DASH players as readers of a published title', () => {
  let fixture: TranscodeFixture;
  let result: TranscodeResult;
  let folder: string;
  let tracks: readonly EncodeSetFile[];
  const bytesOf = async (key: string) => Buffer.from(await fixture.objects.read(key));
  const wholeOf = async ({ objectKey, segmentCount }: EncodeSetFile) => {
    const names = Array.from({ length: segmentCount }, (_, index) => `seg-${String(index + 1).padStart(5, '0')}.m4s`);
    return Buffer.concat(await Promise.all(['init.mp4', ...names].map((name) => bytesOf(`${objectKey}${name}`))));
  };

  before(async () => {
    fixture = await createTranscodeFixture();
    const picture = ['-f', 'lavfi', '-i', 'testsrc2=s=160x90:r=24000/1001:d=5.005'];
    const sound = ['-f', 'lavfi', '-i', 'sine=d=5.005', '-c:a', 'aac', '-metadata:s:a:0', 'language=eng'];
    const source = await makeSource('dash.mp4', [...picture, ...sound.slice(0, 4), ...sourceCodec, ...sound.slice(4)]);
    const sourceKey = await fixture.upload(source);
    const ladder = [{ height: 90, crf: 30, maxrateKbps: 300 }];
    const codecs = ['h264', 'hevc', 'vp9', 'av1'];
    const params = { titleId: 'titles/dash', sourceKey, ladder, codecs, audioCodecs: ['aac', 'opus'] };
    result = await fixture.transcode(params);
    folder = result.encodeSetKey.slice(0, result.encodeSetKey.lastIndexOf('/'));
    tracks = result.files.filter(({ kind }) => kind === 'video' || kind === 'audio');
    assert.equal(tracks.length, 6);
  });
  after(() => fixture[Symbol.asyncDispose]());

  it('shaka-packager: the same codecs, timescales, rates and segments, and every sample as it was', async () => {
    const out = join(fixture.dir, 'shaka');
    await mkdir(out);
    const descriptors: string[] = [];
    for (const track of tracks) {
      const input = join(out, `${track.id}.mp4`);
      await writeFile(input, await wholeOf(track));
      const template = `init_segment=${out}/${track.id}/init.mp4,segment_template=${out}/${track.id}/$Number$.m4s`;
      descriptors.push(`in=${input},stream=${track.kind},${template}`);
    }
    const mpdPath = join(out, 'manifest.mpd');
    const flags = ['--segment_duration', '1.9', '--generate_static_live_mpd', '--mpd_output', mpdPath];
    await run(process.execPath, [packager, ...descriptors, ...flags]);
    const read = new Map(readShakaMpd(await readFile(mpdPath, 'utf8')).map((track) => [track.id, track]));
    assert.equal(read.size, tracks.length);
    for (const track of tracks) {
      const found = read.get(track.id);
      assert.ok(found, track.id);
      const audit = result.verification.tracks.find(({ id }) => id === track.id);
      // VP9 is named in its long form there, which goes on with colour.
      assert.ok(`${found.codec}.`.startsWith(`${track.codec}.`), `${found.codec}, ${track.codec}`);
      const ticks = found.lengths.reduce((sum, length) => sum + length, 0);
      const ours = readSamples(await wholeOf(track));
      assert.equal(ours.length, audit?.samples);
      if (track.kind === 'audio') {
        // The edit list's priming does not count there.
        assert.ok(Math.abs(ticks / found.timescale - 5.005) < 1_024 / 48_000, `${track.id}: ${ticks}`);
      } else {
        assert.deepEqual([ours.length, ticks], [frames, audit?.durationTicks], track.id);
        const [, num, den] = found.rate ?? [];
        assert.equal(Number(num) * 1_001, Number(den) * 24_000, `${track.id}: ${num}/${den}`);
        assert.equal(found.lengths.length, track.segmentCount);
      }
      const names = ['init.mp4', ...found.lengths.map((_, index) => `${index + 1}.m4s`)];
      const parts = await Promise.all(names.map((name) => readFile(join(out, track.id, name))));
      const theirs = readSamples(Buffer.concat(parts));
      assert.equal(theirs.length, ours.length, track.id);
      for (const [index, sample] of theirs.entries()) {
        const own = ours[index];
        assert.ok(own?.data.equals(sample.data), `${track.id}: sample ${index}`);
        assert.deepEqual([sample.durationTicks, sample.sync], [own?.durationTicks, own?.sync], `${track.id}: ${index}`);
      }
    }
  });

  it('the MPD parser of dash.js: the same tracks, rates, sizes and segments', async () => {
    const mpd = (await bytesOf(`${folder}/manifest.mpd`)).toString();
    const player = loadDashJs(await readFile(dashJs, 'utf8'), mpd)
      .MediaPlayer()
      .create();
    player.updateSettings({ debug: { logLevel: 0 } });
    player.initialize(undefined, undefined, false);
    try {
      const manifest = await new Promise<object>((resolve, reject) => {
        player.retrieveManifest(`${base}manifest.mpd`, (parsed, error) => (parsed ? resolve(parsed) : reject(error)));
      });
      const adapter = player.getDashAdapter();
      adapter.updatePeriods(manifest);
      assert.ok(Math.abs(adapter.getDuration(manifest) - 5.005) < 0.03, `${adapter.getDuration(manifest)} s`);
      const streams = adapter.getStreamsInfo(manifest);
      assert.equal(streams.length, 1);
      const readTracks = (type: string) =>
        [...adapter.getAllMediaInfoForType(streams[0] ?? {}, type, manifest)].flatMap((media) =>
          [...adapter.getVoRepresentations(media)].map((found) => ({ media, found })),
        );
      for (const kind of ['video', 'audio']) {
        const own = tracks.filter((track) => track.kind === kind);
        const read = readTracks(kind);
        assert.deepEqual(
          read.map(({ found }) => [found.codecs, found.bandwidth]).sort(),
          own.map(({ codec, peakBps }) => [codec, peakBps]).sort(),
        );
        for (const { media, found } of read) {
          const track = own.find(({ codec }) => codec === found.codecs);
          const path = track?.objectKey.slice(folder.length + 1);
          assert.equal(found.segmentInfoType, 'SegmentTimeline');
          assert.equal(found.initialization, `${path}init.mp4`);
          assert.equal(found.media.replace('$RepresentationID$', found.id), `${path}seg-$Number%05d$.m4s`);
          if (kind === 'video') {
            assert.deepEqual([found.width, found.height], [160, 90]);
            assert.ok(Math.abs(found.frameRate - 24_000 / 1_001) < 0.001, `${found.frameRate}`);
          } else {
            assert.equal(media.lang, 'en');
            assert.deepEqual(
              [...media.roles].map(({ value }) => value),
              ['main'],
            );
          }
        }
      }
      assert.equal(readTracks('image').length, 1);
    } finally {
      player.destroy();
    }
  });
});
