import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { Code as ConnectCode, ConnectError } from '@connectrpc/connect';
import type { FilterEngine } from '../../plugins/engine/engine.ts';
import { ErrorInfoSchema } from '../../proto/gen/google/rpc/error_details_pb.ts';
import { systemClock } from '../../server/core/clock.ts';
import { readConfig } from '../../server/core/config/read-config.ts';
import { silentLogger } from '../../server/core/log.ts';
import { startWebBridge } from '../../server/web/web-bridge.ts';
import { startShipped } from '../filters/bed/shipped.ts';
import { hasOpenssl, makeCertificates } from '../rpc/fixtures/certificates.ts';
import { createRecordingPipeline } from '../rpc/fixtures/recording-pipeline.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { parseAnswer, pathOf, readAnswer, request, startWeb } from './bed/web-bed.ts';

const keys = [{ id: 'tv', secret: 'the-key-of-a-tv', scopes: [] }];

describe('calls by gRPC-web', () => {
  let engine: FilterEngine & AsyncDisposable;
  before(async () => {
    engine = await startShipped({ 'showrunner.auth': { keys } }, { clock: systemClock, only: ['showrunner.auth'] });
  });
  after(() => engine[Symbol.asyncDispose]());

  it('are refused without a key, with a wrong one and with two, and never reach the handler', async () => {
    let calls = 0;
    const echo = async () => {
      calls++;
      return { text: 'in' };
    };
    await using bed = await startWeb({ echo }, {}, { pipeline: engine });
    const refused = async (headers: HeadersInit) => {
      const error = await bed.client.echo({}, { headers }).then(() => undefined, ConnectError.from);
      return [error?.code, error?.findDetails(ErrorInfoSchema)[0]?.reason];
    };
    const { Unauthenticated } = ConnectCode;
    assert.deepEqual(await refused({}), [Unauthenticated, 'CREDENTIALS_MISSING']);
    assert.deepEqual(await refused({ 'x-api-key': 'guessed-key' }), [Unauthenticated, 'API_KEY_INVALID']);
    const both = { 'x-api-key': 'the-key-of-a-tv', authorization: 'Bearer the-key-of-a-tv' };
    assert.deepEqual(await refused(both), [Unauthenticated, 'CREDENTIALS_AMBIGUOUS']);
    const twice: [string, string][] = [
      ['authorization', 'Bearer the-key-of-a-tv'],
      ['authorization', 'Bearer guessed-key'],
    ];
    assert.deepEqual(await refused(twice), [Unauthenticated, 'CREDENTIALS_MALFORMED']);
    assert.equal(calls, 0);
    const { text } = await bed.client.echo({}, { headers: { authorization: 'Bearer the-key-of-a-tv' } });
    assert.deepEqual([text, calls], ['in', 1]);
  });

  it('pass every hook of the filters, which see the listener as their peer', async () => {
    let peer = '';
    let forwarded: string | undefined;
    const pipeline = createRecordingPipeline({
      inbound: (call) => {
        peer = call.peer;
        forwarded = call.requestMetadata.get('x-forwarded-for');
        return undefined;
      },
    });
    await using bed = await startWeb({}, {}, { pipeline });
    assert.equal((await readAnswer(await bed.post('Echo', request('a')))).trailers['grpc-status'], '0');
    const hooks = ['open Echo', 'inbound', 'request', 'response', 'outbound', 'end OK 1/1'];
    assert.deepEqual(pipeline.events, hooks);
    assert.match(peer, /^127\.0\.0\.1:\d+$/);
    assert.equal(forwarded, '127.0.0.1');
  });
});

describe('the gRPC-web listener with TLS', () => {
  it('speaks it with browsers and with its own server, whose certificate it knows by heart', async function () {
    if (!hasOpenssl) this.skip();
    await using dir = await createTempDir();
    const { ca, server: tls, client: ofSameCa } = makeCertificates(dir.path);
    await using bed = await startWeb({}, { tls }, { tls });
    const call = httpsRequest(`${bed.baseUrl}${pathOf('Echo')}`, {
      ...{ method: 'POST', ca, headers: { 'content-type': 'application/grpc-web' } },
    });
    call.end(request('safe'));
    const [response] = (await once(call, 'response')) as [IncomingMessage];
    assert.deepEqual(parseAnswer(Buffer.concat(await response.toArray())).texts, ['safe']);
    // Whoever took the server's place with another certificate of the same authority gets no call.
    const chain = `${ofSameCa.cert}${ca}`;
    await using fooled = await startWeb(
      {},
      { tls: { ...tls, cert: `${tls.cert}${ca}` } },
      { tls: { ...ofSameCa, cert: chain } },
    );
    const refused = httpsRequest(`${fooled.baseUrl}${pathOf('Echo')}`, {
      ...{ method: 'POST', ca, headers: { 'content-type': 'application/grpc-web' } },
    });
    refused.end(request('safe'));
    const [answer] = (await once(refused, 'response')) as [IncomingMessage];
    const { texts, trailers } = parseAnswer(Buffer.concat(await answer.toArray()));
    assert.deepEqual([texts, trailers['grpc-status']], [[], '14']);
    assert.doesNotMatch(trailers['grpc-message'] ?? '', /127|origin/i);
  });
});

describe('settings of gRPC-web', () => {
  it('are off by default, and name the pages that may call', () => {
    const { WEB_ADDRESS, WEB_ORIGINS } = readConfig({});
    assert.deepEqual([WEB_ADDRESS, WEB_ORIGINS], [undefined, []]);
    const read = (origins: string) => readConfig({ SHOWRUNNER_WEB_ORIGINS: origins }).WEB_ORIGINS;
    assert.deepEqual(read('https://a.example, http://tv.lan:8080'), ['https://a.example', 'http://tv.lan:8080']);
    assert.deepEqual([read('*'), read('')], [['*'], []]);
    for (const faulty of ['https://a.example,*', 'a.example', 'https://a.example/app', 'null', 'file:///']) {
      assert.throws(() => read(faulty), { reason: 'CONFIG_INVALID' }, faulty);
    }
  });

  it('are refused with client certificates, which no browser could have passed on', () => {
    const tls = { SHOWRUNNER_TLS_CERT: 'a', SHOWRUNNER_TLS_KEY: 'b', SHOWRUNNER_TLS_CLIENT_CA: 'c' };
    assert.throws(
      () => readConfig({ ...tls, SHOWRUNNER_WEB_ADDRESS: '127.0.0.1:0' }),
      /WEB_ADDRESS cannot be set with/,
    );
    readConfig({ ...tls, SHOWRUNNER_WEB_ADDRESS: '' });
  });

  it('name themselves when their address is taken', async () => {
    await using bed = await startWeb();
    const options = { target: bed.echo.server.address, address: bed.bridge.address, origins: [] };
    const limits = { maxMessageBytes: 1_024, maxMetadataBytes: 1_024 };
    await assert.rejects(startWebBridge({ ...options, ...limits, clock: systemClock, log: silentLogger }), {
      ...{ reason: 'ADDRESS_IN_USE', message: /SHOWRUNNER_WEB_ADDRESS/ },
    });
  });
});
