import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose';
import type { FilterEngine } from '../../plugins/engine/engine.ts';
import { Code } from '../../server/core/codes.ts';
import { tlsPeer } from '../../server/core/tls-peer.ts';
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { waitUntil } from '../support/wait-until.ts';
import { createFakeCall, type FakeCall } from './bed/fake-call.ts';
import { startJwtIssuer } from './bed/jwt-issuer.ts';
import { createLogBook } from './bed/log-book.ts';
import { runCall } from './bed/run-call.ts';
import { startShipped } from './bed/shipped.ts';

const id = 'showrunner.auth';
const only = [id];
const keys = [
  { id: 'demo', secret: 'demo-secret-1', scopes: ['read', 'write'] },
  { id: 'ops', secret: 'ops-secret-22', scopes: ['filters.admin'] },
];

const start = (config: object, clock: FakeClock = createFakeClock()) => startShipped({ [id]: config }, { clock, only });

async function refused(engine: FilterEngine, call: FakeCall, code: Code, reason: string): Promise<void> {
  const { error, endpointSaw } = await runCall(engine, call);
  assert.deepEqual([error?.code, error?.reason], [code, reason]);
  assert.equal(endpointSaw, undefined, 'the endpoint must not run');
  assert.equal(call.principal, undefined);
}

const unauthenticated = (engine: FilterEngine, metadata: Record<string, string>, reason: string) =>
  refused(engine, createFakeCall({ metadata }), Code.UNAUTHENTICATED, reason);

async function accepted(engine: FilterEngine, call: FakeCall): Promise<FakeCall> {
  const { error } = await runCall(engine, call);
  assert.equal(error, undefined);
  return call;
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

describe('authentication by API key', () => {
  it('takes the principal and scopes of the key, from either header', async () => {
    await using engine = await start({ keys });
    for (const metadata of [
      { 'x-api-key': 'demo-secret-1' },
      bearer('demo-secret-1'),
      { authorization: 'bearer  demo-secret-1' },
    ]) {
      const { principal } = await accepted(engine, createFakeCall({ metadata }));
      assert.deepEqual(principal, { id: 'key:demo', scopes: new Set(['read', 'write']), method: 'api_key' });
    }
  });

  it('refuses missing, malformed, wrong and doubled credentials', async () => {
    await using engine = await start({ keys });
    await unauthenticated(engine, {}, 'CREDENTIALS_MISSING');
    await unauthenticated(engine, { 'x-api-key': 'demo-secret-2' }, 'API_KEY_INVALID');
    await unauthenticated(engine, { 'x-api-key': 'demo-secret-1 ' }, 'API_KEY_INVALID');
    await unauthenticated(engine, { 'x-api-key': '' }, 'CREDENTIALS_MALFORMED');
    await unauthenticated(engine, { 'x-api-key': 'x'.repeat(16_385) }, 'CREDENTIALS_MALFORMED');
    await unauthenticated(engine, { authorization: 'Basic ZGVtbzpkZW1v' }, 'CREDENTIALS_MALFORMED');
    await unauthenticated(engine, { authorization: 'Bearer' }, 'CREDENTIALS_MALFORMED');
    await unauthenticated(engine, { authorization: 'Bearer a b' }, 'CREDENTIALS_MALFORMED');
    const both = { 'x-api-key': 'demo-secret-1', ...bearer('demo-secret-1') };
    await unauthenticated(engine, both, 'CREDENTIALS_AMBIGUOUS');
  });

  it('never says in an error or a log line which secret it saw', async () => {
    const book = createLogBook();
    await using engine = await startShipped({ [id]: { keys } }, { clock: createFakeClock(), log: book.log, only });
    const { error } = await runCall(engine, createFakeCall({ metadata: { 'x-api-key': 'guessed-secret' } }));
    assert.ok(!JSON.stringify([error, error?.message, error?.metadata, book.lines]).includes('guessed-secret'));
  });

  it('refuses a short secret and a doubled id at the start, without showing the secret', async () => {
    const short = start({ keys: [{ id: 'a', secret: 'short', scopes: [] }] });
    const error = await rejectsWith(short, Code.INVALID_ARGUMENT, 'FILTER_CONFIG_INVALID');
    assert.match(error.message, /config\.keys\[0\]\.secret/);
    assert.ok(!error.message.includes('short'));
    const doubled = start({ keys: [keys[0], keys[0]] });
    await rejectsWith(doubled, Code.FAILED_PRECONDITION, 'FILTER_LOAD_FAILED');
  });
});

describe('authentication without credentials', () => {
  it('refuses every call when nothing is configured, unless anonymous calls are allowed explicitly', async () => {
    await using closed = await start({});
    await unauthenticated(closed, {}, 'AUTH_NOT_CONFIGURED');
    await unauthenticated(closed, { 'x-api-key': 'whatever-it-is' }, 'AUTH_NOT_CONFIGURED');
    await using open = await start({ allowAnonymous: true, anonymousScopes: ['read'] });
    const { principal } = await accepted(open, createFakeCall());
    assert.deepEqual(principal, { id: 'anonymous', scopes: new Set(['read']), method: 'none' });
  });

  it('still refuses wrong credentials where anonymous calls are allowed', async () => {
    await using engine = await start({ keys, allowAnonymous: true });
    await unauthenticated(engine, { 'x-api-key': 'wrong-secret' }, 'API_KEY_INVALID');
    await accepted(engine, createFakeCall());
  });

  it('leaves the listed paths open, and no others', async () => {
    await using engine = await start({ keys, openPaths: ['/grpc.health.v1.Health/*'] });
    await accepted(engine, createFakeCall({ service: 'grpc.health.v1.Health', method: 'Check' }));
    const lookalike = createFakeCall({ service: 'grpc.health.v1.HealthAdmin', method: 'Check' });
    await refused(engine, lookalike, Code.UNAUTHENTICATED, 'CREDENTIALS_MISSING');
  });

  it('guards unknown methods too', async () => {
    await using engine = await start({ keys });
    const call = createFakeCall({ known: false, service: 'no.Such', method: 'Thing' });
    await refused(engine, call, Code.UNAUTHENTICATED, 'CREDENTIALS_MISSING');
  });
});

describe('authorisation by scope', () => {
  const config = { keys, requiredScopes: { 'showrunner.filters.*': 'filters.admin', 'test.*': 'read' } };
  const admin = (secret: string) =>
    createFakeCall({ service: 'showrunner.filters.v1.FilterAdminService', metadata: { 'x-api-key': secret } });

  it('lets only principals with the required scope call a service', async () => {
    await using engine = await start(config);
    await accepted(engine, admin('ops-secret-22'));
    await refused(engine, admin('demo-secret-1'), Code.PERMISSION_DENIED, 'SCOPE_MISSING');
    await accepted(engine, createFakeCall({ metadata: { 'x-api-key': 'demo-secret-1' } }));
    const call = createFakeCall({ metadata: { 'x-api-key': 'ops-secret-22' } });
    await refused(engine, call, Code.PERMISSION_DENIED, 'SCOPE_MISSING');
  });

  it('asks an anonymous caller for credentials in place of a scope', async () => {
    await using engine = await start({ ...config, allowAnonymous: true });
    await refused(engine, createFakeCall(), Code.UNAUTHENTICATED, 'CREDENTIALS_MISSING');
    await accepted(engine, createFakeCall({ service: 'free.Service' }));
  });
});

describe('authentication by client certificate', () => {
  const withPeer = (commonName: string, metadata = {}) => {
    const call = createFakeCall({ metadata });
    call.attributes.set(tlsPeer, { commonName, alternativeNames: '', fingerprint: 'AA' });
    return call;
  };
  const config = { keys, certificates: [{ commonName: 'worker-1', scopes: ['jobs'] }] };

  it('takes the principal of a listed common name, and refuses others', async () => {
    await using engine = await start(config);
    const { principal } = await accepted(engine, withPeer('worker-1'));
    assert.deepEqual(principal, { id: 'cert:worker-1', scopes: new Set(['jobs']), method: 'mtls' });
    await refused(engine, withPeer('worker-2'), Code.UNAUTHENTICATED, 'CERTIFICATE_UNKNOWN');
    await refused(engine, withPeer(''), Code.UNAUTHENTICATED, 'CERTIFICATE_UNKNOWN');
    await refused(engine, createFakeCall(), Code.UNAUTHENTICATED, 'CREDENTIALS_MISSING');
  });

  it('prefers credentials in the call, and refuses them when wrong', async () => {
    await using engine = await start(config);
    const { principal } = await accepted(engine, withPeer('worker-1', { 'x-api-key': 'demo-secret-1' }));
    assert.equal(principal?.id, 'key:demo');
    const wrong = withPeer('worker-1', { 'x-api-key': 'wrong-secret' });
    await refused(engine, wrong, Code.UNAUTHENTICATED, 'API_KEY_INVALID');
  });

  it('does not take a certificate for a login when none are configured', async () => {
    await using engine = await start({ keys });
    await refused(engine, withPeer('worker-1'), Code.UNAUTHENTICATED, 'CREDENTIALS_MISSING');
  });
});

describe('authentication by JWT', () => {
  const issuer = 'https://issuer.test';
  const audience = 'showrunner';
  const jwt = { issuer, audience, clockToleranceSeconds: 5 };

  async function startWithFile(): Promise<
    AsyncDisposable & {
      clock: FakeClock;
      engine: FilterEngine;
      sign: (claims?: object, header?: object) => Promise<string>;
      publicKey: object;
    }
  > {
    const dir = await createTempDir();
    const clock = createFakeClock();
    const { publicKey, privateKey } = await generateKeyPair('RS256', { extractable: true });
    const publicJwk = { ...(await exportJWK(publicKey)), kid: 'k', alg: 'RS256' };
    const path = join(dir.path, 'jwks.json');
    await writeFile(path, JSON.stringify({ keys: [publicJwk] }));
    const engine = await start({ ...jwt, keys, jwks: path }, clock);
    const now = Math.floor(clock.now() / 1000);
    const sign = (claims: object = {}, header: object = {}) =>
      new SignJWT({ sub: 'user-1', iss: issuer, aud: audience, exp: now + 60, scope: 'read write', ...claims })
        .setProtectedHeader({ alg: 'RS256', kid: 'k', ...header })
        .sign(privateKey);
    return {
      ...{ clock, engine, sign, publicKey: publicJwk },
      [Symbol.asyncDispose]: async () => {
        await engine.close();
        await dir[Symbol.asyncDispose]();
      },
    };
  }

  it('takes subject and scopes, from "scope" or "scp"', async () => {
    await using bed = await startWithFile();
    const call = createFakeCall({ metadata: bearer(await bed.sign()) });
    assert.deepEqual((await accepted(bed.engine, call)).principal, {
      ...{ id: 'user-1', scopes: new Set(['read', 'write']), method: 'jwt' },
    });
    const other = createFakeCall({ metadata: bearer(await bed.sign({ scope: undefined, scp: ['a', 7] })) });
    assert.deepEqual((await accepted(bed.engine, other)).principal?.scopes, new Set(['a']));
  });

  it('takes API keys in the same header still', async () => {
    await using bed = await startWithFile();
    const call = createFakeCall({ metadata: bearer('demo-secret-1') });
    assert.equal((await accepted(bed.engine, call)).principal?.id, 'key:demo');
  });

  it('judges exp and nbf by the injected clock, with the tolerance', async () => {
    await using bed = await startWithFile();
    const now = Math.floor(bed.clock.now() / 1000);
    const short = await bed.sign({ exp: now + 10 });
    await accepted(bed.engine, createFakeCall({ metadata: bearer(short) }));
    await bed.clock.advance(14_000);
    await accepted(bed.engine, createFakeCall({ metadata: bearer(short) }));
    await bed.clock.advance(2_000);
    await unauthenticated(bed.engine, bearer(short), 'TOKEN_EXPIRED');
    const early = await bed.sign({ nbf: now + 100, exp: now + 1000 });
    await unauthenticated(bed.engine, bearer(early), 'TOKEN_CLAIM_INVALID');
    await bed.clock.advance(90_000);
    await accepted(bed.engine, createFakeCall({ metadata: bearer(early) }));
  });

  it('refuses a wrong issuer or audience, and a missing exp or sub', async () => {
    await using bed = await startWithFile();
    for (const claims of [
      { iss: 'https://other.test' },
      { aud: 'other' },
      { aud: undefined },
      { exp: undefined },
      { sub: undefined },
      { sub: '' },
      { sub: 'x'.repeat(257) },
    ]) {
      await unauthenticated(bed.engine, bearer(await bed.sign(claims)), 'TOKEN_CLAIM_INVALID');
    }
  });

  it('refuses foreign signatures, altered tokens, "none", and the public key used as a secret', async () => {
    await using bed = await startWithFile();
    const good = await bed.sign();
    const [head = '', body = '', signature = ''] = good.split('.');
    const foreign = await generateKeyPair('RS256');
    const claims = { sub: 'user-1', iss: issuer, aud: audience, exp: Math.floor(bed.clock.now() / 1000) + 60 };
    const forged = new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'k' }).sign(foreign.privateKey);
    const confused = new SignJWT(claims)
      .setProtectedHeader({ alg: 'HS256', kid: 'k' })
      .sign(new TextEncoder().encode(JSON.stringify(bed.publicKey)));
    const altered = Buffer.from(JSON.stringify({ ...claims, sub: 'root' })).toString('base64url');
    for (const token of [
      await forged,
      await confused,
      new UnsecuredJWT(claims).encode(),
      `${head}.${altered}.${signature}`,
      `${head}.${body}.`,
      'a.b.c',
      await bed.sign({}, { kid: 'unknown' }),
    ]) {
      await unauthenticated(bed.engine, bearer(token), 'TOKEN_INVALID');
    }
  });

  it('refuses a start with a key file that is missing or no JWKS, or an http URL of another machine', async () => {
    await using dir = await createTempDir();
    const path = join(dir.path, 'jwks.json');
    await writeFile(path, '{"no": "keys"}');
    for (const jwks of [join(dir.path, 'nowhere.json'), path, 'http://example.com/jwks', 'ftp://example.com/jwks']) {
      await rejectsWith(start({ jwks }), Code.FAILED_PRECONDITION, 'FILTER_LOAD_FAILED');
    }
  });
});

describe('keys of JWTs from a URL', () => {
  const claims = { sub: 'user-1', exp: 4_102_444_800 };

  it('are read once, shared by concurrent calls, and again when too old', async () => {
    await using issuer = await startJwtIssuer();
    const clock = createFakeClock();
    await using engine = await start({ jwks: issuer.url, jwksCacheMs: 60_000 }, clock);
    const metadata = bearer(await issuer.sign(claims));
    await Promise.all(Array.from({ length: 10 }, () => accepted(engine, createFakeCall({ metadata }))));
    assert.equal(issuer.requests, 1);
    await clock.advance(59_999);
    await accepted(engine, createFakeCall({ metadata }));
    assert.equal(issuer.requests, 1);
    await clock.advance(1);
    await accepted(engine, createFakeCall({ metadata }));
    assert.equal(issuer.requests, 2);
  });

  it('are read again for a token with a new key, at most once per cool-down', async () => {
    await using issuer = await startJwtIssuer();
    const clock = createFakeClock();
    await using engine = await start({ jwks: issuer.url, jwksCooldownMs: 10_000 }, clock);
    const old = bearer(await issuer.sign(claims));
    await accepted(engine, createFakeCall({ metadata: old }));
    await issuer.rotate();
    const rotated = bearer(await issuer.sign(claims));
    await unauthenticated(engine, rotated, 'TOKEN_INVALID');
    assert.equal(issuer.requests, 1, 'within the cool-down nobody can make it ask');
    await clock.advance(10_000);
    await accepted(engine, createFakeCall({ metadata: rotated }));
    assert.equal(issuer.requests, 2);
    await unauthenticated(engine, old, 'TOKEN_INVALID');
    assert.equal(issuer.requests, 2);
  });

  for (const fault of ['status', 'garbage', 'huge', 'redirect'] as const) {
    it(`that cannot be read (${fault}) make the call UNAVAILABLE, and are asked for again after the cool-down`, async () => {
      await using issuer = await startJwtIssuer();
      const clock = createFakeClock();
      await using engine = await start({ jwks: issuer.url, jwksCooldownMs: 5000 }, clock);
      const metadata = bearer(await issuer.sign(claims));
      issuer.fault = fault;
      await refused(engine, createFakeCall({ metadata }), Code.UNAVAILABLE, 'JWKS_UNREACHABLE');
      const { requests } = issuer;
      await refused(engine, createFakeCall({ metadata }), Code.UNAVAILABLE, 'JWKS_UNREACHABLE');
      assert.equal(issuer.requests, requests, 'a broken issuer is left alone for a while');
      issuer.fault = undefined;
      await clock.advance(5000);
      await accepted(engine, createFakeCall({ metadata }));
    });
  }

  it('that do not come in time make the call UNAVAILABLE', async () => {
    await using issuer = await startJwtIssuer();
    const clock = createFakeClock();
    await using engine = await start({ jwks: issuer.url, jwksTimeoutMs: 100 }, clock);
    issuer.fault = 'hang';
    const metadata = bearer(await issuer.sign(claims));
    const refusal = refused(engine, createFakeCall({ metadata }), Code.UNAVAILABLE, 'JWKS_UNREACHABLE');
    await waitUntil('the issuer was asked', () => issuer.requests === 1);
    await clock.advance(100);
    await refusal;
  });

  it('that are too old are not used when they cannot be read again', async () => {
    await using issuer = await startJwtIssuer();
    const clock = createFakeClock();
    await using engine = await start({ jwks: issuer.url, jwksCacheMs: 60_000 }, clock);
    const metadata = bearer(await issuer.sign(claims));
    await accepted(engine, createFakeCall({ metadata }));
    issuer.fault = 'status';
    await clock.advance(60_000);
    await refused(engine, createFakeCall({ metadata }), Code.UNAVAILABLE, 'JWKS_UNREACHABLE');
  });

  it('whose issuer is down do not stop the server from starting', async () => {
    const clock = createFakeClock();
    await using engine = await start({ jwks: 'http://127.0.0.1:1/jwks', keys }, clock);
    await accepted(engine, createFakeCall({ metadata: bearer('demo-secret-1') }));
    const call = createFakeCall({ metadata: bearer('a.b.c') });
    await refused(engine, call, Code.UNAUTHENTICATED, 'TOKEN_INVALID');
  });
});
