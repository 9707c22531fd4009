import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { CacheService } from '../../proto/gen/showrunner/cache/v1/cache_service_pb.ts';
import { createCache } from '../../server/cache/create-cache.ts';
import { systemClock } from '../../server/core/clock.ts';
import { createRpcClient } from '../../server/rpc/client.ts';
import { createMemoryCache } from '../../server/stores/cache/memory-cache.ts';
import { startServices } from '../support/start-services.ts';

const flags = ['--disable-warning=ExperimentalWarning'];
const main = new URL('../../server/main.ts', import.meta.url);

describe('the command line', () => {
  it('ends without an error when the reader of its output has left', async () => {
    const store = createMemoryCache({ maxBytes: 8_388_608, clock: systemClock });
    const server = await startServices(createCache({ store }).service);
    const client = createRpcClient(CacheService, { address: server.address });
    await client.set({ namespace: 'n', key: 'k', value: new Uint8Array(1_000_000) });
    const child = spawn(
      process.execPath,
      [...flags, main.pathname, 'call', '--address', server.address, 'CacheService/Get', '{"namespace":"n","key":"k"}'],
      { stdio: ['ignore', 'pipe', 'pipe'], env: {} },
    );
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    child.stdout.destroy();
    const [code] = await once(child, 'close');
    client.close();
    await server.close();
    await store.close();
    assert.equal(errors, '');
    assert.equal(code, 0);
  });
});
