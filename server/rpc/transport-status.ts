import type {
  Metadata,
  ServerInterceptingCall,
  ServerInterceptingCallInterface,
  ServerInterceptor,
} from '@grpc/grpc-js';
import { Code } from '../core/codes.ts';
import type { AppError } from '../core/errors.ts';
import { deadlineExceeded, transportFailure } from './errors.ts';
import { detailsKey, fromStatus, toStatus } from './status.ts';

type Listener = Parameters<ServerInterceptingCallInterface['start']>[0];
type Status = Parameters<ServerInterceptingCall['sendStatus']>[0];

/** Where the interceptor leaves its notes for the adapter: in the request metadata, never sent. */
const notesKey = 'showrunner.transport';

interface TransportNotes {
  /** A failure that the transport sent by itself. */
  failure: AppError | undefined;
  /** Trailers of a successful call. */
  trailers: Metadata | undefined;
}

/**
 * grpc-js ends some calls by itself (oversized request, passed deadline, bad grpc-timeout) with a bare status.
 * This watches every status of a call: a bare failure gets its details, and the adapter learns of it;
 * a success gets the trailers of the call (tracing drops those that are passed to the unary callback).
 */
export const watchStatus: ServerInterceptor = (method, call) => {
  const notes: TransportNotes = { failure: undefined, trailers: undefined };
  const { start, sendStatus } = call;
  call.start = (listener) => {
    const { onReceiveMetadata } = listener;
    listener.onReceiveMetadata = (metadata) => {
      metadata.setOpaque(notesKey, notes);
      onReceiveMetadata.call(listener, metadata);
    };
    if (method.requestStream) deferHalfClose(listener);
    start.call(call, listener);
  };
  call.sendStatus = (status) => sendStatus.call(call, complete(status, notes));
  // The chain needs the interface only; the declared return type is its one public implementation.
  return call as ServerInterceptingCall;
};

/**
 * Node's HTTP/2 client, told to cancel, half-closes first and resets in the next frame: a handler would take the cut
 * stream for a whole one. So the half-close waits a turn of the event loop for a cancel that came with it.
 */
function deferHalfClose(listener: Listener): void {
  const { onReceiveHalfClose, onCancel } = listener;
  let isCancelled = false;
  listener.onCancel = () => {
    isCancelled = true;
    onCancel.call(listener);
  };
  listener.onReceiveHalfClose = () => {
    setImmediate(() => {
      if (!isCancelled) onReceiveHalfClose.call(listener);
    });
  };
}

function complete(status: Status, notes: TransportNotes): Status {
  if (status.code === Code.OK) {
    return notes.trailers === undefined ? status : { ...status, metadata: notes.trailers };
  }
  if (status.metadata?.get(detailsKey).length) return status;
  const { code, message } = fromStatus({ code: status.code ?? Code.UNKNOWN, details: status.details ?? '' });
  notes.failure = code === Code.DEADLINE_EXCEEDED ? deadlineExceeded() : transportFailure(code, message);
  return toStatus(notes.failure, undefined, status.metadata ?? undefined);
}

function notesOf(metadata: Metadata): TransportNotes | undefined {
  return metadata.getOpaque(notesKey) as TransportNotes | undefined;
}

/** The failure that the transport sent for a call by itself. */
export function transportErrorOf(metadata: Metadata): AppError | undefined {
  return notesOf(metadata)?.failure;
}

/** Makes a successful call end with these trailers. */
export function noteTrailers(metadata: Metadata, trailers: Metadata | undefined): void {
  const notes = notesOf(metadata);
  if (notes !== undefined) notes.trailers = trailers;
}
