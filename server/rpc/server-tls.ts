import { createSecureContext } from 'node:tls';
import { ServerCredentials } from '@grpc/grpc-js';
import { messageOf } from '../core/errors.ts';
import { checkAuthorities } from './ca-certificates.ts';
import { tlsInvalid } from './errors.ts';

/** PEM contents, not paths. */
export interface ServerTls {
  /** Certificate chain of the server, leaf first. */
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
  /** CA that signs client certificates; its presence demands one of every client (mTLS). */
  readonly clientCa?: string | Buffer | undefined;
}

/** Throws TLS_INVALID when the contents are no PEM or do not belong together. */
export function serverCredentials(tls: ServerTls | undefined): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure();
  const { cert, key, clientCa } = tls;
  try {
    createSecureContext({ cert, key });
    if (clientCa !== undefined) checkAuthorities(clientCa);
  } catch (cause) {
    throw tlsInvalid(messageOf(cause), cause);
  }
  const pair = { cert_chain: Buffer.from(cert), private_key: Buffer.from(key) };
  const isMutual = clientCa !== undefined;
  return ServerCredentials.createSsl(isMutual ? Buffer.from(clientCa) : null, [pair], isMutual);
}
