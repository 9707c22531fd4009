import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { startChildScript } from '../support/child-script.ts';
import { createTempDir } from '../support/temp-dir.ts';

const preload = new URL('../../server/core/telemetry/preload.ts', import.meta.url);
const main = new URL('../../server/main.ts', import.meta.url);

/** A collector that keeps what is posted to each path. */
async function startCollector() {
  const posts = new Map<string, string>();
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const path = request.url ?? '';
    posts.set(path, (posts.get(path) ?? '') + Buffer.concat(parts).toString('latin1'));
    response.end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, posts, [Symbol.dispose]: () => void server.close() };
}

/** A command of the command line with its telemetry; nobody listens where it calls. */
function startCall(stateDir: string, endpoint: string) {
  const options = `NODE_OPTIONS=--import=${preload.href}`;
  const settings = [`SHOWRUNNER_STATE_DIR=${stateDir}`, 'SHOWRUNNER_ADDRESS=127.0.0.1:1'];
  const args = ['call', '--timeout', '2000', 'CacheService/Get', '{"namespace":"a","key":"b"}'];
  return startChildScript(main, args, ['env', options, ...settings, `OTEL_EXPORTER_OTLP_ENDPOINT=${endpoint}`]);
}

describe('telemetry export', () => {
  it('sends the last spans and metrics when a process ends', async () => {
    await using dir = await createTempDir();
    using collector = await startCollector();
    await using child = startCall(dir.path, collector.url);
    assert.equal(await child.ended, 1, child.errors());
    assert.match(collector.posts.get('/v1/traces') ?? '', /showrunner\.cache\.v1\.CacheService\/Get/);
  });

  it('does not change how a process ends when the collector cannot be reached', async () => {
    await using dir = await createTempDir();
    await using child = startCall(dir.path, 'http://127.0.0.1:1');
    assert.equal(await child.ended, 1);
    assert.match(child.errors(), /^UNAVAILABLE/m);
  });
});
