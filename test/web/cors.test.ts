import assert from 'node:assert/strict';
import { page, pathOf, readAnswer, request, startWeb, type WebBed } from './bed/web-bed.ts';

const stranger = 'https://evil.example';
const binary = { 'content-type': 'application/grpc-web+proto' };

/** Headers of CORS, and what caches are told. */
function corsOf({ headers }: Response): Record<string, string> {
  return Object.fromEntries([...headers].filter(([name]) => name.startsWith('access-control-') || name === 'vary'));
}

describe('CORS of gRPC-web', () => {
  let bed: WebBed;
  let calls = 0;
  const start = (origins: readonly string[]) =>
    startWeb(
      {
        echo: async ({ text }, { call: { responseHeaders } }) => {
          calls++;
          responseHeaders.set('x-request-id', 'r');
          responseHeaders.set('access-control-allow-credentials', 'true');
          return { text };
        },
      },
      { origins },
    );
  before(async () => {
    bed = await start([page, 'http://localhost:5173']);
  });
  after(() => bed[Symbol.asyncDispose]());

  const preflight = (origin: string, headers = 'content-type,x-grpc-web,x-api-key', at = bed) =>
    fetch(`${at.baseUrl}${pathOf('Echo')}`, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': headers },
    });

  it('answers the question of an allowed page, for the headers that it asks for', async () => {
    const response = await preflight(page);
    assert.equal(response.status, 204);
    assert.deepEqual(corsOf(response), {
      'access-control-allow-origin': page,
      'access-control-allow-methods': 'POST',
      'access-control-allow-headers': 'content-type, x-grpc-web, x-api-key',
      'access-control-max-age': '7200',
      vary: 'origin',
    });
    const odd = await preflight(page, 'x-a, x b, <script>, *');
    assert.equal(odd.headers.get('access-control-allow-headers'), 'x-a');
    assert.equal(calls, 0);
  });

  it('lets an allowed page read the answer with its own headers, and never with cookies', async () => {
    const response = await bed.post('Echo', request('a'), { ...binary, origin: 'http://localhost:5173' });
    assert.deepEqual(corsOf(response), {
      'access-control-allow-origin': 'http://localhost:5173',
      'access-control-expose-headers': 'grpc-status, grpc-message, grpc-status-details-bin, x-request-id',
      vary: 'origin',
    });
    assert.deepEqual((await readAnswer(response)).texts, ['a']);
  });

  it('tells an allowed page what was wrong with its request', async () => {
    const response = await bed.post('Echo', 'a', { 'content-type': 'text/plain', origin: page });
    assert.deepEqual([response.status, corsOf(response)['access-control-allow-origin']], [415, page]);
  });

  it('refuses pages of other origins without a word to them, and makes no call', async () => {
    const before = calls;
    for (const origin of [stranger, 'null', `${page}:8443`, `${page}.evil.example`, 'http://app.example', '*']) {
      for (const response of [await preflight(origin), await bed.post('Echo', request('a'), { ...binary, origin })]) {
        assert.deepEqual([response.status, corsOf(response)], [403, { vary: 'origin' }], origin);
        assert.doesNotMatch(await response.text(), /example|localhost/);
      }
    }
    assert.equal(calls, before);
    assert.equal(bed.bridge.counters.snapshot().origins_refused, 12);
  });

  it('answers callers that are no pages, without headers for pages', async () => {
    const response = await bed.post('Echo', request('a'));
    assert.deepEqual(corsOf(response), { vary: 'origin' });
    assert.deepEqual((await readAnswer(response)).texts, ['a']);
  });

  it('is open to all pages where that is asked for, and closed to all where nothing is', async () => {
    await using open = await start(['*']);
    const response = await open.post('Echo', request('a'), { ...binary, origin: stranger });
    assert.deepEqual(
      [response.status, corsOf(response)['access-control-allow-origin'], response.headers.has('vary')],
      [200, '*', false],
    );
    assert.equal((await preflight(stranger, 'x-a', open)).headers.get('access-control-allow-origin'), '*');
    await using closed = await start([]);
    assert.equal((await preflight(page, 'x-a', closed)).status, 403);
  });
});
