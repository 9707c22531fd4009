import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { Code } from '../core/codes.ts';
import { AppError, messageOf } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { ObjectInfo, ObjectStore } from '../stores/objects/object-store.ts';
import { parseByteRange } from './byte-range.ts';

export interface HttpOriginOptions {
  /** `host:port`; port 0 takes a free one. */
  readonly address: string;
  readonly objects: ObjectStore;
  readonly log: Logger;
  /** Only keys with this prefix are public (default `titles/`). */
  readonly publicPrefix?: string;
  /** Connections beyond this are refused (default 1,024). */
  readonly maxConnections?: number;
  /** Pages that are made when they are asked for. Default none. */
  readonly pages?: OriginPages | undefined;
}

/** Read-only pages below a path of their own; they are not for other sites to read, so they carry no CORS header. */
export interface OriginPages {
  /** e.g. `notebooks/`. */
  readonly prefix: string;
  /** The page of a decoded path below the prefix; undefined for one that is not there. Errors of its own are 500. */
  render(path: string, query: URLSearchParams, signal: AbortSignal): Promise<OriginPage | undefined>;
}

export interface OriginPage {
  readonly html: Uint8Array;
  /** Header values by lower-case name; with an `etag`, a page that the browser has is not sent again. */
  readonly headers: Readonly<Record<string, string>>;
}

/** The appliance of last resort: serves published title files over HTTP, as an Open Connect appliance would. */
export interface HttpOrigin {
  /** `http://host:port`, no trailing slash. */
  readonly baseUrl: string;
  /** Stops accepting and ends open connections. */
  close(): Promise<void>;
}

/** FAILED_PRECONDITION: the origin's address cannot be listened on. */
const originAddressUnusable = (address: string, cause: unknown) =>
  new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'ADDRESS_IN_USE',
    message: `The HTTP origin cannot listen on ${address} (${messageOf(cause)}); set SHOWRUNNER_ORIGIN_ADDRESS (port 0 takes a free one).`,
    metadata: { address },
    cause,
  });

/** Files below a version never change; manifests inside a version neither. */
const immutable = 'public, max-age=31536000, immutable';

/**
 * Starts the origin. GET and HEAD with single ranges, ETag, CORS for players; everything else is 404 or 405. Pages, where
 * there are any, are served beside the files.
 */
export async function startHttpOrigin(options: HttpOriginOptions): Promise<HttpOrigin> {
  const { address, objects, log, publicPrefix = 'titles/', pages } = options;
  const server = createServer((request, response) => {
    const isPage = pages !== undefined && request.url?.startsWith(`/${pages.prefix}`) === true;
    const served = isPage ? servePage(request, response, pages) : serve(request, response, objects, publicPrefix);
    served.catch((error: unknown) => {
      // A player that leaves in the middle of a segment is no fault.
      if (response.destroyed || request.destroyed) return;
      log.error('origin request failed', { path: request.url, error });
      if (response.headersSent) response.destroy();
      else response.writeHead(500).end();
    });
  });
  server.maxConnections = options.maxConnections ?? 1_024;
  server.requestTimeout = 30_000;
  await listen(server, address);
  const { address: host, port, family } = server.address() as AddressInfo;
  return {
    baseUrl: `http://${family === 'IPv6' ? `[${host}]` : host}:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, address: string): Promise<void> {
  const split = address.lastIndexOf(':');
  const host = address.slice(0, split).replace(/^\[(.*)\]$/, '$1');
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(originAddressUnusable(address, error)));
    server.listen(Number(address.slice(split + 1)), host, () => {
      server.removeAllListeners('error');
      resolve();
    });
  });
}

/** False, with the answer sent, for a method that changes something. */
function isReading(request: IncomingMessage, response: ServerResponse): boolean {
  if (request.method === 'GET' || request.method === 'HEAD') return true;
  response.writeHead(405, { allow: 'GET, HEAD' }).end();
  return false;
}

async function servePage(request: IncomingMessage, response: ServerResponse, { prefix, render }: OriginPages) {
  if (!isReading(request, response)) return;
  const left = new AbortController();
  response.once('close', () => left.abort());
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://origin');
  const path = decodePath(pathname.slice(prefix.length + 1));
  const page = path === undefined ? undefined : await render(path, searchParams, left.signal);
  if (page === undefined) {
    response.writeHead(404).end();
    return;
  }
  for (const [name, value] of Object.entries(page.headers)) response.setHeader(name, value);
  response.setHeader('x-content-type-options', 'nosniff');
  const { etag } = page.headers;
  if (etag !== undefined && request.headers['if-none-match'] === etag) {
    response.writeHead(304).end();
    return;
  }
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'content-length': page.html.length });
  response.end(request.method === 'HEAD' ? undefined : page.html);
}

function decodePath(path: string): string | undefined {
  try {
    return decodeURIComponent(path);
  } catch {
    return undefined;
  }
}

async function serve(request: IncomingMessage, response: ServerResponse, objects: ObjectStore, prefix: string) {
  response.setHeader('access-control-allow-origin', '*');
  if (!isReading(request, response)) return;
  const info = await findPublic(request.url ?? '/', objects, prefix);
  if (!info) {
    response.writeHead(404).end();
    return;
  }
  const range = parseByteRange(request.headers.range, info.bytes);
  response.setHeader('accept-ranges', 'bytes');
  response.setHeader('etag', `"${info.sha256}"`);
  response.setHeader('cache-control', immutable);
  if (request.headers['if-none-match'] === `"${info.sha256}"`) {
    response.writeHead(304).end();
    return;
  }
  if (range === 'unsatisfiable') {
    response.writeHead(416, { 'content-range': `bytes */${info.bytes}` }).end();
    return;
  }
  const { start, end } = range ?? { start: 0, end: info.bytes };
  if (range) response.setHeader('content-range', `bytes ${start}-${end - 1}/${info.bytes}`);
  response.writeHead(range ? 206 : 200, { 'content-type': info.contentType, 'content-length': end - start });
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  const { body } = await objects.open(info.key, { start, end });
  await pipeline(body, response);
}

/** The object behind a URL path; undefined for anything that is not a public object. */
async function findPublic(url: string, objects: ObjectStore, prefix: string): Promise<ObjectInfo | undefined> {
  try {
    const key = decodePath(url.split('?', 1)[0]?.slice(1) ?? '');
    return key?.startsWith(prefix) ? await objects.stat(key) : undefined;
  } catch (error) {
    // A path that is no key (e.g. traversal) names nothing public.
    if (error instanceof AppError && error.code === Code.INVALID_ARGUMENT) return undefined;
    throw error;
  }
}
