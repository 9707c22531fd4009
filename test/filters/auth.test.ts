import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import { tlsPeer } from '../../server/core/tls-peer.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { accepted, apiKeys, bearer, refused, startAuth, unauthenticated } from './bed/auth-checks.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { createLogBook } from './bed/log-book.ts';
import { runCall } from './bed/run-call.ts';
import { startShipped } from './bed/shipped.ts';

describe('authentication by API key', () => {
  it('takes the principal and scopes of the key, from either header', async () => {
    await using engine = await startAuth({ keys: apiKeys });
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
    await using engine = await startAuth({ keys: apiKeys });
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
    await using engine = await startShipped(
      { 'showrunner.auth': { keys: apiKeys } },
      { clock: createFakeClock(), log: book.log, only: ['showrunner.auth'] },
    );
    const { error } = await runCall(engine, createFakeCall({ metadata: { 'x-api-key': 'guessed-secret' } }));
    assert.ok(!JSON.stringify([error, error?.message, error?.metadata, book.lines]).includes('guessed-secret'));
  });

  it('refuses a short secret and a doubled id at the start, without showing the secret', async () => {
    const short = startAuth({ keys: [{ id: 'a', secret: 'short', scopes: [] }] });
    const error = await rejectsWith(short, Code.INVALID_ARGUMENT, 'FILTER_CONFIG_INVALID');
    assert.match(error.message, /config\.keys\[0\]\.secret/);
    assert.ok(!error.message.includes('short'));
    const doubled = startAuth({ keys: [apiKeys[0], apiKeys[0]] });
    await rejectsWith(doubled, Code.FAILED_PRECONDITION, 'FILTER_LOAD_FAILED');
  });
});

describe('authentication without credentials', () => {
  it('refuses every call when nothing is configured, unless anonymous calls are allowed explicitly', async () => {
    await using closed = await startAuth({});
    await unauthenticated(closed, {}, 'AUTH_NOT_CONFIGURED');
    await unauthenticated(closed, { 'x-api-key': 'whatever-it-is' }, 'AUTH_NOT_CONFIGURED');
    await using open = await startAuth({ allowAnonymous: true, anonymousScopes: ['read'] });
    const { principal } = await accepted(open, createFakeCall());
    assert.deepEqual(principal, { id: 'anonymous', scopes: new Set(['read']), method: 'none' });
  });

  it('still refuses wrong credentials where anonymous calls are allowed', async () => {
    await using engine = await startAuth({ keys: apiKeys, allowAnonymous: true });
    await unauthenticated(engine, { 'x-api-key': 'wrong-secret' }, 'API_KEY_INVALID');
    await accepted(engine, createFakeCall());
  });

  it('leaves the listed paths open, and no others', async () => {
    await using engine = await startAuth({ keys: apiKeys, openPaths: ['/grpc.health.v1.Health/*'] });
    await accepted(engine, createFakeCall({ service: 'grpc.health.v1.Health', method: 'Check' }));
    const lookalike = createFakeCall({ service: 'grpc.health.v1.HealthAdmin', method: 'Check' });
    await refused(engine, lookalike, Code.UNAUTHENTICATED, 'CREDENTIALS_MISSING');
  });

  it('guards unknown methods too', async () => {
    await using engine = await startAuth({ keys: apiKeys });
    const call = createFakeCall({ known: false, service: 'no.Such', method: 'Thing' });
    await refused(engine, call, Code.UNAUTHENTICATED, 'CREDENTIALS_MISSING');
  });
});

describe('authorisation by scope', () => {
  const config = { keys: apiKeys, requiredScopes: { 'showrunner.filters.*': 'filters.admin', 'test.*': 'read' } };
  const admin = (secret: string) =>
    createFakeCall({ service: 'showrunner.filters.v1.FilterAdminService', metadata: { 'x-api-key': secret } });

  it('lets only principals with the required scope call a service', async () => {
    await using engine = await startAuth(config);
    await accepted(engine, admin('ops-secret-22'));
    await refused(engine, admin('demo-secret-1'), Code.PERMISSION_DENIED, 'SCOPE_MISSING');
    await accepted(engine, createFakeCall({ metadata: { 'x-api-key': 'demo-secret-1' } }));
    const call = createFakeCall({ metadata: { 'x-api-key': 'ops-secret-22' } });
    await refused(engine, call, Code.PERMISSION_DENIED, 'SCOPE_MISSING');
  });

  it('asks an anonymous caller for credentials in place of a scope', async () => {
    await using engine = await startAuth({ ...config, allowAnonymous: true });
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
  const config = { keys: apiKeys, certificates: [{ commonName: 'worker-1', scopes: ['jobs'] }] };

  it('takes the principal of a listed common name, and refuses others', async () => {
    await using engine = await startAuth(config);
    const { principal } = await accepted(engine, withPeer('worker-1'));
    assert.deepEqual(principal, { id: 'cert:worker-1', scopes: new Set(['jobs']), method: 'mtls' });
    await refused(engine, withPeer('worker-2'), Code.UNAUTHENTICATED, 'CERTIFICATE_UNKNOWN');
    await refused(engine, withPeer(''), Code.UNAUTHENTICATED, 'CERTIFICATE_UNKNOWN');
    await refused(engine, createFakeCall(), Code.UNAUTHENTICATED, 'CREDENTIALS_MISSING');
  });

  it('prefers credentials in the call, and refuses them when wrong', async () => {
    await using engine = await startAuth(config);
    const { principal } = await accepted(engine, withPeer('worker-1', { 'x-api-key': 'demo-secret-1' }));
    assert.equal(principal?.id, 'key:demo');
    const wrong = withPeer('worker-1', { 'x-api-key': 'wrong-secret' });
    await refused(engine, wrong, Code.UNAUTHENTICATED, 'API_KEY_INVALID');
  });

  it('does not take a certificate for a login when none are configured', async () => {
    await using engine = await startAuth({ keys: apiKeys });
    await refused(engine, withPeer('worker-1'), Code.UNAUTHENTICATED, 'CREDENTIALS_MISSING');
  });
});
