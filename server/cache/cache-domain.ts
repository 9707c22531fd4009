import { Code } from '../core/codes.ts';
import { AppError, invalidField } from '../core/errors.ts';
import type { CacheItem, CacheStore } from '../stores/cache/cache-store.ts';
import type { NamespaceCounters } from './namespace-counters.ts';
import { toWireKey, toWireKeys } from './namespaced-key.ts';

/** What the area is built on. */
export interface CacheDomainOptions {
  readonly store: CacheStore;
  readonly counters: NamespaceCounters;
  /** Keys, values and 45 bytes per key of one bulk answer together; default 4,000,000, which fits the default message limit. */
  readonly maxBulkBytes?: number;
}

/** What was found of the keys that were asked for, without their namespace. */
export interface BulkResult {
  readonly items: readonly (readonly [key: string, item: CacheItem])[];
  readonly missingKeys: readonly string[];
}

/** An item to store, and when. */
export interface SetItem {
  readonly value: Uint8Array;
  /** Whole seconds; 0 = until evicted. */
  readonly ttlSeconds: number;
  /** Unsigned 32 bits, for the writer's own use. */
  readonly flags: number;
  /** `add` only where no item is, `replace` only where one is. */
  readonly mode: 'set' | 'add' | 'replace';
  /** Only when the present item has this CAS; undefined = whatever it has. */
  readonly ifCas: bigint | undefined;
}

/** The cache by namespaces. All methods reject with INVALID_FIELDS and what the store says. */
export interface CacheDomain {
  get(namespace: string, key: string, signal: AbortSignal): Promise<CacheItem | undefined>;
  /** 1 to 1,000 keys, each read once. Rejects with BULK_TOO_LARGE (RESOURCE_EXHAUSTED) over `maxBulkBytes`. */
  getBulk(namespace: string, keys: readonly string[], signal: AbortSignal): Promise<BulkResult>;
  /** `stored` false: the condition of the item's mode, or its CAS, did not hold. */
  set(namespace: string, key: string, item: SetItem, signal: AbortSignal): Promise<{ stored: boolean; cas: bigint }>;
  /** True when an item was there. */
  delete(namespace: string, key: string, signal: AbortSignal): Promise<boolean>;
  /** Gives it a new time to live; true when an item was there. */
  touch(namespace: string, key: string, ttlSeconds: number, signal: AbortSignal): Promise<boolean>;
}

const maxBulkKeys = 1_000;
/** Keys read at once: what a bulk of the largest values may take in memory before its size is noticed. */
const keysAtOnce = 100;
/** What an item's other fields take in the answer at most, in bytes: lengths, flags, CAS and time to live. */
const itemBytes = 45;

/** Keeps namespaces apart by a prefix of the store's keys, and counts what each does. */
export function createCacheDomain({ store, counters, maxBulkBytes = 4_000_000 }: CacheDomainOptions): CacheDomain {
  async function getBulk(namespace: string, keys: readonly string[], signal: AbortSignal): Promise<BulkResult> {
    if (keys.length === 0 || keys.length > maxBulkKeys) {
      throw invalidField('keys', `must be 1 to ${maxBulkKeys} keys, got ${keys.length}`);
    }
    const wireKeys = toWireKeys(namespace, keys, (index) => `keys[${index}]`);
    const wanted = [...new Set(wireKeys)];
    const items: [string, CacheItem][] = [];
    const missingKeys: string[] = [];
    let bytes = 0;
    for (let start = 0; start < wanted.length; start += keysAtOnce) {
      const some = wanted.slice(start, start + keysAtOnce);
      const found = await store.getMany(some, signal);
      for (const wireKey of some) {
        const item = found.get(wireKey);
        const key = wireKey.slice(namespace.length + 1);
        if (item === undefined) missingKeys.push(key);
        else items.push([key, item]);
        bytes += Buffer.byteLength(key) + itemBytes + (item?.value.byteLength ?? 0);
      }
      if (bytes > maxBulkBytes) throw bulkTooLarge(maxBulkBytes);
    }
    counters.add(namespace, 'hit', items.length);
    counters.add(namespace, 'miss', missingKeys.length);
    return { items, missingKeys };
  }

  return {
    get: async (namespace, key, signal) => {
      const item = await store.get(toWireKey(namespace, key), signal);
      counters.add(namespace, item === undefined ? 'miss' : 'hit');
      return item;
    },
    getBulk,
    set: async (namespace, key, { value, ttlSeconds, flags, mode, ifCas }, signal) => {
      const condition = ifCas === undefined ? {} : { ifCas };
      const options = { ttlSeconds, flags, mode, signal, ...condition };
      const result = await store.set(toWireKey(namespace, key), value, options);
      counters.add(namespace, result.stored ? 'stored' : 'not_stored');
      return result;
    },
    delete: async (namespace, key, signal) => {
      const isDeleted = await store.delete(toWireKey(namespace, key), signal);
      counters.add(namespace, isDeleted ? 'deleted' : 'not_deleted');
      return isDeleted;
    },
    touch: async (namespace, key, ttlSeconds, signal) => {
      const isTouched = await store.touch(toWireKey(namespace, key), ttlSeconds, signal);
      counters.add(namespace, isTouched ? 'touched' : 'not_touched');
      return isTouched;
    },
  };
}

function bulkTooLarge(maxBytes: number): AppError {
  return new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'BULK_TOO_LARGE',
    message: `these keys and their values exceed ${maxBytes} bytes together; ask for fewer at once`,
    metadata: { max_bytes: String(maxBytes) },
  });
}
