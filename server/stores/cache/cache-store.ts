/**
 * Volatile byte cache with memcached's semantics: 250-byte keys, values up to 1 MiB, 32-bit flags, CAS, TTL in seconds,
 * eviction without notice. Embedded: in this process, bounded by bytes. Scale-out: memcached (meta protocol). Both pass
 * test/stores/cache-conformance.ts. Bad keys and options reject with INVALID_FIELDS, large values with VALUE_TOO_LARGE.
 */
export interface CacheStore {
  /** The item, or undefined when absent, expired or evicted. */
  get(key: string, signal?: AbortSignal): Promise<CacheItem | undefined>;
  /** Found items by key; missing keys are absent from the map. At most 1,000 keys. */
  getMany(keys: readonly string[], signal?: AbortSignal): Promise<Map<string, CacheItem>>;
  /** `stored` false: the mode's condition failed (add on a present key, replace on an absent one, CAS mismatch). */
  set(key: string, value: Uint8Array, options?: CacheSetOptions): Promise<{ stored: boolean; cas: bigint }>;
  /** True when an item was there. */
  delete(key: string, signal?: AbortSignal): Promise<boolean>;
  /** Sets a new TTL; true when an item was there. */
  touch(key: string, ttlSeconds: number, signal?: AbortSignal): Promise<boolean>;
  /** Figures of this cache since its start; of memcached, of the whole server. */
  stats(): Promise<CacheStats>;
  close(): Promise<void>;
}

/** An item as it was stored. */
export interface CacheItem {
  /** The caller's own; small ones may share a block of 8 KiB with others: copy what is kept for long. */
  readonly value: Uint8Array;
  /** As the writer set them; the cache gives them no meaning. */
  readonly flags: number;
  /** Changes with every write of the key. */
  readonly cas: bigint;
  /** Seconds left; -1 = no expiry. */
  readonly ttlSeconds: number;
}

/** How and under which condition an item is stored. */
export interface CacheSetOptions {
  /** Relative seconds, any size (converted to an absolute time over 30 days); 0 = no expiry. */
  readonly ttlSeconds?: number;
  /** Unsigned 32 bits, for the writer's own use. Default 0. */
  readonly flags?: number;
  /** `add` stores only where no item is, `replace` only where one is. Default `set`: always. */
  readonly mode?: 'set' | 'add' | 'replace';
  /** Only when the present item has this CAS; not with `add`. */
  readonly ifCas?: bigint;
  readonly signal?: AbortSignal;
}

/** What a cache holds and did. */
export interface CacheStats {
  readonly items: number;
  readonly bytes: number;
  readonly maxBytes: number;
  readonly hits: number;
  readonly misses: number;
  readonly evictions: number;
}
