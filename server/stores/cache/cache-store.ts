/**
 * Volatile byte cache with memcached's semantics: 250-byte keys, 32-bit flags, CAS, TTL in seconds,
 * eviction without notice. Embedded: in this process, bounded by bytes. Scale-out: memcached (meta protocol).
 */
export interface CacheStore {
  get(key: string, signal?: AbortSignal): Promise<CacheItem | undefined>;
  /** Found items by key; missing keys are absent from the map. At most 1,000 keys. */
  getMany(keys: readonly string[], signal?: AbortSignal): Promise<Map<string, CacheItem>>;
  /** `stored` false: the mode's condition failed (add on a present key, replace on an absent one, CAS mismatch). */
  set(key: string, value: Uint8Array, options?: CacheSetOptions): Promise<{ stored: boolean; cas: bigint }>;
  /** True when an item was there. */
  delete(key: string, signal?: AbortSignal): Promise<boolean>;
  /** Sets a new TTL; true when an item was there. */
  touch(key: string, ttlSeconds: number, signal?: AbortSignal): Promise<boolean>;
  stats(): Promise<CacheStats>;
  close(): Promise<void>;
}

export interface CacheItem {
  /** The caller's own; small ones may share a block of 8 KiB with others: copy what is kept for long. */
  readonly value: Uint8Array;
  readonly flags: number;
  readonly cas: bigint;
  /** Seconds left; -1 = no expiry. */
  readonly ttlSeconds: number;
}

export interface CacheSetOptions {
  /** Relative seconds, any size (converted to an absolute time over 30 days); 0 = no expiry. */
  readonly ttlSeconds?: number;
  readonly flags?: number;
  readonly mode?: 'set' | 'add' | 'replace';
  /** Only when the present item has this CAS. */
  readonly ifCas?: bigint;
  readonly signal?: AbortSignal;
}

export interface CacheStats {
  readonly items: number;
  readonly bytes: number;
  readonly maxBytes: number;
  readonly hits: number;
  readonly misses: number;
  readonly evictions: number;
}
