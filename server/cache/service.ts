import type { Duration } from '@bufbuild/protobuf/wkt';
import { CacheService, SetMode } from '../../proto/gen/showrunner/cache/v1/cache_service_pb.ts';
import { invalidField } from '../core/errors.ts';
import { readDuration } from '../rpc/edge/wkt-time.ts';
import { type ServiceRegistration, serviceOf } from '../rpc/handler.ts';
import type { CacheItem } from '../stores/cache/cache-store.ts';
import type { CacheDomain } from './cache-domain.ts';

/** The RPC edge of the cache area. */
export function createCacheService(domain: CacheDomain): ServiceRegistration {
  return serviceOf(CacheService, {
    get: async ({ namespace, key }, { signal }) => {
      const item = await domain.get(namespace, key, signal);
      return item === undefined ? {} : { item: toItemMessage(key, item) };
    },
    getBulk: async ({ namespace, keys }, { signal }) => {
      const { items, missingKeys } = await domain.getBulk(namespace, keys, signal);
      return { items: items.map(([key, item]) => toItemMessage(key, item)), missingKeys: [...missingKeys] };
    },
    set: async ({ namespace, key, value, ttl, flags, mode, ifCas }, { signal }) => {
      const condition = ifCas === 0n ? undefined : ifCas;
      const item = { value, ttlSeconds: readTtl(ttl), flags, mode: readMode(mode), ifCas: condition };
      return domain.set(namespace, key, item, signal);
    },
    delete: async ({ namespace, key }, { signal }) => ({ deleted: await domain.delete(namespace, key, signal) }),
    touch: async ({ namespace, key, ttl }, { signal }) => ({
      touched: await domain.touch(namespace, key, readTtl(ttl), signal),
    }),
  });
}

/** Whole seconds, rounded up so that nothing expires early; 0 = until evicted. */
function readTtl(ttl: Duration | undefined): number {
  const ttlMs = readDuration('ttl', ttl) ?? 0;
  if (ttlMs < 0) throw invalidField('ttl', 'must not be negative');
  return Math.ceil(ttlMs / 1000);
}

function readMode(mode: SetMode): 'set' | 'add' | 'replace' {
  switch (mode) {
    case SetMode.UNSPECIFIED:
    case SetMode.SET:
      return 'set';
    case SetMode.ADD:
      return 'add';
    case SetMode.REPLACE:
      return 'replace';
    default:
      throw invalidField('mode', `must be a known SetMode, got ${mode}`);
  }
}

function toItemMessage(key: string, { value, flags, cas, ttlSeconds }: CacheItem) {
  const ttl = ttlSeconds < 0 ? {} : { ttl: { seconds: BigInt(ttlSeconds), nanos: 0 } };
  return { key, value, flags, cas, ...ttl };
}
