import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { type CryptoKey, createLocalJWKSet, errors, type FlattenedJWSInput, type JWSHeaderParameters } from 'jose';
import type { Clock } from '../../engine/filter.ts';
import { jwksUnreachable } from './auth-errors.ts';

const maxBytes = 1_048_576;

interface JwksSourceOptions {
  /** Path or URL. */
  readonly location: string;
  readonly cacheMs: number;
  readonly cooldownMs: number;
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/** Finds the key that a token's header names. Throws JWKS_UNREACHABLE, or jose's error when there is no such key. */
export type JwksSource = (header: JWSHeaderParameters, token: FlattenedJWSInput) => Promise<CryptoKey>;

type KeyFinder = ReturnType<typeof createLocalJWKSet>;

/** True for text that names a URL and no path. */
function isUrl(location: string): boolean {
  return /^[a-z][a-z0-9+.-]+:\/\//i.test(location);
}

/** True for https, and for http to this machine. */
function isSafeUrl(location: string): boolean {
  if (!URL.canParse(location)) return false;
  const { protocol, hostname } = new URL(location);
  const isLocal = hostname === 'localhost' || hostname === '127.0.0.1' || hostname === '[::1]';
  return protocol === 'https:' || (protocol === 'http:' && isLocal);
}

/**
 * Throws what is wrong with a location. A file must be readable at the start; a remote one may be down then, and is
 * read with the first token.
 */
export function checkLocation(location: string): void {
  if (!isUrl(location)) {
    createLocalJWKSet(JSON.parse(readFileSync(location, 'utf8')));
  } else if (!isSafeUrl(location)) {
    throw new Error('expected a path, an https URL, or an http URL of this machine');
  }
}

async function download(location: string, signal: AbortSignal): Promise<string> {
  const response = await fetch(location, { signal, redirect: 'error', headers: { accept: 'application/json' } });
  if (!response.ok) throw new Error(`HTTP status ${response.status}`);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new Error(`more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Reads the set once. Throws what went wrong. */
async function readKeys({ location, timeoutMs, clock }: JwksSourceOptions): Promise<KeyFinder> {
  const controller = new AbortController();
  const cancel = clock.schedule(timeoutMs, () => controller.abort(new Error(`no answer within ${timeoutMs} ms`)));
  try {
    const read = isUrl(location)
      ? download(location, controller.signal)
      : readFile(location, { encoding: 'utf8', signal: controller.signal });
    return createLocalJWKSet(JSON.parse(await read));
  } finally {
    cancel();
  }
}

/**
 * Keys with a cache on the injected clock. They are read again when they are too old, or when a token names a key that
 * they lack (rotation), at most once per cool-down; concurrent tokens share one reading. Keys that are too old are not
 * used when they cannot be read again.
 */
export function createJwksSource(options: JwksSourceOptions): JwksSource {
  const { clock, cacheMs, cooldownMs } = options;
  let keys: { readonly find: KeyFinder; readonly readAt: number } | undefined;
  let failure: { readonly error: unknown; readonly at: number } | undefined;
  let reading: Promise<KeyFinder> | undefined;

  async function read(): Promise<KeyFinder> {
    const startedAt = clock.monotonic();
    try {
      const find = await readKeys(options);
      keys = { find, readAt: startedAt };
      failure = undefined;
      return find;
    } catch (error) {
      failure = { error, at: startedAt };
      throw error;
    } finally {
      reading = undefined;
    }
  }

  function freshKeys(): Promise<KeyFinder> | KeyFinder {
    const now = clock.monotonic();
    if (keys !== undefined && now - keys.readAt < cacheMs) return keys.find;
    if (reading === undefined && failure !== undefined && now - failure.at < cooldownMs) throw failure.error;
    reading ??= read();
    return reading;
  }

  function mayReadAgain(): boolean {
    const latest = Math.max(keys?.readAt ?? Number.NEGATIVE_INFINITY, failure?.at ?? Number.NEGATIVE_INFINITY);
    return clock.monotonic() - latest >= cooldownMs;
  }

  return async (header, token) => {
    let find: KeyFinder;
    try {
      find = await freshKeys();
    } catch (error) {
      throw jwksUnreachable(error);
    }
    try {
      return await find(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || (reading === undefined && !mayReadAgain())) throw error;
    }
    try {
      reading ??= read();
      find = await reading;
    } catch (error) {
      throw jwksUnreachable(error);
    }
    return find(header, token);
  };
}
