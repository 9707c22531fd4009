import { createHash } from 'node:crypto';
import type { Clock } from '../../engine/filter.ts';

/** The last good response by request. */
export interface ResponseCache {
  /** Undefined when there is none, or it is older than the limit. */
  find(key: string, maxAgeMs: number): { readonly response: Uint8Array; readonly ageMs: number } | undefined;
  store(key: string, response: Uint8Array): void;
  readonly bytes: number;
  readonly size: number;
  /** Responses that made room for others. */
  readonly evicted: number;
}

interface ResponseCacheOptions {
  readonly maxEntries: number;
  readonly maxBytes: number;
  readonly clock: Clock;
}

interface Entry {
  readonly response: Uint8Array;
  readonly at: number;
}

/** Bounded by entries and bytes; the response stored longest ago makes room. */
export function createResponseCache({ maxEntries, maxBytes, clock }: ResponseCacheOptions): ResponseCache {
  const entries = new Map<string, Entry>();
  let bytes = 0;
  let evicted = 0;

  function remove(key: string): void {
    bytes -= entries.get(key)?.response.byteLength ?? 0;
    entries.delete(key);
  }

  return {
    find: (key, maxAgeMs) => {
      const entry = entries.get(key);
      if (entry === undefined) return undefined;
      const ageMs = clock.monotonic() - entry.at;
      return ageMs <= maxAgeMs ? { response: entry.response, ageMs } : undefined;
    },
    store: (key, response) => {
      if (response.byteLength > maxBytes) return;
      remove(key);
      for (const oldest of entries.keys()) {
        if (entries.size < maxEntries && bytes + response.byteLength <= maxBytes) break;
        remove(oldest);
        evicted++;
      }
      // A copy: the given bytes may be a view of a much larger buffer.
      entries.set(key, { response: Uint8Array.from(response), at: clock.monotonic() });
      bytes += response.byteLength;
    },
    get bytes() {
      return bytes;
    },
    get size() {
      return entries.size;
    },
    get evicted() {
      return evicted;
    },
  };
}

/** Key of a response: method, caller and content of the request. */
export function responseKey(path: string, caller: string, requests: readonly Uint8Array[]): string {
  const hash = createHash('sha256').update(`${path}\0${caller}\0`);
  for (const request of requests) hash.update(`${request.byteLength}\0`).update(request);
  return hash.digest('base64');
}
