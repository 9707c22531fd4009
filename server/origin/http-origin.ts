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

/** Starts the origin. GET and HEAD with single ranges, ETag, CORS for players; everything else is 404 or 405. */
export async function startHttpOrigin(options: HttpOriginOptions): Promise<HttpOrigin> {
  const { address, objects, log, publicPrefix = 'titles/' } = options;
  const server = createServer((request, response) => {
    serve(request, response, objects, publicPrefix).catch((error: unknown) => {
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

async function serve(request: IncomingMessage, response: ServerResponse, objects: ObjectStore, prefix: string) {
  response.setHeader('access-control-allow-origin', '*');
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.writeHead(405, { allow: 'GET, HEAD' }).end();
    return;
  }
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
    const key = decodeURIComponent(url.split('?', 1)[0]?.slice(1) ?? '');
    return key.startsWith(prefix) ? await objects.stat(key) : undefined;
  } catch (error) {
    // A path that is no key (bad escape, traversal) names nothing public.
    if (error instanceof URIError || (error instanceof AppError && error.code === Code.INVALID_ARGUMENT))
      return undefined;
    throw error;
  }
}
