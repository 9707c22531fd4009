/** One setting: how its text is read, what holds when it is not set, and what it is for. */
export interface Setting<T> {
  readonly read: (text: string) => T;
  readonly fallback: T;
  readonly doc: string;
  /** Value is never shown or logged. */
  readonly secret: boolean;
}

/** A row of the table of settings. `read` throws an Error that says what was expected; `fallback` is for what is not set. */
export function setting<T>(
  read: (text: string) => T,
  fallback: T,
  doc: string,
  options: { secret?: boolean } = {},
): Setting<T> {
  return { read, fallback, doc, secret: options.secret ?? false };
}

/** Any text, as it stands. */
export function text(value: string): string {
  return value;
}

/** An empty value means "off". */
export function optionalText(value: string): string | undefined {
  return value === '' ? undefined : value;
}

/** `true` or `1`, `false` or `0`. */
export function flag(value: string): boolean {
  if (value === 'true' || value === '1') return true;
  if (value === 'false' || value === '0') return false;
  throw new Error(`expected true or false, got "${value}"`);
}

/** A whole number from `least` to `most`. */
export function integer(least: number, most: number): (value: string) => number {
  return (value) => {
    if (!/^-?\d{1,15}$/.test(value)) throw new Error(`expected a whole number, got "${value}"`);
    const number = Number(value);
    if (number < least || number > most) throw new Error(`expected ${least} to ${most}, got ${value}`);
    return number;
  };
}

/** One of these words, as written. */
export function oneOf<const T extends string>(...allowed: readonly T[]): (value: string) => T {
  return (value) => {
    const found = allowed.find((name) => name === value);
    if (found === undefined) throw new Error(`expected one of ${allowed.join(', ')}, got "${value}"`);
    return found;
  };
}

/** `host:port`; IPv6 hosts in brackets; port 0 = any free one. */
export function hostPort(value: string): string {
  if (!/^(\[[0-9a-f:]+\]|[^:\s]+):\d{1,5}$/i.test(value)) throw new Error(`expected host:port, got "${value}"`);
  if (Number(value.slice(value.lastIndexOf(':') + 1)) > 65_535) throw new Error(`port out of range in "${value}"`);
  return value;
}

/** As `hostPort`; empty = undefined. */
export function optionalHostPort(value: string): string | undefined {
  return value === '' ? undefined : hostPort(value);
}

/** A URL of one of these protocols (`https:`), as written; empty = undefined. */
export function urlOf(...protocols: readonly string[]): (value: string) => string | undefined {
  return (value) => {
    if (value === '') return undefined;
    const parsed = URL.canParse(value) ? new URL(value) : undefined;
    if (!parsed || !protocols.includes(parsed.protocol)) {
      throw new Error(`expected a URL starting with ${protocols.map((p) => `${p}//`).join(' or ')}`);
    }
    return value;
  };
}

/** `redis://[user:password@]host[:port][/db]`, `rediss://…` or `unix:/path`. */
export function redisUrl(value: string): string | undefined {
  const url = urlOf('redis:', 'rediss:', 'unix:')(value);
  const { protocol, hostname, pathname } = new URL(url ?? 'unix:/');
  const isWhole = protocol === 'unix:' ? pathname.startsWith('/') : hostname !== '' && /^\/?\d*$/.test(pathname);
  // The URL may hold a password: it is not repeated.
  if (!isWhole) throw new Error('expected redis://host[:port][/db], rediss://host[:port][/db] or unix:/path');
  return url;
}

/** `memcached://host[:port]`. */
export function memcachedUrl(value: string): string | undefined {
  const url = urlOf('memcached:')(value);
  if (url === undefined) return undefined;
  const { hostname, pathname, search, hash, username } = new URL(url);
  if (hostname === '' || !/^\/?$/.test(pathname) || search !== '' || hash !== '' || username !== '') {
    throw new Error(`expected memcached://host[:port], got "${value}"`);
  }
  return url;
}

/** `name=number,name=number`: numbers of 0 to 64 by name. */
export function counts(value: string): Readonly<Record<string, number>> {
  const pairs = value.split(',').filter((pair) => pair.trim() !== '');
  return Object.fromEntries(
    pairs.map((pair) => {
      const [, name, number] = /^\s*([a-z][a-z0-9-]*)=(\d{1,2})\s*$/.exec(pair) ?? [];
      if (name === undefined || number === undefined || Number(number) > 64) {
        throw new Error(`expected name=number with numbers of 0 to 64, got "${pair.trim()}"`);
      }
      return [name, Number(number)];
    }),
  );
}

/** Comma-separated origins: https, or http on this machine. */
export function origins(value: string): readonly string[] {
  return partsOf(value).map((part) => {
    const url = URL.parse(part);
    const isLocal = ['127.0.0.1', '[::1]', 'localhost'].includes(url?.hostname ?? '');
    if (url === null || !(url.protocol === 'https:' || (url.protocol === 'http:' && isLocal))) {
      throw new Error(`expected https://host[:port], or http on this machine, got "${part}"`);
    }
    return originOf(url, part);
  });
}

/** Comma-separated origins of web pages, https or http, or `*` alone for all. */
export function pageOrigins(value: string): readonly string[] {
  const parts = partsOf(value);
  if (parts.length === 1 && parts[0] === '*') return parts;
  return parts.map((part) => {
    const url = URL.parse(part);
    if (url === null || !['https:', 'http:'].includes(url.protocol)) {
      throw new Error(`expected https://host[:port], http://host[:port], or * alone, got "${part}"`);
    }
    return originOf(url, part);
  });
}

function partsOf(list: string): string[] {
  return list
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function originOf(url: URL, part: string): string {
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '' || url.username !== '') {
    throw new Error(`expected an origin without a path, got "${part}"`);
  }
  return url.origin;
}
