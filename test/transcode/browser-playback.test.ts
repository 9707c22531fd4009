import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { delimiter, join } from 'node:path';
import { silentLogger } from '../../server/core/log.ts';
import { type HttpOrigin, startHttpOrigin } from '../../server/origin/http-origin.ts';
import type { TranscodeResult } from '../../workers/transcode/publish/encode-set.ts';
import { clipPath, createTranscodeFixture, type TranscodeFixture } from './transcode-fixture.ts';

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

function findBrowser(): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return folders.flatMap((folder) => names.map((name) => join(folder, name))).find((path) => existsSync(path));
}

interface WebPlayer {
  readonly name: string;
  /** Script that defines the player. */
  readonly file: string;
  /** Which manifest it plays. */
  readonly manifest: 'hlsObjectKey' | 'dashObjectKey';
  /** Sets up `video`; reports to `errors`, calls `play()` once it may start and `tell('fatal')` when it gives up. */
  setUp(manifest: string): string;
}

const players: readonly WebPlayer[] = [
  {
    name: 'hls.js',
    file: 'node_modules/hls.js/dist/hls.js',
    manifest: 'hlsObjectKey',
    // On a busy machine it may give up a load and append a segment a second time, which it reports and gets over.
    setUp: (manifest) => `const hls = new Hls({ startLevel: 0 });
const passing = ['aborted', 'bufferAppendNoProgress'];
hls.on(Hls.Events.ERROR, (_, { details, fatal }) => {
  if (fatal || !passing.includes(details)) errors.push(details);
  if (fatal) tell('fatal');
});
hls.on(Hls.Events.MANIFEST_PARSED, play);
hls.loadSource(${JSON.stringify(manifest)});
hls.attachMedia(video);`,
  },
  {
    name: 'dash.js',
    file: 'node_modules/dashjs/dist/modern/umd/dash.all.min.js',
    manifest: 'dashObjectKey',
    setUp: (manifest) => `const player = dashjs.MediaPlayer().create();
player.updateSettings({ debug: { logLevel: 0 } });
player.on('error', ({ error }) => { errors.push(String(error.message ?? error)); tell('fatal'); });
player.on('canPlay', play);
player.initialize(video, ${JSON.stringify(manifest)}, false);`,
  },
];

/** Plays to the end at four times the speed and tells what came of it. */
const page = (player: WebPlayer, manifest: string) => `<!doctype html><video id="v" muted></video>
<script src="/player.js"></script><script>
const video = document.getElementById('v');
const errors = [];
const tell = (how) => fetch('/outcome', { method: 'POST', body: JSON.stringify({
  how, errors, seconds: video.duration, at: video.currentTime,
  frames: video.getVideoPlaybackQuality().totalVideoFrames,
}) });
const play = () => { video.playbackRate = 4; video.play().catch((e) => tell(String(e))); };
video.addEventListener('ended', () => tell('ended'));
${player.setUp(manifest)}
</script>`;

interface Outcome {
  readonly how: string;
  readonly errors: readonly string[];
  readonly seconds: number;
  readonly at: number;
  readonly frames: number;
}

/** Serves the page; `outcome` is what it tells. */
async function servePage(
  player: WebPlayer,
  manifest: string,
): Promise<{ server: Server; url: string; outcome: Promise<Outcome> }> {
  const { promise: outcome, resolve } = Promise.withResolvers<Outcome>();
  const script = readFileSync(player.file);
  const server = createServer((request, response) => {
    if (request.url === '/outcome') {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        response.end();
        resolve(JSON.parse(Buffer.concat(parts).toString()) as Outcome);
      });
    } else if (request.url === '/player.js') response.setHeader('content-type', 'text/javascript').end(script);
    else response.setHeader('content-type', 'text/html').end(page(player, manifest));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, outcome };
}

function startBrowser(path: string, dir: string, url: string): ChildProcess {
  const flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run'];
  const quiet = ['--disable-background-networking', '--disable-component-update', '--disable-sync', '--mute-audio'];
  const own = [`--user-data-dir=${join(dir, 'browser')}`, '--autoplay-policy=no-user-gesture-required'];
  return spawn(path, [...flags, ...quiet, ...own, url], { stdio: 'ignore', detached: true });
}

describe('a browser', function () {
  this.timeout(60_000);
  const browser = findBrowser();
  let fixture: TranscodeFixture | undefined;
  let result: TranscodeResult;
  let origin: HttpOrigin | undefined;
  before(async () => {
    if (browser === undefined) return;
    fixture = await createTranscodeFixture();
    const sourceKey = await fixture.upload(clipPath);
    const ladder = [{ height: 144, crf: 26, maxrateKbps: 300 }];
    result = await fixture.transcode({ titleId: 'titles/browser', sourceKey, ladder });
    origin = await startHttpOrigin({ address: '127.0.0.1:0', objects: fixture.objects, log: silentLogger });
  });
  after(async () => {
    await origin?.close();
    await fixture?.[Symbol.asyncDispose]();
  });

  for (const player of players) {
    it(`plays a title through ${player.name} from the HTTP origin to its end without an error`, async function () {
      if (browser === undefined || fixture === undefined || origin === undefined) {
        if (this.test) this.test.title += ' (skipped: no Chromium here)';
        this.skip();
      }
      const { server, url, outcome } = await servePage(player, `${origin.baseUrl}/${result[player.manifest]}`);
      const child = startBrowser(browser, join(fixture.dir, player.name), url);
      const gone = once(child, 'exit');
      try {
        const ended = gone.then(() => Promise.reject(new Error('the browser ended before it told anything')));
        const played = await Promise.race([outcome, ended]);
        assert.deepEqual([played.how, played.errors], ['ended', []]);
        assert.ok(Math.abs(played.seconds - 5.28) < 0.05, `${played.seconds} s`);
        assert.ok(Math.abs(played.at - 5.28) < 0.1, `ended at ${played.at} s`);
        assert.ok(played.frames > 120, `${played.frames} frames`);
      } finally {
        if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
        await gone;
        server.closeAllConnections();
        server.close();
      }
    });
  }
});
