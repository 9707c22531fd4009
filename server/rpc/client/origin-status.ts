import type { StatusObject } from '@grpc/grpc-js';
import { Code } from '../../core/codes.ts';
import { OriginError } from '../../core/origins.ts';
import { detailsKey, fromStatus, pushbackKey } from '../status.ts';

/** What the transport itself says, with the address of the origin in it, and what callers are told instead. */
const transportTexts: readonly { code: Code; starts: string; reason: string; message: string }[] = [
  {
    code: Code.UNAVAILABLE,
    starts: 'No connection established',
    reason: 'ORIGIN_UNREACHABLE',
    message: 'The origin cannot be reached.',
  },
  {
    code: Code.UNAVAILABLE,
    starts: 'Name resolution failed',
    reason: 'ORIGIN_UNREACHABLE',
    message: 'The name of the origin cannot be resolved.',
  },
  {
    code: Code.UNAVAILABLE,
    starts: 'Connection dropped',
    reason: 'ORIGIN_DROPPED',
    message: 'The connection to the origin was lost.',
  },
  {
    code: Code.DEADLINE_EXCEEDED,
    starts: 'Deadline exceeded after',
    reason: 'DEADLINE_EXCEEDED',
    message: 'The origin gave no answer before the deadline.',
  },
];

/** A failed call of an origin; `isSent` tells whether anything of it reached a connection. */
export function originErrorFrom(status: StatusObject, isSent: boolean): OriginError {
  const { code, metadata } = status;
  const details = metadata.get(detailsKey)[0];
  const isOwn = details === undefined;
  const known = isOwn
    ? transportTexts.find((text) => text.code === code && status.details.startsWith(text.starts))
    : undefined;
  const read = fromStatus(status);
  const reason = known?.reason ?? read.reason;
  // Refused before any handler ran: by HTTP/2, or by a showrunner that is closing.
  const isRefused =
    code === Code.UNAVAILABLE && (status.details === 'Stream refused by server' || reason === 'SERVER_CLOSING');
  const pushback = Number.parseInt(String(metadata.get(pushbackKey)[0]), 10);
  const pushbackMs = Number.isNaN(pushback) ? undefined : pushback;
  const retryAfterMs = read.retryAfterMs ?? (pushbackMs !== undefined && pushbackMs >= 0 ? pushbackMs : undefined);
  return new OriginError({
    code: read.code,
    reason,
    message: known?.message ?? read.message,
    metadata: read.metadata,
    fields: read.fields,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(details instanceof Uint8Array ? { statusDetails: details } : {}),
    isProcessed: isSent && !isRefused,
    pushbackMs,
    cause: known === undefined ? undefined : new Error(status.details),
  });
}
