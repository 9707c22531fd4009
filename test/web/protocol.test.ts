import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { Code } from '../../server/core/codes.ts';
import { frame, parseAnswer, pathOf, readAnswer, request, startWeb, type WebBed } from './bed/web-bed.ts';

const binary = { 'content-type': 'application/grpc-web+proto' };
const text = { 'content-type': 'application/grpc-web-text' };

describe('gRPC-web by hand', () => {
  let bed: WebBed;
  let seen: Record<string, string>;
  before(async () => {
    bed = await startWeb({
      echo: async (message, { call: { requestMetadata: metadata } }) => {
        seen = Object.fromEntries(metadata.keys().map((key) => [key, metadata.getAll(key).join('|')]));
        return { text: message.text };
      },
    });
  });
  after(() => bed[Symbol.asyncDispose]());

  /** Code, reason-bearing text and messages of a refused body. */
  async function refusal(body: Uint8Array | string, headers: Record<string, string> = binary, method = 'Echo') {
    const response = await bed.post(method, body, headers);
    assert.equal(response.status, 200);
    const { texts, trailers } = parseAnswer(decoded(response, Buffer.from(await response.arrayBuffer())));
    const details = Buffer.from(trailers['grpc-status-details-bin'] ?? '', 'base64').toString('latin1');
    const [reason] = /[A-Z]+_[A-Z_]+/.exec(details) ?? [];
    return { texts, code: Number(trailers['grpc-status']), reason };
  }

  function decoded(response: Response, body: Buffer): Buffer {
    if (response.headers.get('content-type') !== 'application/grpc-web-text+proto') return body;
    const pieces = body.toString('latin1').match(/[^=]+=*/g) ?? [];
    return Buffer.concat(pieces.map((piece) => Buffer.from(piece, 'base64')));
  }

  it('answers with messages and a last frame of lower-case lines', async () => {
    const response = await bed.post('Repeat', request('r', 3));
    assert.equal(response.headers.get('content-type'), 'application/grpc-web+proto');
    assert.deepEqual(await readAnswer(response), { texts: ['r', 'r', 'r'], trailers: { 'grpc-status': '0' } });
  });

  it('speaks base64 where it is spoken to so, or asked for it', async () => {
    const inOne = request('text mode').toString('base64');
    const inPieces = `${request('text mode').subarray(0, 4).toString('base64')}${request('text mode').subarray(4).toString('base64')}`;
    assert.match(inPieces, /=\w/);
    const cases: [string | Uint8Array, Record<string, string>][] = [
      [inOne, text],
      [inPieces, { 'content-type': 'application/grpc-web-text+proto', accept: 'application/grpc-web-text' }],
      [request('text mode'), { ...binary, accept: 'application/grpc-web-text' }],
      [inOne, { ...text, accept: 'application/grpc-web+proto' }],
    ];
    for (const [body, headers] of cases) {
      const response = await bed.post('Echo', body, headers);
      const isBinary = headers['accept'] === 'application/grpc-web+proto';
      assert.equal(response.headers.get('content-type'), `application/grpc-web${isBinary ? '' : '-text'}+proto`);
      const answer = parseAnswer(decoded(response, Buffer.from(await response.arrayBuffer())));
      assert.deepEqual(answer, { texts: ['text mode'], trailers: { 'grpc-status': '0' } });
    }
  });

  it('takes a body in any parts, and several messages for a client stream', async () => {
    const body = Buffer.concat([request('a'), request(''), request('b'.repeat(3_000))]);
    for (const step of [1, 3, 1_000]) {
      const parts = Array.from({ length: Math.ceil(body.length / step) }, (_, n) =>
        body.subarray(n * step, n * step + step),
      );
      const answer = await sendParts(parts);
      assert.deepEqual(answer.texts, [`a,,${'b'.repeat(3_000)}`]);
    }
  });

  /** Sends the parts as HTTP chunks of a client stream. */
  async function sendParts(parts: readonly Buffer[]) {
    const call = httpRequest(`${bed.baseUrl}${pathOf('Join')}`, { method: 'POST', headers: binary });
    call.setNoDelay();
    for (const part of parts) call.write(part);
    call.end();
    const [response] = (await once(call, 'response')) as [IncomingMessage];
    return parseAnswer(Buffer.concat(await response.toArray()));
  }

  it('refuses a second message for a method that takes one', async () => {
    const two = Buffer.concat([request('a'), request('b')]);
    assert.equal((await refusal(two)).code, Code.UNIMPLEMENTED);
    assert.equal((await refusal(two, binary, 'Repeat')).code, Code.UNIMPLEMENTED);
  });

  it('refuses bodies that are no frames of whole, uncompressed messages', async () => {
    const whole = request('a');
    const cases: [Uint8Array | string, Record<string, string>, Code, string][] = [
      [whole.subarray(0, 3), binary, Code.INVALID_ARGUMENT, 'FRAME_TRUNCATED'],
      [whole.subarray(0, -1), binary, Code.INVALID_ARGUMENT, 'FRAME_TRUNCATED'],
      [Buffer.concat([whole, whole.subarray(0, 4)]), binary, Code.INVALID_ARGUMENT, 'FRAME_TRUNCATED'],
      [frame(Buffer.from('a'), 0x80), binary, Code.INVALID_ARGUMENT, 'FRAME_MALFORMED'],
      [frame(Buffer.from('a'), 0x02), binary, Code.INVALID_ARGUMENT, 'FRAME_MALFORMED'],
      [frame(Buffer.from('a'), 0x01), binary, Code.UNIMPLEMENTED, 'MESSAGE_COMPRESSED'],
      [frame(Buffer.from([0xff])), binary, Code.INVALID_ARGUMENT, 'REQUEST_MALFORMED'],
      [frame(new Uint8Array(65_537)), binary, Code.RESOURCE_EXHAUSTED, 'REQUEST_TOO_LARGE'],
      [whole, text, Code.INVALID_ARGUMENT, 'TEXT_MALFORMED'],
      ['AAAAAAA', text, Code.INVALID_ARGUMENT, 'TEXT_MALFORMED'],
      ['AAA=====', text, Code.INVALID_ARGUMENT, 'TEXT_MALFORMED'],
      ['AA=AAAA=', text, Code.INVALID_ARGUMENT, 'TEXT_MALFORMED'],
      ['AAAA', text, Code.INVALID_ARGUMENT, 'FRAME_TRUNCATED'],
    ];
    for (const [body, headers, code, reason] of cases) {
      assert.deepEqual(await refusal(body, headers), { texts: [], code, reason }, `${reason} ${String(body)}`);
    }
    assert.equal(bed.bridge.inFlight(), 0);
  });

  it('refuses a body of many messages beyond its limit, and uses the connection on', async () => {
    await using small = await startWeb({}, { maxBodyBytes: 100_000 });
    const many = Buffer.concat(Array.from({ length: 4 }, () => frame(new Uint8Array(50_000))));
    const answer = await readAnswer(await small.post('Join', many));
    assert.equal(answer.trailers['grpc-status'], String(Code.RESOURCE_EXHAUSTED));
    assert.deepEqual((await readAnswer(await small.post('Echo', request('next')))).texts, ['next']);
  });

  it('refuses headers that gRPC cannot carry, and metadata beyond the limit', async () => {
    const cases: [Record<string, string>, Code, string][] = [
      [{ 'grpc-timeout': '1' }, Code.INVALID_ARGUMENT, 'HEADER_MALFORMED'],
      [{ 'grpc-timeout': '123456789S' }, Code.INVALID_ARGUMENT, 'HEADER_MALFORMED'],
      [{ 'grpc-timeout': '0m' }, Code.DEADLINE_EXCEEDED, 'DEADLINE_EXCEEDED'],
      [{ 'x-a-bin': 'no base64!' }, Code.INVALID_ARGUMENT, 'HEADER_MALFORMED'],
      [{ 'x-a': 'grüße' }, Code.INVALID_ARGUMENT, 'HEADER_MALFORMED'],
      [{ 'x~a': 'a' }, Code.INVALID_ARGUMENT, 'HEADER_MALFORMED'],
      [{ 'x-a': 'a'.repeat(9_000) }, Code.RESOURCE_EXHAUSTED, 'METADATA_TOO_LARGE'],
    ];
    for (const [headers, code, reason] of cases) {
      assert.deepEqual(await refusal(request('a'), { ...binary, ...headers }), { texts: [], code, reason });
    }
    const huge = await bed.post('Echo', request('a'), { ...binary, 'x-a': 'a'.repeat(20_000) });
    assert.equal(huge.status, 431);
    const long = await bed.post('Echo', request('far'), { ...binary, 'grpc-timeout': '99999999H' });
    assert.deepEqual((await readAnswer(long)).texts, ['far']);
  });

  it('passes on what is the metadata of the call, with the address that it saw itself', async () => {
    const own = { 'x-api-key': 'k', authorization: 'Bearer t', traceparent: '00-1', 'x-request-id': 'r' };
    const others = {
      cookie: 'session=1',
      origin: 'https://app.example',
      referer: 'https://app.example/secret',
      'x-forwarded-for': '10.0.0.1',
      'x-forwarded-host': 'admin',
      forwarded: 'for=10.0.0.1',
      'x-real-ip': '10.0.0.1',
      'x-grpc-web': '1',
      'x-user-agent': 'grpc-web-javascript/0.1',
      'sec-fetch-mode': 'cors',
      'grpc-encoding': 'gzip',
      te: 'gzip',
      connection: 'x-hop',
      'x-hop': '1',
    };
    const call = httpRequest(`${bed.baseUrl}${pathOf('Echo')}`, {
      method: 'POST',
      headers: { ...binary, ...own, ...others },
    });
    call.end(request('a'));
    const [response] = (await once(call, 'response')) as [IncomingMessage];
    assert.deepEqual(parseAnswer(Buffer.concat(await response.toArray())).texts, ['a']);
    const { 'user-agent': _agent, ...rest } = seen;
    assert.deepEqual(rest, { ...own, 'x-forwarded-for': '127.0.0.1' });
  });

  it('says of an unknown method what gRPC says', async () => {
    assert.deepEqual(await refusal(request('a'), binary, 'Nothing'), {
      ...{ texts: [], code: Code.UNIMPLEMENTED, reason: 'METHOD_UNKNOWN' },
    });
  });

  it('refuses what is no call before it is one', async () => {
    const url = `${bed.baseUrl}${pathOf('Echo')}`;
    const status = async (init: RequestInit, to = url) => (await fetch(to, init)).status;
    for (const type of ['application/grpc', 'application/grpc-web+json', 'application/json', 'text/plain']) {
      assert.equal(await status({ method: 'POST', body: 'a', headers: { 'content-type': type } }), 415, type);
    }
    assert.equal(await status({ method: 'POST' }), 415);
    assert.equal(await status({ method: 'POST', body: 'a', headers: { ...binary, 'content-encoding': 'gzip' } }), 415);
    const get = await fetch(url);
    assert.deepEqual([get.status, get.headers.get('allow')], [405, 'POST, OPTIONS']);
    for (const path of ['/', '/Echo', '/a/b/c', '/a/%2e%2e', '/a.B/C?x=1']) {
      assert.equal(await status({ method: 'POST', body: request('a'), headers: binary }, `${bed.baseUrl}${path}`), 404);
    }
  });
});
