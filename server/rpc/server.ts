import { Server, type ServerCredentials, setLogger } from '@grpc/grpc-js';
import { Health } from '../../proto/gen/grpc/health/v1/health_pb.ts';
import type { CallPipeline } from '../core/call.ts';
import type { Clock } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { PlaceList } from '../core/place-list.ts';
import type { CallRun, RpcHost } from './call/call-run.ts';
import { createHeldBytes, type HeldBytes } from './call/held-bytes.ts';
import { entriesOf, type MethodEntry } from './call/method-entry.ts';
import { clientStreamAdapter, unaryAdapter } from './call/single-answer.ts';
import { bidiAdapter, serverStreamAdapter } from './call/stream-answer.ts';
import { watchCalls } from './call/transport-status.ts';
import { unknownMethodEntry } from './call/unknown-method.ts';
import { passBytes } from './codec.ts';
import { closeServer } from './drain.ts';
import { addressInUse, addressUnusable } from './errors.ts';
import { addHttp2Options, catchUnknownMethods } from './grpc-internals.ts';
import type { ServiceRegistration } from './handler.ts';
import { addHealth, type HealthService } from './health.ts';
import { reflectionServices } from './reflection.ts';
import { type ServerTls, serverCredentials } from './server-tls.ts';

/** What a server serves, where, and within which bounds. */
export interface RpcServerOptions {
  /** `host:port`; port 0 takes a free one. */
  readonly address: string;
  /** A service of each descriptor once. */
  readonly services: readonly ServiceRegistration[];
  /** The filter engine; without it calls run bare. */
  readonly pipeline?: CallPipeline | undefined;
  readonly log: Logger;
  readonly clock: Clock;
  /** Largest message accepted or sent, in bytes. */
  readonly maxMessageBytes: number;
  /** Largest request metadata, in bytes as HTTP/2 counts them (name + value + 32 per field). */
  readonly maxMetadataBytes: number;
  readonly tls?: ServerTls | undefined;
  /** How long `close` waits for calls in flight, in ms. */
  readonly drainTimeoutMs: number;
  /** Serve gRPC reflection v1 and v1alpha. */
  readonly reflection: boolean;
  /** Serve grpc.health.v1. */
  readonly health: boolean;
  /** Calls one connection may have in progress; more wait on the client. Default 4096. */
  readonly maxStreamsPerConnection?: number;
  /**
   * Bytes of requests that have not arrived in full and of single answers that were not taken, of all callers together;
   * past it the slowest calls of whoever holds most are cut. Default 64 of the largest messages, 64 MiB at least.
   */
  readonly maxHeldBytes?: number;
}

/** Counters since the start. Calls that the transport refused before a handler was found are not in them. */
export interface RpcServerStats {
  readonly callsInFlight: number;
  readonly callsStarted: number;
  readonly callsFailed: number;
  /** What waits for slow callers, see `maxHeldBytes`. */
  readonly heldBytes: number;
}

/** A server that listens. */
export interface RpcServer {
  /** `host:port` with the port that is really bound. */
  readonly address: string;
  /**
   * Reports NOT_SERVING, refuses new calls, waits for those in flight for `timeoutMs` (default `drainTimeoutMs`), then
   * aborts them. Idempotent; never rejects.
   */
  close(timeoutMs?: number): Promise<void>;
  /** Sets the health of a service, `''` for the whole server. */
  setServing(service: string, isServing: boolean): void;
  /** Reports NOT_SERVING for the whole server and every service, and answers on: balancers get time to turn away. */
  announceClose(): void;
  stats(): RpcServerStats;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A dead peer is noticed after a minute and twenty seconds; an idle connection is closed after half an hour. */
const connectionOptions = {
  'grpc.keepalive_time_ms': 60_000,
  'grpc.keepalive_timeout_ms': 20_000,
  'grpc.max_connection_idle_ms': 1_800_000,
  // Nobody reads channelz here, and it costs every call.
  'grpc.enable_channelz': 0,
};

/**
 * Streams that one connection may reset: at once, and per second from then on. Beyond it HTTP/2 cuts the connection
 * (CVE-2023-44487), and with it every call on it. Its defaults, 1000 and 33, are met by a proxy whose callers cancel.
 */
const resetOptions = { streamResetBurst: 10_000, streamResetRate: 1_000 };

/**
 * Metadata a little over our limit must reach our own check and its clear error, so HTTP/2 takes twice the limit,
 * and no less than by Node's default.
 */
const leastHeaderListBytes = 65_535;
const leastHeldBytes = 64 * 1024 * 1024;

/**
 * Starts a gRPC server. Throws ADDRESS_IN_USE, ADDRESS_UNUSABLE or TLS_INVALID.
 */
export async function startRpcServer(options: RpcServerOptions): Promise<RpcServer> {
  const host: RpcHost = {
    pipeline: options.pipeline,
    log: options.log,
    clock: options.clock,
    isTls: options.tls !== undefined,
    maxMessageBytes: options.maxMessageBytes,
    maxMetadataBytes: options.maxMetadataBytes,
    inFlight: new PlaceList<CallRun>(),
    isClosing: false,
    started: 0,
    failed: 0,
  };
  const credentials = serverCredentials(options.tls);
  redirectTransportLog(options.log);
  const { maxHeldBytes = Math.max(leastHeldBytes, 64 * options.maxMessageBytes) } = options;
  const held = createHeldBytes(maxHeldBytes);
  const server = createServer(options, held);
  catchUnknownMethods(server, (path) => unknownMethodEntry(host, path));
  addHttp2Options(server, {
    ...resetOptions,
    settings: { maxHeaderListSize: Math.max(leastHeaderListBytes, 2 * options.maxMetadataBytes) },
  });
  const health = registerAll(server, host, options);
  const address = await listen(server, options.address, credentials);
  let closing: Promise<void> | undefined;
  const close = (drainTimeoutMs = options.drainTimeoutMs) => {
    closing ??= closeServer({ server, host, health, drainTimeoutMs });
    return closing;
  };
  return {
    address,
    close,
    setServing: (service, isServing) => health?.setServing(service, isServing),
    announceClose: () => health?.announceClose(),
    stats: () => ({
      callsInFlight: host.inFlight.size,
      callsStarted: host.started,
      callsFailed: host.failed,
      heldBytes: held.total,
    }),
    [Symbol.asyncDispose]: () => close(),
  };
}

/** grpc-js writes to the console by itself, metadata values included: only the start of its texts is kept. */
function redirectTransportLog(log: Logger): void {
  const write = (text: unknown) => log.debug('transport', { text: String(text).split(': ', 1)[0] });
  setLogger({ error: write, info: write, debug: write });
}

function createServer({ maxMessageBytes, maxStreamsPerConnection = 4_096 }: RpcServerOptions, held: HeldBytes): Server {
  return new Server({
    ...connectionOptions,
    'grpc.max_concurrent_streams': maxStreamsPerConnection,
    'grpc.max_receive_message_length': maxMessageBytes,
    // Checked by the adapter, which gives the error its details.
    'grpc.max_send_message_length': -1,
    interceptors: [watchCalls(held)],
  });
}

function registerAll(server: Server, host: RpcHost, options: RpcServerOptions): HealthService | undefined {
  const described = options.services.map(({ desc }) => desc);
  if (options.health) described.push(Health);
  const registrations = options.reflection ? [...options.services, ...reflectionServices(described)] : options.services;
  for (const registration of registrations) {
    for (const entry of entriesOf(registration)) register(server, host, entry);
  }
  return options.health
    ? addHealth(
        server,
        options.services.map(({ desc }) => desc.typeName),
      )
    : undefined;
}

function register(server: Server, host: RpcHost, entry: MethodEntry): void {
  const { path } = entry;
  switch (entry.kind) {
    case 'unary':
      return void server.register(path, unaryAdapter(host, entry), passBytes, passBytes, 'unary');
    case 'server_stream':
      return void server.register(path, serverStreamAdapter(host, entry), passBytes, passBytes, 'serverStream');
    case 'client_stream':
      return void server.register(path, clientStreamAdapter(host, entry), passBytes, passBytes, 'clientStream');
    case 'bidi_stream':
      return void server.register(path, bidiAdapter(host, entry), passBytes, passBytes, 'bidi');
  }
}

function listen(server: Server, address: string, credentials: ServerCredentials): Promise<string> {
  return new Promise((resolve, reject) => {
    const refuse = (cause: unknown) => {
      const why = messageOf(cause);
      reject(why.includes('EADDRINUSE') ? addressInUse(address, cause) : addressUnusable(address, why, cause));
    };
    try {
      server.bindAsync(address, credentials, (error, port) => {
        if (error) refuse(error);
        else resolve(address.replace(/\d+$/, String(port)));
      });
    } catch (cause) {
      refuse(cause);
    }
  });
}
