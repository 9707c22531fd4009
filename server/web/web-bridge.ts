import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Clock } from '../core/clock.ts';
import { type Counters, createCounters } from '../core/counters.ts';
import { listenHttp } from '../core/http-listen.ts';
import type { Logger } from '../core/log.ts';
import { settlesWithin } from '../core/settles-within.ts';
import { createOrigins } from '../rpc/raw-client.ts';
import type { ServerTls } from '../rpc/server-tls.ts';
import { formOf } from './call-head.ts';
import { answerPreflight, createCors } from './cors.ts';
import { createWebCalls, type WebCalls } from './web-calls.ts';

/** Where browsers are listened to, whose they may be, and how much they may take. */
export interface WebBridgeOptions {
  /** `host:port` to listen on; port 0 takes a free one. */
  readonly address: string;
  /** Address of the gRPC server of this process, as it is bound. */
  readonly target: string;
  /** Certificate of both listeners; absent = no TLS. */
  readonly tls?: Pick<ServerTls, 'cert' | 'key'> | undefined;
  /** Origins whose pages may call, or `*` alone. */
  readonly origins: readonly string[];
  /** Largest message, in bytes. */
  readonly maxMessageBytes: number;
  /** Largest request metadata that the gRPC server takes, in bytes; HTTP takes twice as much. */
  readonly maxMetadataBytes: number;
  readonly clock: Clock;
  readonly log: Logger;
  /** Calls in progress at once; more are refused (default 1,000). Twice as many connections may be open. */
  readonly maxCalls?: number;
  /** Largest body of several messages, in bytes (default 64 MiB, and no less than a message). */
  readonly maxBodyBytes?: number;
  /** A reader who takes nothing for this long is cut, in ms (default 120,000). */
  readonly stallTimeoutMs?: number;
  /** What answers get to reach their browsers once the gRPC server has ended their calls, in ms (default 1,000). */
  readonly flushTimeoutMs?: number;
}

type CounterName = 'calls' | 'calls_refused' | 'connections_refused' | 'origins_refused' | 'readers_cut';

/** A second listener: browsers' gRPC-web over HTTP/1.1, handed on to the gRPC server of this process. */
export interface WebBridge {
  /** `host:port` that is really bound. */
  readonly address: string;
  readonly counters: Counters<CounterName>;
  /** Calls in progress. */
  inFlight(): number;
  /** Stops listening and refuses new calls; those in progress go on. */
  stop(): void;
  /** Stops, gives the calls in progress a moment to end, and cuts what is left. After the gRPC server has drained. */
  close(): Promise<void>;
}

const listener = { name: 'The gRPC-web listener', setting: 'SHOWRUNNER_WEB_ADDRESS' };
/** The time for a whole request to arrive, in ms. */
const requestTimeoutMs = 60_000;
/** Dead browsers are noticed by TCP: a stream may be quiet for long. In ms. */
const keepAliveDelayMs = 60_000;
const defaultBodyBytes = 67_108_864;
const leastHeaderBytes = 16_384;
const methodPath = /^\/[\w.]+\/\w+$/;

/** Starts the listener. Throws ADDRESS_IN_USE, ADDRESS_UNUSABLE or TLS_INVALID. */
export async function startWebBridge(options: WebBridgeOptions): Promise<WebBridge> {
  const { address, target, tls, maxMessageBytes, clock, log, maxCalls = 1_000, stallTimeoutMs = 120_000 } = options;
  const { maxBodyBytes = Math.max(defaultBodyBytes, 2 * maxMessageBytes), flushTimeoutMs = 1_000 } = options;
  const counters = createCounters('web', {
    calls: 'Calls taken by gRPC-web.',
    calls_refused: 'Calls refused: too many are in progress.',
    connections_refused: 'Connections refused: too many are open.',
    origins_refused: 'Requests of pages whose origin is not allowed.',
    readers_cut: 'Connections cut: the browser took nothing of its answer.',
  });
  const origins = createOrigins({
    area: 'web.server',
    maxMessageBytes,
    // Of a name only, for TLS knows no addresses; the certificate is what is checked.
    ...(tls === undefined ? {} : { tls: { ca: tls.cert, isPinned: true, serverName: 'localhost' } }),
  });
  const calls = createWebCalls({
    ...{ origins, clock, log, counters, maxCalls, maxMessageBytes, maxBodyBytes, stallTimeoutMs },
    target: `${tls === undefined ? 'grpc' : 'grpcs'}://${reachable(target)}`,
  });
  const server = createListener(options, requestHandler(calls, options, counters));
  server.maxConnections = 2 * maxCalls;
  server.on('drop', () => counters.add('connections_refused'));
  const bound = await listenHttp(server, address, listener);
  server.on('error', (error) => log.error('gRPC-web listener failed', { error }));
  const isClosed = Promise.withResolvers<void>();
  const stop = () => {
    void calls.drain();
    if (server.listening) server.close(() => isClosed.resolve());
  };
  return {
    ...{ address: bound, counters, stop, inFlight: calls.inFlight },
    close: async () => {
      stop();
      await settlesWithin(clock, flushTimeoutMs, calls.drain());
      server.closeAllConnections();
      await isClosed.promise;
      origins.close();
    },
  };
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** What a request must be before it is a call: of an allowed page, a POST of gRPC-web to a path of a method. */
function requestHandler(calls: WebCalls, { origins }: WebBridgeOptions, counters: Counters<CounterName>): Handler {
  const cors = createCors(origins);
  return (request, response) => {
    if (!cors.admit(request, response)) {
      counters.add('origins_refused');
      return refuse(response, 403, 'Pages of this origin may not call.');
    }
    if (request.method === 'OPTIONS') return answerPreflight(request, response);
    if (request.method !== 'POST') {
      response.setHeader('allow', 'POST, OPTIONS');
      return refuse(response, 405, 'Calls by gRPC-web are POST requests.');
    }
    const form = formOf(request.headers);
    if (form === undefined) {
      response.setHeader('accept-encoding', 'identity');
      return refuse(response, 415, 'Expected application/grpc-web+proto or application/grpc-web-text+proto.');
    }
    const path = request.url ?? '';
    if (!methodPath.test(path)) return refuse(response, 404, 'Expected a path /package.Service/Method.');
    calls.start(request, response, path, form);
  };
}

function refuse(response: ServerResponse, status: number, why: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${why}\n`);
}

function createListener({ tls, maxMetadataBytes }: WebBridgeOptions, handler: Handler): Server {
  const settings: ServerOptions = {
    // Metadata a little over the limit reaches the gRPC server, which says so.
    maxHeaderSize: Math.max(leastHeaderBytes, 2 * maxMetadataBytes),
    // Of two credentials none is dropped: the authentication filter refuses both.
    joinDuplicateHeaders: true,
    requestTimeout: requestTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelay: keepAliveDelayMs,
  };
  return tls === undefined
    ? createServer(settings, handler)
    : createTlsServer({ ...settings, cert: tls.cert, key: tls.key }, handler);
}

/** A server that listens everywhere is reached on the loopback. */
function reachable(address: string): string {
  return address.replace(/^0\.0\.0\.0:/, '127.0.0.1:').replace(/^\[::\]:/, '[::1]:');
}
