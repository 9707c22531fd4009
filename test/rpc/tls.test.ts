import assert from 'node:assert/strict';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import type { TlsPeer } from '../../server/core/tls-peer.ts';
import { tlsPeer } from '../../server/core/tls-peer.ts';
import { createRpcClient } from '../../server/rpc/client.ts';
import { createOrigins } from '../../server/rpc/raw-client.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { type Certificates, hasOpenssl, makeCertificates } from './fixtures/certificates.ts';
import { EchoRequestSchema, EchoResponseSchema, EchoService } from './fixtures/echo.ts';
import { startEcho } from './fixtures/echo-server.ts';

describe('rpc TLS', () => {
  let certificates: Certificates;

  before('the openssl command is needed to make certificates', async function () {
    if (!hasOpenssl) this.skip();
    await using dir = await createTempDir();
    certificates = makeCertificates(dir.path);
  });

  it('serves TLS to a client that trusts its CA, and has no peer without mTLS', async () => {
    let peer: unknown = 'unset';
    await using echo = await startEcho(
      {
        async echo(request, { call }) {
          peer = call.attributes.get(tlsPeer);
          return { text: request.text };
        },
      },
      { tls: certificates.server },
      { tls: { ca: certificates.ca } },
    );
    assert.equal((await echo.client.echo({ text: 'safe' })).text, 'safe');
    assert.equal(peer, undefined);
  });

  it('is spoken with origins whose target begins with grpcs://, by the CA that was given', async () => {
    await using echo = await startEcho({}, { tls: certificates.server });
    const target = `grpcs://${echo.server.address}`;
    const call = async (ca: string) => {
      const origins = createOrigins({ tls: { ca }, maxMessageBytes: 65_536 });
      const requests = (async function* () {
        yield toBinary(EchoRequestSchema, create(EchoRequestSchema, { text: 'safe' }));
      })();
      try {
        const deadline = Date.now() + 3_000;
        const { value } = await origins.call(target, '/test.echo.v1.EchoService/Echo', requests, { deadline }).next();
        return value && fromBinary(EchoResponseSchema, value).text;
      } finally {
        origins.close();
      }
    };
    assert.equal(await call(certificates.ca), 'safe');
    await rejectsWith(call(certificates.stranger.cert), Code.UNAVAILABLE, 'ORIGIN_UNREACHABLE');
  });

  it('is refused by a client that trusts another CA, and by one that expects another name', async () => {
    for (const tls of [{ ca: certificates.stranger.cert }, { ca: certificates.ca, serverName: 'other.example' }]) {
      await using echo = await startEcho({}, { tls: certificates.server }, { tls });
      await rejectsWith(echo.client.echo({}, { deadlineMs: 3_000 }), Code.UNAVAILABLE, 'UNAVAILABLE');
    }
  });

  it('tells handlers who the client is by its certificate', async () => {
    let peer: unknown;
    await using echo = await startEcho(
      {
        async echo(_request, { call }) {
          peer = call.attributes.get(tlsPeer);
          return {};
        },
      },
      { tls: { ...certificates.server, clientCa: certificates.ca } },
      { tls: { ca: certificates.ca, ...certificates.client } },
    );
    await echo.client.echo({});
    const { commonName, alternativeNames, fingerprint } = peer as TlsPeer;
    assert.equal(commonName, 'packager');
    assert.equal(alternativeNames, 'URI:spiffe://studio/packager');
    assert.match(fingerprint, /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
  });

  it('refuses clients without a certificate of its client CA', async () => {
    const options = { tls: { ...certificates.server, clientCa: certificates.ca } };
    for (const own of [{}, certificates.stranger]) {
      await using echo = await startEcho({}, options, { tls: { ca: certificates.ca, ...own } });
      await rejectsWith(echo.client.echo({}, { deadlineMs: 3_000 }), Code.UNAVAILABLE, 'UNAVAILABLE');
      assert.equal(echo.server.stats().callsStarted, 0);
    }
  });

  it('refuses to start with contents that are no PEM or do not belong together', async () => {
    const { cert } = certificates.server;
    for (const tls of [
      { cert: 'no pem', key: 'no pem' },
      { cert, key: certificates.client.key },
      { ...certificates.server, clientCa: 'no pem' },
      { ...certificates.server, clientCa: `${certificates.ca}${cert.slice(0, 80)}\n-----END CERTIFICATE-----\n` },
    ]) {
      await rejectsWith(startEcho({}, { tls }), Code.FAILED_PRECONDITION, 'TLS_INVALID');
    }
    await using echo = await startEcho({}, { tls: { ...certificates.server, clientCa: `${certificates.ca}${cert}` } });
    assert.ok(echo.server.address);
  });

  it('tells a client whose CA holds no certificate', () => {
    const create = (ca: string) => createRpcClient(EchoService, { address: '127.0.0.1:1', tls: { ca } });
    for (const ca of ['', 'no pem', certificates.server.key]) {
      assert.throws(
        () => create(ca),
        (error) => error instanceof AppError && error.reason === 'TLS_INVALID',
      );
    }
    create(certificates.ca).close();
  });
});
