import { systemClock } from '../../server/core/clock.ts';
import { silentLogger } from '../../server/core/log.ts';
import { systemRandom } from '../../server/core/random.ts';
import { createMemcachedCache } from '../../server/stores/cache/memcached-cache.ts';
import { startMemcached } from '../support/memcached.ts';
import { describeCacheConformance } from './cache-conformance.ts';

describeCacheConformance('memcached', async () => {
  const server = await startMemcached();
  const store = createMemcachedCache({
    url: server.url,
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
    commandTimeoutMs: 5_000,
  });
  return {
    store,
    passTime: () => Promise.resolve(),
    [Symbol.asyncDispose]: async () => {
      await store.close();
      await server.stop();
    },
  };
});
