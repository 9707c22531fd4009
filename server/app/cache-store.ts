import type { Clock } from '../core/clock.ts';
import type { Config } from '../core/config/settings.ts';
import type { Logger } from '../core/log.ts';
import { systemRandom } from '../core/random.ts';
import type { CacheStore } from '../stores/cache/cache-store.ts';
import { createMemcachedCache } from '../stores/cache/memcached-cache.ts';
import { createMemoryCache } from '../stores/cache/memory-cache.ts';

/** The cache that the settings ask for: memcached when it has a URL, else one in this process. */
export function openCacheStore(config: Config, clock: Clock, log: Logger): CacheStore {
  const url = config.MEMCACHED_URL;
  return url === undefined
    ? createMemoryCache({ maxBytes: config.CACHE_MAX_BYTES, clock })
    : createMemcachedCache({ url, clock, random: systemRandom, log });
}
