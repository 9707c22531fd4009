import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Code } from '../core/codes.ts';
import { type Counters, createCounters } from '../core/counters.ts';
import { AppError, isAbortError } from '../core/errors.ts';
import { listenHttp } from '../core/http-listen.ts';
import type { Logger } from '../core/log.ts';
import type { ObjectStore } from '../stores/objects/object-store.ts';
import { errnoOf } from '../stores/store-errors.ts';
import { serveFile, servePreflight } from './origin-files.ts';
import { type OriginPages, servePage } from './origin-pages.ts';

/** What the origin serves, where, and within which bounds. */
export interface HttpOriginOptions {
  /** `host:port`; port 0 takes a free one. */
  readonly address: string;
  readonly objects: ObjectStore;
  readonly log: Logger;
  /** Only keys with this prefix are public (default `titles/`). */
  readonly publicPrefix?: string;
  /** Connections beyond this are refused, and counted (default 1,024). */
  readonly maxConnections?: number;
  /** A connection over which nothing moves for this long is ended, in ms (default 120,000). */
  readonly idleTimeoutMs?: number;
  /** Pages that are made when they are asked for. Default none. */
  readonly pages?: OriginPages | undefined;
}

/** The appliance of last resort: serves published title files over HTTP, as an Open Connect appliance would. */
export interface HttpOrigin {
  /** `http://host:port`, no trailing slash. */
  readonly baseUrl: string;
  readonly counters: Counters<'connections_refused'>;
  /** Stops accepting and ends open connections. */
  close(): Promise<void>;
}

const listener = { name: 'The HTTP origin', setting: 'SHOWRUNNER_ORIGIN_ADDRESS' };

/** What a connection breaks with when its other side goes. */
const leavingCodes = ['ERR_STREAM_PREMATURE_CLOSE', 'ECONNRESET', 'EPIPE'];

/**
 * Starts the origin. GET and HEAD with single ranges, ETag, CORS (with its preflight) for players; everything else is
 * 404 or 405. Pages, where there are any, are served beside the files. Throws ADDRESS_IN_USE or ADDRESS_UNUSABLE.
 */
export async function startHttpOrigin(options: HttpOriginOptions): Promise<HttpOrigin> {
  const { address, log, pages } = options;
  const files = { objects: options.objects, prefix: options.publicPrefix ?? 'titles/' };
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const isPage = pages !== undefined && request.url?.startsWith(`/${pages.prefix}`) === true;
    if (request.method === 'OPTIONS' && !isPage) return servePreflight(response);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { allow: 'GET, HEAD' }).end();
      return;
    }
    const left = new AbortController();
    response.once('close', () => left.abort());
    await (isPage
      ? servePage(request, response, pages, left.signal)
      : serveFile(request, response, files, left.signal));
  };
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => fail(request, response, error, log));
  });
  const counters = createCounters('origin', { connections_refused: 'Connections refused: too many are open.' });
  server.on('drop', () => counters.add('connections_refused'));
  server.maxConnections = options.maxConnections ?? 1_024;
  server.requestTimeout = 30_000;
  server.timeout = options.idleTimeoutMs ?? 120_000;
  const bound = await listenHttp(server, address, listener);
  server.on('error', (error) => log.error('origin failed', { error }));
  return {
    baseUrl: `http://${bound}`,
    counters,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Logs what failed, and answers 503 or 500 or, where an answer has begun, cuts it. */
function fail(request: IncomingMessage, response: ServerResponse, error: unknown, log: Logger): void {
  // A player that leaves in the middle of a segment is no fault.
  const hasLeft = response.destroyed && (isAbortError(error) || leavingCodes.includes(errnoOf(error) ?? ''));
  if (!hasLeft) log.error('origin request failed', { path: request.url, error });
  if (response.headersSent) response.destroy();
  // The object store may be back in a moment: players ask again after a 503.
  else if (error instanceof AppError && error.code === Code.UNAVAILABLE) {
    response.writeHead(503, { 'retry-after': String(Math.ceil((error.retryAfterMs ?? 1_000) / 1_000)) }).end();
  } else response.writeHead(500).end();
}
