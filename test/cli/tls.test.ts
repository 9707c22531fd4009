import assert from 'node:assert/strict';
import { join } from 'node:path';
import { createCache } from '../../server/cache/create-cache.ts';
import { systemClock } from '../../server/core/clock.ts';
import { silentLogger } from '../../server/core/log.ts';
import { startRpcServer } from '../../server/rpc/server.ts';
import { createMemoryCache } from '../../server/stores/cache/memory-cache.ts';
import { hasOpenssl, makeCertificates } from '../rpc/fixtures/certificates.ts';
import { runShowrunner } from '../support/showrunner.ts';
import { createTempDir } from '../support/temp-dir.ts';

describe('showrunner call over TLS', () => {
  it('trusts the CA that it is given, shows its certificate, and says what it cannot read', async function () {
    if (!hasOpenssl) this.skip();
    await using temp = await createTempDir();
    const certificates = makeCertificates(temp.path);
    await using server = await startRpcServer({
      address: '127.0.0.1:0',
      services: [createCache({ store: createMemoryCache({ maxBytes: 1_048_576, clock: systemClock }) }).service],
      log: silentLogger,
      clock: systemClock,
      maxMessageBytes: 65_536,
      maxMetadataBytes: 16_384,
      tls: { ...certificates.server, clientCa: certificates.ca },
      drainTimeoutMs: 100,
      reflection: false,
      health: false,
    });
    const file = (name: string) => join(temp.path, name);
    const touch = (...flags: string[]) => {
      const target = ['--address', server.address, '--timeout', '5000'];
      const args = ['call', 'CacheService/Touch', '{"namespace": "n", "key": "k"}', ...target, ...flags];
      return runShowrunner(args, { SHOWRUNNER_STATE_DIR: temp.path });
    };
    const [good, plain, lost] = await Promise.all([
      touch('--ca', file('ca.crt'), '--cert', file('client.crt'), '--cert-key', file('client.key')),
      touch(),
      touch('--ca', file('none.crt')),
    ]);
    assert.deepEqual([good.code, good.output], [0, '{}'], good.errors);
    assert.deepEqual([plain.code, plain.errors.split(' ')[0]], [1, 'UNAVAILABLE']);
    assert.deepEqual(lost.code, 1);
    assert.match(lost.errors, /--ca: ENOENT.*none\.crt/);
  });
});
