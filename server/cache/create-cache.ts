import type { ServiceRegistration } from '../rpc/handler.ts';
import { type CacheDomainOptions, createCacheDomain } from './cache-domain.ts';
import { createNamespaceCounters, type NamespaceCounters } from './namespace-counters.ts';
import { createCacheService } from './service.ts';

/** The area as the composition root has it. */
export interface CacheArea {
  readonly service: ServiceRegistration;
  readonly counters: NamespaceCounters;
}

/** Builds the cache area on a store, which its opener closes. */
export function createCache(options: Omit<CacheDomainOptions, 'counters'>): CacheArea {
  const counters = createNamespaceCounters();
  return { service: createCacheService(createCacheDomain({ ...options, counters })), counters };
}
