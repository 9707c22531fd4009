import type { Clock } from '../../core/clock.ts';
import { storeClosed } from '../store-errors.ts';
import { checkCacheKey, checkCacheKeys, checkCacheSet, checkTtl, valueTooLarge } from './cache-rules.ts';
import type { CacheItem, CacheSetOptions, CacheStore } from './cache-store.ts';

/** Bounds of the cache. */
export interface MemoryCacheOptions {
  /** Bound of keys, values and the estimated overhead of both, in bytes. */
  readonly maxBytes: number;
  readonly clock: Clock;
}

/** Map slot, entry object, array buffer and string header of one item, measured on Node 24 and rounded up. */
const itemOverheadBytes = 320;
/** Expired items looked for at the old end of the use order with every write, so that they do not push out live ones. */
const expiredLookedAt = 2;

interface Entry {
  readonly value: Uint8Array;
  readonly flags: number;
  readonly cas: bigint;
  /** Unix ms; Infinity = never. */
  readonly expiresAtMs: number;
  readonly bytes: number;
}

/**
 * The in-process cache with memcached's semantics: least recently used items go when `maxBytes` is reached, expired
 * ones are hidden at once. Values are copied in and out, so callers may change theirs.
 * Rejects with INVALID_FIELDS, VALUE_TOO_LARGE (INVALID_ARGUMENT) and, once closed, STORE_CLOSED.
 */
export function createMemoryCache({ maxBytes, clock }: MemoryCacheOptions): CacheStore {
  // The map's order is the order of use, oldest first.
  const entries = new Map<string, Entry>();
  let bytes = 0;
  let lastCas = 0n;
  let isClosed = false;
  const counts = { hits: 0, misses: 0, evictions: 0 };

  function checkOpen(signal: AbortSignal | undefined): void {
    if (isClosed) throw storeClosed('cache');
    signal?.throwIfAborted();
  }

  function remove(key: string, entry: Entry): void {
    entries.delete(key);
    bytes -= entry.bytes;
  }

  function findLive(key: string): Entry | undefined {
    const entry = entries.get(key);
    if (entry === undefined || entry.expiresAtMs > clock.monotonic()) return entry;
    remove(key, entry);
    return undefined;
  }

  function store(key: string, entry: Entry): void {
    const present = entries.get(key);
    if (present !== undefined) remove(key, present);
    entries.set(key, entry);
    bytes += entry.bytes;
    dropOldest();
  }

  function dropOldest(): void {
    let looked = 0;
    for (const [key, entry] of entries) {
      const isExpired = entry.expiresAtMs <= clock.monotonic();
      if (bytes <= maxBytes && !(isExpired && looked < expiredLookedAt)) return;
      if (!isExpired) counts.evictions++;
      remove(key, entry);
      looked++;
    }
  }

  function read(key: string): CacheItem | undefined {
    const entry = findLive(key);
    if (entry === undefined) {
      counts.misses++;
      return undefined;
    }
    counts.hits++;
    entries.delete(key);
    entries.set(key, entry);
    const leftMs = entry.expiresAtMs - clock.monotonic();
    const ttlSeconds = leftMs === Infinity ? -1 : Math.ceil(leftMs / 1000);
    return { value: new Uint8Array(entry.value), flags: entry.flags, cas: entry.cas, ttlSeconds };
  }

  const expiryOf = (ttlSeconds: number) => (ttlSeconds === 0 ? Infinity : clock.monotonic() + ttlSeconds * 1000);

  function write(key: string, value: Uint8Array, options: CacheSetOptions): { stored: boolean; cas: bigint } {
    checkCacheSet(key, value, options);
    const { ttlSeconds = 0, flags = 0, mode = 'set', ifCas } = options;
    const entryBytes = itemOverheadBytes + key.length * 2 + value.byteLength;
    if (entryBytes > maxBytes) throw valueTooLarge(key, value.byteLength);
    const present = findLive(key);
    const isAllowed =
      !(mode === 'add' && present) &&
      !(mode === 'replace' && !present) &&
      (ifCas === undefined || present?.cas === ifCas);
    if (!isAllowed) return { stored: false, cas: 0n };
    lastCas += 1n;
    const expiresAtMs = expiryOf(ttlSeconds);
    store(key, { value: new Uint8Array(value), flags, cas: lastCas, expiresAtMs, bytes: entryBytes });
    return { stored: true, cas: lastCas };
  }

  return {
    get: async (key, signal) => {
      checkOpen(signal);
      checkCacheKey(key);
      return read(key);
    },
    getMany: async (keys, signal) => {
      checkOpen(signal);
      checkCacheKeys(keys);
      const found = new Map<string, CacheItem>();
      for (const key of new Set(keys)) {
        const item = read(key);
        if (item !== undefined) found.set(key, item);
      }
      return found;
    },
    set: async (key, value, options = {}) => {
      checkOpen(options.signal);
      return write(key, value, options);
    },
    delete: async (key, signal) => {
      checkOpen(signal);
      checkCacheKey(key);
      const entry = findLive(key);
      if (entry !== undefined) remove(key, entry);
      return entry !== undefined;
    },
    touch: async (key, ttlSeconds, signal) => {
      checkOpen(signal);
      checkCacheKey(key);
      checkTtl(ttlSeconds);
      const entry = findLive(key);
      if (entry !== undefined) store(key, { ...entry, expiresAtMs: expiryOf(ttlSeconds) });
      return entry !== undefined;
    },
    stats: async () => {
      checkOpen(undefined);
      return { items: entries.size, bytes, maxBytes, ...counts };
    },
    close: async () => {
      isClosed = true;
      entries.clear();
      bytes = 0;
    },
  };
}
