import { type ChannelInterface, Client, type Metadata } from '@grpc/grpc-js';
import { context, propagation, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { createCounters } from '../core/counters.ts';
import type { AppError } from '../core/errors.ts';
import type { OriginCallOptions, Origins } from '../core/origins.ts';
import { cancelByReset } from './client/cancel-by-reset.ts';
import { RawCall } from './client/raw-call.ts';
import { type ClientTls, channelCredentials } from './client.ts';
import { originInvalid, originsExhausted } from './errors.ts';
import { WireMetadata } from './metadata.ts';

/** Bounds and certificates of connections to other servers. */
export interface OriginsOptions {
  /** For targets that begin with `grpcs://`; absent = the CAs that Node ships. */
  readonly tls?: ClientTls | undefined;
  /** Largest response accepted, in bytes. */
  readonly maxMessageBytes: number;
  /**
   * Most origins that a connection is kept for; default 1000. Of those without calls the one used longest ago makes
   * room; a call that finds none throws ORIGINS_EXHAUSTED.
   */
  readonly maxOrigins?: number;
  /** Area of its counters; default `origins`. */
  readonly area?: string;
}

/** Connections to other servers with their owner's way to end them. */
export interface OriginConnections extends Origins {
  /** Closes every connection; calls in flight fail. */
  close(): void;
}

interface Connection {
  readonly target: string;
  readonly client: Client;
  readonly channel: ChannelInterface;
  inFlight: number;
  isReleased: boolean;
}

const channelOptions = {
  // Retries are the business of filters, and the buffer for them would defeat the back-pressure.
  'grpc.enable_retries': 0,
  'grpc.per_rpc_retry_buffer_size': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_channelz': 0,
  'grpc.enable_http_proxy': 0,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.max_send_message_length': -1,
  'grpc.initial_reconnect_backoff_ms': 200,
  'grpc.max_reconnect_backoff_ms': 5_000,
  'grpc.keepalive_time_ms': 300_000,
  'grpc.keepalive_timeout_ms': 20_000,
};

/** Keys of a request that belong to the caller's connection, not to its call. */
const connectionKeys = ['user-agent', 'host', 'content-length', 'connection', 'grpc-previous-rpc-attempts'];
const targetForm = /^(?:(grpcs?):\/\/)?([\w.-]+|\[[0-9a-f:]+\]):(\d{1,5})$/i;

/**
 * Connections to other servers, made when first needed and kept. Beside ORIGIN_INVALID, calls throw ORIGINS_EXHAUSTED,
 * METADATA_INVALID and, with `grpcs://`, TLS_INVALID.
 */
export function createOrigins(options: OriginsOptions): OriginConnections {
  const { maxOrigins = 1000, area = 'origins' } = options;
  cancelByReset();
  const counters = createCounters(area, { started: 'calls of origins', failed: 'calls of origins that failed' });
  const connections = new Map<string, Connection>();
  const releasing = new Set<Connection>();
  let inFlight = 0;

  function connectionOf(target: string): Connection {
    const found = connections.get(target);
    if (found !== undefined) {
      // Insertion order is order of use.
      connections.delete(target);
      connections.set(target, found);
      return found;
    }
    if (connections.size >= maxOrigins) makeRoom();
    const [, scheme, host, port] = targetForm.exec(target) ?? [];
    if (host === undefined || Number(port) > 65_535) throw originInvalid(target);
    const credentials = channelCredentials(scheme === 'grpcs' ? (options.tls ?? {}) : undefined);
    const client = new Client(`${host}:${port}`, credentials, {
      ...channelOptions,
      'grpc.max_receive_message_length': options.maxMessageBytes,
      ...(options.tls?.serverName === undefined ? {} : { 'grpc.ssl_target_name_override': options.tls.serverName }),
    });
    const connection = { target, client, channel: client.getChannel(), inFlight: 0, isReleased: false };
    connections.set(target, connection);
    return connection;
  }

  function makeRoom(): void {
    const idle = [...connections.values()].find((connection) => connection.inFlight === 0);
    if (idle === undefined) throw originsExhausted(maxOrigins);
    release(idle);
  }

  function release(connection: Connection): void {
    connections.delete(connection.target);
    connection.isReleased = true;
    releasing.add(connection);
    closeIdle(connection);
  }

  function closeIdle(connection: Connection): void {
    if (!connection.isReleased || connection.inFlight > 0) return;
    releasing.delete(connection);
    connection.client.close();
  }

  function call(target: string, path: string, requests: AsyncIterable<Uint8Array>, callOptions: OriginCallOptions) {
    const connection = connectionOf(target);
    const metadata = requestMetadata(callOptions);
    const span = startSpan(path, target, metadata);
    counters.add('started');
    connection.inFlight++;
    inFlight++;
    const ended = (failure: AppError | undefined) => {
      inFlight--;
      connection.inFlight--;
      if (failure !== undefined) counters.add('failed');
      if (failure !== undefined) span?.setStatus({ code: SpanStatusCode.ERROR, message: failure.reason });
      span?.end();
      closeIdle(connection);
    };
    return new RawCall({ channel: connection.channel, path, metadata, requests, options: callOptions, ended });
  }

  return {
    call,
    connect: (target) => void connectionOf(target).channel.getConnectivityState(true),
    release: (target) => {
      const connection = connections.get(target);
      if (connection !== undefined) release(connection);
    },
    stats: () => ({ ...counters.snapshot(), inFlight, origins: connections.size }),
    close: () => {
      for (const { client } of [...connections.values(), ...releasing]) client.close();
      connections.clear();
      releasing.clear();
    },
  };
}

/** Throws METADATA_INVALID. */
function requestMetadata({ metadata, dropMetadata, addMetadata }: OriginCallOptions): Metadata {
  const sent = metadata instanceof WireMetadata ? new WireMetadata(metadata.wire.clone()) : new WireMetadata();
  if (metadata !== undefined && !(metadata instanceof WireMetadata)) {
    for (const key of metadata.keys()) for (const value of metadata.getAll(key)) sent.append(key, value);
  }
  for (const key of connectionKeys) sent.delete(key);
  for (const key of dropMetadata ?? []) sent.delete(key);
  for (const key in addMetadata) sent.set(key, addMetadata[key] ?? '');
  return sent.wire;
}

/** A client span under the active one, carried on to the origin; none when nothing is traced. */
function startSpan(path: string, target: string, metadata: Metadata): Span | undefined {
  if (trace.getActiveSpan() === undefined) return undefined;
  const attributes = { 'rpc.system': 'grpc', 'server.address': target };
  const span = trace.getTracer('showrunner').startSpan(path.slice(1), { kind: SpanKind.CLIENT, attributes });
  const set = (carrier: Metadata, key: string, value: string) => carrier.set(key, value);
  propagation.inject(trace.setSpan(context.active(), span), metadata, { set });
  return span;
}
