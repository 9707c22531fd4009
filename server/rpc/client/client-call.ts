import type { EventEmitter } from 'node:events';
import { type DescMessage, toBinary } from '@bufbuild/protobuf';
import { type CallOptions, Metadata, type StatusObject } from '@grpc/grpc-js';
import type { CallMetadata } from '../../core/call.ts';
import { AppError, messageOf } from '../../core/errors.ts';
import { toMessage, viewOf } from '../codec.ts';
import { callCancelled, internalError, requestInvalid } from '../errors.ts';
import { WireMetadata } from '../metadata.ts';
import { fromStatus } from '../status.ts';

/** Keys that end in `-bin` take bytes. */
export type MetadataInit = Readonly<Record<string, string | Uint8Array>>;

/** Options of one outgoing call. */
export interface RpcCallOptions {
  /** Cancels the call; it then fails with CANCELLED. */
  readonly signal?: AbortSignal | undefined;
  /** How long the call may take from now, in ms; absent = no limit. */
  readonly deadlineMs?: number | undefined;
  /** Sent with the request, over the client's own. */
  readonly metadata?: MetadataInit | undefined;
  /** Gets the metadata that comes before the first response. */
  readonly onHeader?: ((header: CallMetadata) => void) | undefined;
  /** Gets the metadata that comes with the status, on success and on failure. */
  readonly onTrailer?: ((trailer: CallMetadata) => void) | undefined;
}

/** What a transport error says, as AppError; an AppError stays as it is. */
export function appErrorFrom(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'number') return internalError(error);
  const details = 'details' in error && typeof error.details === 'string' ? error.details : error.message;
  const metadata = 'metadata' in error && error.metadata instanceof Metadata ? error.metadata : undefined;
  return fromStatus({ code: error.code, details, metadata }, error);
}

/** Throws REQUEST_INVALID. */
export function encodeRequest(desc: DescMessage, request: unknown): Buffer {
  try {
    return viewOf(toBinary(desc, toMessage(desc, request)));
  } catch (cause) {
    throw requestInvalid(desc.typeName, messageOf(cause), cause);
  }
}

/** Throws CALL_CANCELLED when the signal is aborted already, METADATA_INVALID for keys or values not allowed. */
export function prepareCall(common: MetadataInit, options: RpcCallOptions): [Metadata, CallOptions] {
  if (options.signal?.aborted) throw callCancelled();
  const metadata = new WireMetadata();
  for (const [key, value] of Object.entries({ ...common, ...options.metadata })) metadata.set(key, value);
  const { deadlineMs } = options;
  return [metadata.wire, deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs }];
}

/** Ties a started call to its options until its status arrives. */
export function watchCall(call: EventEmitter & { cancel(): void }, options: RpcCallOptions): void {
  const { signal, onHeader, onTrailer } = options;
  const cancel = () => call.cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  if (onHeader) call.once('metadata', (header: Metadata) => onHeader(new WireMetadata(header)));
  call.once('status', (status: StatusObject) => {
    signal?.removeEventListener('abort', cancel);
    onTrailer?.(new WireMetadata(status.metadata));
  });
}
