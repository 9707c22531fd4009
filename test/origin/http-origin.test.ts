import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { Code } from '../../server/core/codes.ts';
import { createLogger } from '../../server/core/log.ts';
import { type HttpOriginOptions, startHttpOrigin } from '../../server/origin/http-origin.ts';
import type { ObjectStore } from '../../server/stores/objects/object-store.ts';
import { createEmbeddedStores } from '../support/embedded-stores.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { waitUntil } from '../support/wait-until.ts';

const segment = Buffer.from('0123456789');

/** An origin on real stores that hold one segment; `broken` stands in for parts of the object store. */
async function openOrigin(broken: Partial<ObjectStore> = {}, options: Partial<HttpOriginOptions> = {}) {
  const stores = await createEmbeddedStores();
  const { objects } = stores;
  await objects.put('titles/a/v1/seg.m4s', segment, { contentType: 'video/iso.segment' });
  await objects.put('titles/a/v1/large.mp4', Buffer.alloc(32 * 1024 * 1024));
  await objects.put('models/secret.bin', segment);
  const lines: Record<string, unknown>[] = [];
  const log = createLogger({ level: 'warn', write: (line) => lines.push(JSON.parse(line)) });
  const origin = await startHttpOrigin({ address: '127.0.0.1:0', objects: { ...objects, ...broken }, log, ...options });
  return {
    origin,
    objects,
    lines,
    get: (path: string, init: RequestInit = {}) => fetch(`${origin.baseUrl}${path}`, init),
    [Symbol.asyncDispose]: async () => {
      await origin.close();
      await stores[Symbol.asyncDispose]();
    },
  };
}

describe('the HTTP origin', () => {
  it('serves files whole, in part and not again, to players of any site', async () => {
    await using at = await openOrigin();
    const whole = await at.get('/titles/a/v1/seg.m4s?session=1');
    assert.equal(await whole.text(), '0123456789');
    assert.equal(whole.headers.get('content-type'), 'video/iso.segment');
    assert.equal(whole.headers.get('access-control-allow-origin'), '*');
    assert.match(whole.headers.get('cache-control') ?? '', /immutable/);
    const part = await at.get('/titles/a/v1/seg.m4s', { headers: { range: 'bytes=2-4' } });
    assert.deepEqual([part.status, await part.text()], [206, '234']);
    assert.equal(part.headers.get('content-range'), 'bytes 2-4/10');
    const etag = whole.headers.get('etag') ?? '';
    const known = await at.get('/titles/a/v1/seg.m4s', { headers: { 'if-none-match': `"other", W/${etag}` } });
    assert.deepEqual([known.status, await known.text()], [304, '']);
    const head = await at.get('/titles/a/v1/seg.m4s', { method: 'HEAD' });
    assert.deepEqual([head.status, head.headers.get('content-length'), await head.text()], [200, '10', '']);
  });

  it('lets players of any site ask for parts of files, and read what they got', async () => {
    await using at = await openOrigin();
    const preflight = await at.get('/titles/a/v1/seg.m4s', {
      method: 'OPTIONS',
      headers: { origin: 'https://player.example', 'access-control-request-headers': 'range' },
    });
    assert.equal(preflight.status, 204);
    const allowed = (name: string) => preflight.headers.get(`access-control-allow-${name}`);
    assert.deepEqual([allowed('origin'), allowed('methods')], ['*', 'GET, HEAD']);
    assert.match(allowed('headers') ?? '', /\brange\b/);
    const part = await at.get('/titles/a/v1/seg.m4s', { headers: { range: 'bytes=2-4' } });
    assert.match(part.headers.get('access-control-expose-headers') ?? '', /content-range/);
    await part.arrayBuffer();
  });

  it('refuses what is no public file, no part of it, or no reading', async () => {
    await using at = await openOrigin();
    for (const path of [
      '/',
      '/titles/a/v1/none',
      '/models/secret.bin',
      '/titles/..%2Fmodels/secret.bin',
      '/titles/%zz',
    ]) {
      assert.equal((await at.get(path)).status, 404, path);
    }
    const beyond = await at.get('/titles/a/v1/seg.m4s', { headers: { range: 'bytes=10-' } });
    assert.deepEqual([beyond.status, beyond.headers.get('content-range')], [416, 'bytes */10']);
    assert.equal(beyond.headers.get('cache-control'), null);
    const written = await at.get('/titles/a/v1/seg.m4s', { method: 'PUT', body: 'x' });
    assert.deepEqual([written.status, written.headers.get('allow')], [405, 'GET, HEAD']);
  });

  it('answers 500, not to be kept, and logs it where a file cannot be opened', async () => {
    await using at = await openOrigin({ open: () => Promise.reject(new Error('EIO: the disk is gone')) });
    const answer = await at.get('/titles/a/v1/seg.m4s');
    assert.equal(answer.status, 500);
    assert.equal(answer.headers.get('cache-control'), null);
    assert.deepEqual(
      at.lines.map(({ message }) => message),
      ['origin request failed'],
    );
  });

  it('cuts a file short that breaks or ends in its midst, and logs it', async () => {
    const info = { key: 'k', bytes: 10, sha256: '', contentType: '', modifiedMs: 0 };
    async function* breaks() {
      yield segment.subarray(0, 4);
      throw new Error('EIO: the disk is gone');
    }
    async function* ends() {
      yield segment.subarray(0, 4);
    }
    for (const body of [breaks, ends]) {
      await using at = await openOrigin({ open: async () => ({ info, body: body() }) });
      await assert.rejects(async () => (await at.get('/titles/a/v1/seg.m4s')).text());
      await waitUntil('it is logged', () => at.lines.length > 0);
      assert.deepEqual(
        at.lines.map(({ message }) => message),
        ['origin request failed'],
      );
    }
  });

  it('lets a player go in the midst of a file without a word', async () => {
    await using at = await openOrigin();
    const leaving = new AbortController();
    const answer = await at.get('/titles/a/v1/large.mp4', { signal: leaving.signal });
    leaving.abort();
    await assert.rejects(answer.arrayBuffer());
    assert.equal((await at.get('/titles/a/v1/seg.m4s')).status, 200);
    assert.deepEqual(at.lines, []);
  });

  it('ends a connection over which nothing moves any more', async () => {
    await using at = await openOrigin({}, { idleTimeoutMs: 1_500, maxConnections: 1 });
    const socket = connect(Number(new URL(at.origin.baseUrl).port), '127.0.0.1');
    socket.write('GET /titles/a/v1/large.mp4 HTTP/1.1\r\nhost: x\r\n\r\n');
    // Looked at, never read: the file soon fills the buffers of both sides.
    await once(socket, 'readable');
    const isServed = () =>
      at.get('/titles/a/v1/seg.m4s').then(
        (answer) => answer.ok,
        () => false,
      );
    assert.equal(await isServed(), false, 'the connection is still held');
    assert.ok(at.origin.counters.snapshot().connections_refused >= 1);
    await waitUntil('its place is free', isServed, 10_000);
    socket.destroy();
    assert.deepEqual(at.lines, []);
  });

  it('tells a port that is taken from an address that is none of this machine', async () => {
    await using at = await openOrigin();
    const { host } = new URL(at.origin.baseUrl);
    const start = (address: string) =>
      startHttpOrigin({ address, objects: at.objects, log: createLogger({ level: 'error' }) });
    const taken = await rejectsWith(start(host), Code.FAILED_PRECONDITION, 'ADDRESS_IN_USE');
    assert.match(taken.message, /SHOWRUNNER_ORIGIN_ADDRESS/);
    await rejectsWith(start('203.0.113.1:0'), Code.FAILED_PRECONDITION, 'ADDRESS_UNUSABLE');
  });
});
