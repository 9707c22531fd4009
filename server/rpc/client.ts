import { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { DescMessage, DescMethod, DescService, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { type ChannelCredentials, Client, credentials } from '@grpc/grpc-js';
import { messageOf } from '../core/errors.ts';
import { checkAuthorities } from './ca-certificates.ts';
import { cancelByReset } from './client/cancel-by-reset.ts';
import type { MetadataInit, RpcCallOptions } from './client/client-call.ts';
import { type AnyClientMethod, clientMethod } from './client/client-method.ts';
import { tlsInvalid } from './errors.ts';

/** PEM contents, not paths. */
export interface ClientTls {
  /** CA that signs the server's certificate; absent = the CAs that Node ships. */
  readonly ca?: string | Buffer | undefined;
  /** Certificate and key of the client, for mTLS. */
  readonly cert?: string | Buffer | undefined;
  readonly key?: string | Buffer | undefined;
  /** Name expected in the server's certificate, when it is not the host of the address. */
  readonly serverName?: string | undefined;
  /** The server shows the first certificate of `ca` itself: it alone is trusted, whatever its name and who signed it. */
  readonly isPinned?: boolean | undefined;
}

/** Which server a client calls, and what holds for all its calls. */
export interface RpcClientOptions {
  /** `host:port`. */
  readonly address: string;
  /** Absent = no TLS. */
  readonly tls?: ClientTls | undefined;
  /** Sent with every call, e.g. `authorization`. */
  readonly metadata?: MetadataInit | undefined;
  /** How long a call may take that says nothing of it, in ms; absent = no limit. */
  readonly deadlineMs?: number | undefined;
  /** Largest response accepted, in bytes. Default 256 MiB, the most a server may be set to send. */
  readonly maxMessageBytes?: number | undefined;
}

type Shape<K extends DescMethod['methodKind'], I extends DescMessage, O extends DescMessage> = {
  readonly methodKind: K;
  readonly input: I;
  readonly output: O;
};

/** The function that a method descriptor gives; a descriptor read at run time says nothing about its types. */
export type ClientMethod<M> = DescMethod extends M
  ? AnyClientMethod
  : M extends Shape<'unary', infer I, infer O>
    ? (request: MessageInitShape<I>, options?: RpcCallOptions) => Promise<MessageShape<O>>
    : M extends Shape<'server_streaming', infer I, infer O>
      ? (request: MessageInitShape<I>, options?: RpcCallOptions) => AsyncIterableIterator<MessageShape<O>>
      : M extends Shape<'client_streaming', infer I, infer O>
        ? (requests: AsyncIterable<MessageInitShape<I>>, options?: RpcCallOptions) => Promise<MessageShape<O>>
        : M extends Shape<'bidi_streaming', infer I, infer O>
          ? (
              requests: AsyncIterable<MessageInitShape<I>>,
              options?: RpcCallOptions,
            ) => AsyncIterableIterator<MessageShape<O>>
          : never;

/**
 * Methods by local name. Calls start at once; a stream is read as fast as it is iterated, and leaving the loop
 * cancels it. Every failure is an AppError.
 */
export type RpcClient<D extends DescService> = {
  readonly [K in keyof D['method']]: ClientMethod<D['method'][K]>;
} & { close(): void; [Symbol.dispose](): void };

/**
 * A typed client of one service. Clients of the same address and options share a connection.
 * Throws TLS_INVALID for unusable PEM contents.
 */
export function createRpcClient<D extends DescService>(desc: D, options: RpcClientOptions): RpcClient<D> {
  const { address, metadata = {}, deadlineMs } = options;
  cancelByReset();
  const client = new Client(address, channelCredentials(options.tls), channelOptions(options));
  const close = () => client.close();
  const methods = desc.methods.map((method) => {
    const call = clientMethod(client, method, metadata);
    const limited: AnyClientMethod = (input, own) => call(input, { deadlineMs, ...own });
    return [method.localName, deadlineMs === undefined ? call : limited];
  });
  // The descriptor that named the methods also gave their types.
  return Object.assign(Object.fromEntries(methods), { close, [Symbol.dispose]: close }) as RpcClient<D>;
}

function channelOptions({ address, tls, maxMessageBytes = 268_435_456 }: RpcClientOptions) {
  const isLocal = /^(localhost|127\.|\[::1\])/.test(address);
  return {
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.enable_channelz': 0,
    // A proxy cannot reach this machine's loopback.
    ...(isLocal ? { 'grpc.enable_http_proxy': 0 } : {}),
    ...(tls?.serverName === undefined ? {} : { 'grpc.ssl_target_name_override': tls.serverName }),
  };
}

/** No TLS for undefined. Throws TLS_INVALID. */
export function channelCredentials(tls: ClientTls | undefined): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  const toBuffer = (pem: string | Buffer | undefined) => (pem === undefined ? null : Buffer.from(pem));
  try {
    if (tls.ca !== undefined) checkAuthorities(tls.ca);
    if (tls.ca !== undefined && tls.isPinned) return pinnedCredentials(tls.ca);
    return credentials.createSsl(toBuffer(tls.ca), toBuffer(tls.key), toBuffer(tls.cert));
  } catch (cause) {
    throw tlsInvalid(messageOf(cause), cause);
  }
}

/** The rest of a chain is left out: whoever has a certificate of the same authority would be taken for the server. */
function pinnedCredentials(chain: string | Buffer): ChannelCredentials {
  const ca = new X509Certificate(chain).toString();
  const context = createSecureContext({ ca, allowPartialTrustChain: true });
  return credentials.createFromSecureContext(context, { checkServerIdentity: () => undefined });
}
