import type { Clock } from '../../core/clock.ts';
import { invalidField } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { Random } from '../../core/random.ts';
import { cacheProtocolError, cacheServerError } from './cache-errors.ts';
import { checkCacheKey, checkCacheKeys, checkCacheSet, checkTtl, valueTooLarge, wireTtl } from './cache-rules.ts';
import type { CacheItem, CacheStats, CacheStore } from './cache-store.ts';
import { openMetaConnection } from './meta-connection.ts';
import type { MetaReply } from './meta-parser.ts';

/** Which server is the cache, and how long it is waited for. */
export interface MemcachedCacheOptions {
  /** `memcached://host:port`; default port 11211. */
  readonly url: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Longest wait for an answer, in ms. Default 500. */
  readonly commandTimeoutMs?: number;
  /** Answers that may be outstanding at once; default 20,000. */
  readonly maxInFlight?: number;
}

const setModes = { set: '', add: ' ME', replace: ' MR' } as const;

/**
 * A cache on one memcached server (1.6 or newer, meta protocol). Begins to connect at once and never waits for it:
 * rejects with CACHE_UNAVAILABLE (UNAVAILABLE) while the server cannot be reached, CACHE_TIMEOUT (DEADLINE_EXCEEDED),
 * CACHE_OVERLOADED and CACHE_OUT_OF_MEMORY (RESOURCE_EXHAUSTED), CACHE_SERVER_ERROR (UNAVAILABLE),
 * CACHE_PROTOCOL_ERROR (INTERNAL), INVALID_FIELDS, VALUE_TOO_LARGE and, once closed, STORE_CLOSED.
 * All commands of one tick leave in one write.
 */
export function createMemcachedCache(options: MemcachedCacheOptions): CacheStore {
  const { clock, random, log, commandTimeoutMs = 500, maxInFlight = 20_000 } = options;
  const { host, port } = parseUrl(options.url);
  const server = `${host}:${port}`;
  const connection = openMetaConnection({ host, port, clock, random, log, commandTimeoutMs, maxInFlight });

  /** Throws for the error answers, which any command may get. */
  function check(reply: MetaReply): void {
    if (reply.code === 'SERVER_ERROR') throw cacheServerError(server, reply.line);
    if (reply.code === 'ERROR' || reply.code === 'CLIENT_ERROR') throw cacheProtocolError(server, reply.line);
  }

  /** Runs a command with one answer, and gives what `read` makes of it. */
  async function ask<T>(
    request: readonly (string | Uint8Array)[],
    read: (reply: MetaReply) => T | undefined,
    signal?: AbortSignal,
  ): Promise<T> {
    let result: T | undefined;
    const take = (reply: MetaReply) => {
      check(reply);
      result = read(reply);
      if (result === undefined) throw cacheProtocolError(server, reply.line);
      return true;
    };
    await connection.run({ request, weight: 1, take }, signal);
    return result as T;
  }

  const isFound = ({ code }: MetaReply) => (code === 'HD' ? true : code === 'EN' || code === 'NF' ? false : undefined);

  return {
    get: async (key, signal) => {
      checkCacheKey(key);
      const read = (reply: MetaReply) =>
        reply.code === 'VA' ? toItem(reply) : reply.code === 'EN' ? 'miss' : undefined;
      const found = await ask([`mg ${key} v f c t\r\n`], read, signal);
      return found === 'miss' ? undefined : found;
    },
    getMany: async (keys, signal) => {
      checkCacheKeys(keys);
      const wanted = [...new Set(keys)];
      const found = new Map<string, CacheItem>();
      if (wanted.length === 0) return found;
      let failure: Error | undefined;
      // Quiet gets answer hits only (EN is left out), each with its number; the closing mn tells that all are answered.
      const lines = wanted.map((key, index) => `mg ${key} v f c t O${index} q\r\n`).join('');
      const take = (reply: MetaReply) => {
        if (reply.code === 'VA') {
          const key = wanted[Number(flagOf(reply, 'O'))];
          if (key !== undefined) found.set(key, toItem(reply));
        } else if (reply.code === 'MN') {
          if (failure !== undefined) throw failure;
          return true;
        } else {
          failure ??= errorOf(() => check(reply)) ?? cacheProtocolError(server, reply.line);
        }
        return false;
      };
      await connection.run({ request: [`${lines}mn\r\n`], weight: wanted.length, take }, signal);
      return found;
    },
    set: async (key, value, setOptions = {}) => {
      checkCacheSet(key, value, setOptions);
      const { ttlSeconds = 0, flags = 0, mode = 'set', ifCas, signal } = setOptions;
      const condition = `${setModes[mode]}${ifCas === undefined ? '' : ` C${ifCas}`}`;
      const ttl = wireTtl(ttlSeconds, clock.now());
      const line = `ms ${key} ${value.byteLength} c F${flags} T${ttl}${condition}\r\n`;
      const read = (reply: MetaReply) => {
        if (reply.code === 'HD') return { stored: true, cas: BigInt(flagOf(reply, 'c') ?? 0) };
        return ['NS', 'EX', 'NF'].includes(reply.code) ? { stored: false, cas: 0n } : undefined;
      };
      return ask([line, value, '\r\n'], read, signal).catch((error) => {
        throw messageNames(error, 'object too large') ? valueTooLarge(key, value.byteLength) : error;
      });
    },
    delete: async (key, signal) => {
      checkCacheKey(key);
      return ask([`md ${key}\r\n`], isFound, signal);
    },
    touch: async (key, ttlSeconds, signal) => {
      checkCacheKey(key);
      checkTtl(ttlSeconds);
      return ask([`mg ${key} T${wireTtl(ttlSeconds, clock.now())}\r\n`], isFound, signal);
    },
    stats: async () => {
      const values = new Map<string, string>();
      const take = (reply: MetaReply) => {
        check(reply);
        const [name, value] = reply.flags;
        if (reply.code === 'STAT' && name !== undefined && value !== undefined) values.set(name, value);
        return reply.code === 'END';
      };
      await connection.run({ request: ['stats\r\n'], weight: 1, take }, undefined);
      return toStats(values);
    },
    close: async () => connection.close(),
  };
}

function parseUrl(url: string): { host: string; port: number } {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed?.protocol !== 'memcached:' || parsed.hostname === '') {
    throw invalidField('url', `must be memcached://host:port, got "${url}"`);
  }
  // IPv6 hosts come in brackets.
  return { host: parsed.hostname.replace(/^\[|\]$/g, ''), port: Number(parsed.port || 11211) };
}

function flagOf(reply: MetaReply, letter: string): string | undefined {
  return reply.flags.find((flag) => flag.startsWith(letter))?.slice(1);
}

function toItem(reply: MetaReply): CacheItem {
  return {
    value: reply.value ?? new Uint8Array(0),
    flags: Number(flagOf(reply, 'f') ?? 0),
    cas: BigInt(flagOf(reply, 'c') ?? 0),
    ttlSeconds: Number(flagOf(reply, 't') ?? -1),
  };
}

function toStats(values: ReadonlyMap<string, string>): CacheStats {
  const numberOf = (name: string) => Number(values.get(name) ?? 0);
  return {
    items: numberOf('curr_items'),
    bytes: numberOf('bytes'),
    maxBytes: numberOf('limit_maxbytes'),
    hits: numberOf('get_hits'),
    misses: numberOf('get_misses'),
    evictions: numberOf('evictions'),
  };
}

function errorOf(work: () => void): Error | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function messageNames(error: unknown, text: string): boolean {
  return error instanceof Error && error.message.includes(text);
}
