import type { IncomingHttpHeaders } from 'node:http';
import type { CallMetadata } from '../core/call.ts';
import { WireMetadata } from '../rpc/metadata.ts';
import { headerMalformed } from './errors.ts';

/** How the bodies of a call are written. */
export interface CallForm {
  /** The request is base64. */
  readonly isTextRequest: boolean;
  /** The answer is to be base64. */
  readonly isTextAnswer: boolean;
}

const contentTypeForm = /^application\/grpc-web(-text)?(?:\+proto)?\s*(?:;.*)?$/i;

/** The form that a request names; undefined for what is no gRPC-web with protobuf, or is compressed as a whole. */
export function formOf(headers: IncomingHttpHeaders): CallForm | undefined {
  const match = contentTypeForm.exec(headers['content-type'] ?? '');
  const encoding = headers['content-encoding'] ?? 'identity';
  if (match === null || encoding.toLowerCase() !== 'identity') return undefined;
  const isTextRequest = match[1] !== undefined;
  const accept = headers.accept?.toLowerCase() ?? '';
  // Who accepts something else in general gets what it sent.
  const isNamed = accept.includes('application/grpc-web');
  return { isTextRequest, isTextAnswer: isNamed ? accept.includes('application/grpc-web-text') : isTextRequest };
}

const timeoutForm = /^(\d{1,8})([HMSmun])$/;
const unitMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 0.001, n: 0.000_001 };
/** The transport counts time-outs in 32 bits, so that longer ones would be over at once. */
const maxTimeoutMs = 2 ** 31 - 1;

/** When the call must have ended, Unix ms; Infinity without a `grpc-timeout`. Throws HEADER_MALFORMED. */
export function deadlineOf(headers: IncomingHttpHeaders, nowMs: number): number {
  const value = headers['grpc-timeout'];
  if (value === undefined) return Number.POSITIVE_INFINITY;
  const [, amount, unit = ''] = timeoutForm.exec(String(value)) ?? [];
  if (amount === undefined) throw headerMalformed('grpc-timeout', 'up to 8 digits and one of H, M, S, m, u, n');
  const timeoutMs = Number(amount) * (unitMs[unit] ?? 0);
  return timeoutMs > maxTimeoutMs ? Number.POSITIVE_INFINITY : nowMs + timeoutMs;
}

/** Headers of the connection, the browser and its proxies: none of them is the call's. */
const notMetadata = new Set(
  [
    ['connection', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'expect', 'via', 'host'],
    ['content-type', 'content-length', 'content-encoding', 'accept', 'accept-charset', 'accept-encoding'],
    ['accept-language', 'cache-control', 'pragma', 'priority', 'dnt', 'date', 'origin', 'referer', 'user-agent'],
    ['cookie', 'forwarded', 'x-real-ip', 'x-grpc-web', 'x-user-agent'],
  ].flat(),
);
const notMetadataForm = /^(?:sec-|proxy-|access-control-|x-forwarded-|grpc-)/;
const keyForm = /^[0-9a-z_.-]+$/;
const asciiForm = /^[ -~]*$/;
const base64Form = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2,3}={0,2})?$/;

/**
 * The metadata of the call: all headers that are the caller's own, and `x-forwarded-for` with the address that the
 * connection comes from, in place of whatever the caller says. Throws HEADER_MALFORMED.
 */
export function requestMetadata(headers: IncomingHttpHeaders, remoteAddress: string | undefined): WireMetadata {
  const metadata = new WireMetadata();
  const ofConnection = headers.connection?.toLowerCase().split(/\s*,\s*/) ?? [];
  for (const name in headers) {
    if (notMetadata.has(name) || notMetadataForm.test(name) || ofConnection.includes(name)) continue;
    if (!keyForm.test(name)) throw headerMalformed(name, 'a name of letters, digits, "_", "-" and "."');
    const value = String(headers[name]);
    if (name.endsWith('-bin')) for (const part of value.split(',')) metadata.append(name, bytesOf(name, part.trim()));
    else if (asciiForm.test(value)) metadata.append(name, value);
    else throw headerMalformed(name, 'a value of printable ASCII');
  }
  if (remoteAddress !== undefined) metadata.set('x-forwarded-for', remoteAddress);
  return metadata;
}

function bytesOf(name: string, text: string): Buffer {
  if (!base64Form.test(text)) throw headerMalformed(name, 'base64');
  return Buffer.from(text, 'base64');
}

/** What of an answer's metadata the transport made, and what HTTP keeps for the listener itself. */
const notAnswered =
  /^(?:content-|access-control-|set-cookie$|connection$|keep-alive$|transfer-encoding$|trailer$|upgrade$|date$|vary$)/;
const answeredGrpc = new Set(['grpc-status-details-bin', 'grpc-retry-pushback-ms']);

/**
 * Metadata of an answer as header lines: name and value. Bytes are base64 in text mode, too, as all clients in use read
 * them, although the protocol would leave it out there.
 */
export function headerLines(metadata: CallMetadata): [name: string, value: string][] {
  const names = metadata.keys().filter((key) => !notAnswered.test(key));
  const own = names.filter((key) => !key.startsWith('grpc-') || answeredGrpc.has(key));
  return own.map((key) => [key, metadata.getAll(key).map(textOf).join(', ')]);
}

function textOf(value: string | Uint8Array): string {
  return typeof value === 'string' ? value : Buffer.from(value).toString('base64');
}
