import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { delimiter, join } from 'node:path';
import { silentLogger } from '../../server/core/log.ts';
import { startHttpOrigin } from '../../server/origin/http-origin.ts';
import { clipPath, createTranscodeFixture } from './transcode-fixture.ts';

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

function findBrowser(): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return folders.flatMap((folder) => names.map((name) => join(folder, name))).find((path) => existsSync(path));
}

/** Plays to the end at four times the speed and tells what came of it. */
const page = (master: string) => `<!doctype html><video id="v" muted></video><script src="/hls.js"></script><script>
const video = document.getElementById('v');
const errors = [];
const tell = (how) => fetch('/outcome', { method: 'POST', body: JSON.stringify({
  how, errors, seconds: video.duration, at: video.currentTime, width: video.videoWidth, height: video.videoHeight,
  frames: video.getVideoPlaybackQuality().totalVideoFrames, audioTracks: hls.audioTracks.length, levels: hls.levels.length,
}) });
const hls = new Hls({ startLevel: 0 });
hls.on(Hls.Events.ERROR, (_, { details, fatal }) => { errors.push(details); if (fatal) tell('fatal'); });
hls.on(Hls.Events.MANIFEST_PARSED, () => { video.playbackRate = 4; video.play().catch((e) => tell(String(e))); });
video.addEventListener('ended', () => tell('ended'));
hls.loadSource(${JSON.stringify(master)});
hls.attachMedia(video);
</script>`;

/** What hls.js says where a busy machine cannot decode at four times the speed; it goes on by itself. */
const starved = new Set(['bufferStalledError', 'bufferNudgeOnStall']);

interface Outcome {
  readonly how: string;
  readonly errors: readonly string[];
  readonly seconds: number;
  readonly at: number;
  readonly frames: number;
  readonly levels: number;
}

/** Serves the page; `outcome` is what it tells. */
async function servePage(master: string): Promise<{ server: Server; url: string; outcome: Promise<Outcome> }> {
  const { promise: outcome, resolve } = Promise.withResolvers<Outcome>();
  const script = readFileSync('node_modules/hls.js/dist/hls.js');
  const server = createServer((request, response) => {
    if (request.url === '/outcome') {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        response.end();
        resolve(JSON.parse(Buffer.concat(parts).toString()) as Outcome);
      });
    } else if (request.url === '/hls.js') response.setHeader('content-type', 'text/javascript').end(script);
    else response.setHeader('content-type', 'text/html').end(page(master));
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

describe('a browser', () => {
  it('plays a title through hls.js from the HTTP origin to its end without an error', async function () {
    this.timeout(60_000);
    const browser = findBrowser();
    if (browser === undefined) {
      if (this.test) this.test.title += ' (skipped: no Chromium here)';
      this.skip();
    }
    await using fixture = await createTranscodeFixture();
    const sourceKey = await fixture.upload(clipPath);
    const ladder = [{ height: 144, crf: 26, maxrateKbps: 300 }];
    const result = await fixture.transcode({ titleId: 'titles/browser', sourceKey, ladder });
    const origin = await startHttpOrigin({ address: '127.0.0.1:0', objects: fixture.objects, log: silentLogger });
    const { server, url, outcome } = await servePage(`${origin.baseUrl}/${result.hlsObjectKey}`);
    const child = startBrowser(browser, fixture.dir, url);
    const gone = once(child, 'exit');
    try {
      const ended = gone.then(() => Promise.reject(new Error('the browser ended before it told anything')));
      const played = await Promise.race([outcome, ended]);
      const faults = played.errors.filter((detail) => !starved.has(detail));
      assert.deepEqual([played.how, faults], ['ended', []]);
      assert.ok(Math.abs(played.seconds - 5.28) < 0.05, `${played.seconds} s`);
      assert.ok(Math.abs(played.at - 5.28) < 0.1, `ended at ${played.at} s`);
      assert.ok(played.frames > 120, `${played.frames} frames`);
    } finally {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
      await gone;
      server.closeAllConnections();
      server.close();
      await origin.close();
    }
  });
});
