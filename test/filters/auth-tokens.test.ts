import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose';
import type { FilterEngine } from '../../plugins/engine/engine.ts';
import { Code } from '../../server/core/codes.ts';
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { waitUntil } from '../support/wait-until.ts';
import { accepted, apiKeys, bearer, refused, startAuth, unauthenticated } from './bed/auth-checks.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { startJwtIssuer } from './bed/jwt-issuer.ts';

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
    const engine = await startAuth({ ...jwt, keys: apiKeys, jwks: path }, clock);
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
      await rejectsWith(startAuth({ jwks }), Code.FAILED_PRECONDITION, 'FILTER_LOAD_FAILED');
    }
  });
});

describe('keys of JWTs from a URL', () => {
  const claims = { sub: 'user-1', exp: 4_102_444_800 };

  it('are read once, shared by concurrent calls, and again when too old', async () => {
    await using issuer = await startJwtIssuer();
    const clock = createFakeClock();
    await using engine = await startAuth({ jwks: issuer.url, jwksCacheMs: 60_000 }, clock);
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
    await using engine = await startAuth({ jwks: issuer.url, jwksCooldownMs: 10_000 }, clock);
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
      await using engine = await startAuth({ jwks: issuer.url, jwksCooldownMs: 5000 }, clock);
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
    await using engine = await startAuth({ jwks: issuer.url, jwksTimeoutMs: 100 }, clock);
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
    await using engine = await startAuth({ jwks: issuer.url, jwksCacheMs: 60_000 }, clock);
    const metadata = bearer(await issuer.sign(claims));
    await accepted(engine, createFakeCall({ metadata }));
    issuer.fault = 'status';
    await clock.advance(60_000);
    await refused(engine, createFakeCall({ metadata }), Code.UNAVAILABLE, 'JWKS_UNREACHABLE');
  });

  it('whose issuer is down do not stop the server from starting', async () => {
    const clock = createFakeClock();
    await using engine = await startAuth({ jwks: 'http://127.0.0.1:1/jwks', keys: apiKeys }, clock);
    await accepted(engine, createFakeCall({ metadata: bearer('demo-secret-1') }));
    const call = createFakeCall({ metadata: bearer('a.b.c') });
    await refused(engine, call, Code.UNAUTHENTICATED, 'TOKEN_INVALID');
  });
});
