import { Code } from '../../core/codes.ts';
import { AppError, invalidField } from '../../core/errors.ts';
import type { CacheSetOptions } from './cache-store.ts';

const cacheLimits = {
  /** memcached's bound. */
  maxKeyBytes: 250,
  /** memcached's default item bound (`-I`); the server counts its item header too and may refuse slightly less. */
  maxValueBytes: 1024 * 1024,
  maxBulkKeys: 1_000,
} as const;

/** Longer relative times are read by memcached as a date; from https://github.com/memcached/memcached/blob/master/doc/protocol.txt */
const maxRelativeSeconds = 30 * 24 * 60 * 60;
/** memcached reads times as signed 32-bit numbers: later dates would be in the past. */
const maxEpochSeconds = 2 ** 31 - 1;

/** Printable ASCII without space, or UTF-8 bytes above ASCII. */
const plainKey = /^[\x21-\x7e\u0080-\u{10ffff}]+$/u;

/** Throws INVALID_ARGUMENT unless the key is 1 to 250 bytes without white space and control characters. */
export function checkCacheKey(key: string): void {
  if (!plainKey.test(key) || !key.isWellFormed()) {
    throw invalidField('key', 'must not be empty or have white space, control characters or broken Unicode');
  }
  // Three bytes is the most that one UTF-16 unit takes.
  if (key.length > cacheLimits.maxKeyBytes / 3 && Buffer.byteLength(key) > cacheLimits.maxKeyBytes) {
    throw invalidField('key', `must be at most ${cacheLimits.maxKeyBytes} bytes, got ${Buffer.byteLength(key)}`);
  }
}

/** Throws INVALID_ARGUMENT for more than 1,000 keys or a bad one. */
export function checkCacheKeys(keys: readonly string[]): void {
  if (keys.length > cacheLimits.maxBulkKeys) {
    throw invalidField('keys', `at most ${cacheLimits.maxBulkKeys}, got ${keys.length}`);
  }
  for (const key of keys) checkCacheKey(key);
}

/** Throws INVALID_ARGUMENT unless it is a whole number of seconds from 0 up. */
export function checkTtl(ttlSeconds: number): void {
  if (!Number.isSafeInteger(ttlSeconds) || ttlSeconds < 0) {
    throw invalidField('ttl', `must be a whole number of seconds from 0 up, got ${ttlSeconds}`);
  }
}

/** Throws INVALID_ARGUMENT for values, flags, times and conditions that memcached would refuse or misread. */
export function checkCacheSet(key: string, value: Uint8Array, options: CacheSetOptions): void {
  checkCacheKey(key);
  if (value.byteLength > cacheLimits.maxValueBytes) throw valueTooLarge(key, value.byteLength);
  checkTtl(options.ttlSeconds ?? 0);
  const { flags = 0, mode = 'set', ifCas } = options;
  if (!Number.isInteger(flags) || flags < 0 || flags > 0xffffffff) {
    throw invalidField('flags', `must be an unsigned 32-bit number, got ${flags}`);
  }
  if (ifCas !== undefined && (ifCas < 1n || ifCas > 0xffffffffffffffffn)) {
    throw invalidField('if_cas', `must be an unsigned 64-bit number above 0, got ${ifCas}`);
  }
  if (ifCas !== undefined && mode === 'add') throw invalidField('if_cas', 'cannot be combined with mode add');
}

/** The time as memcached takes it: 0 = never, up to 30 days relative, beyond that a date in epoch seconds. */
export function wireTtl(ttlSeconds: number, nowMs: number): number {
  if (ttlSeconds <= maxRelativeSeconds) return ttlSeconds;
  return Math.min(Math.floor(nowMs / 1000) + ttlSeconds, maxEpochSeconds);
}

/** INVALID_ARGUMENT: the value exceeds what the cache stores as one item. */
export function valueTooLarge(key: string, bytes: number): AppError {
  return new AppError({
    code: Code.INVALID_ARGUMENT,
    reason: 'VALUE_TOO_LARGE',
    message: `the value of "${key}" has ${bytes} bytes; at most ${cacheLimits.maxValueBytes} less the item header fit`,
    metadata: { key, bytes: String(bytes), max_bytes: String(cacheLimits.maxValueBytes) },
    fields: [
      { field: 'value', description: `must be at most ${cacheLimits.maxValueBytes} bytes less the item header` },
    ],
  });
}
