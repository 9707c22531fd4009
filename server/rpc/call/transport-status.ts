import type {
  Metadata,
  ServerInterceptingCall,
  ServerInterceptingCallInterface,
  ServerInterceptor,
} from '@grpc/grpc-js';
import { Code } from '../../core/codes.ts';
import type { AppError } from '../../core/errors.ts';
import { deadlineExceeded, transportFailure } from '../errors.ts';
import { createDataHook, streamOf, transportCallOf, unfinishedBytesOf } from '../grpc-internals.ts';
import { detailsKey, fromStatus, toStatus } from '../status.ts';
import type { HeldBytes } from './held-bytes.ts';

type Status = Parameters<ServerInterceptingCallInterface['sendStatus']>[0];
type Listener = Parameters<ServerInterceptingCallInterface['start']>[0];

const failureKey = Symbol('failure');
const trailersKey = Symbol('trailers');
const answeredKey = Symbol('answered');

/** A transport call with what the interceptor and the adapter tell each other about it. */
interface WatchedCall extends ServerInterceptingCallInterface {
  /** A failure that the transport sent by itself. */
  [failureKey]?: AppError;
  /** Trailers of a successful call. */
  [trailersKey]?: Metadata;
  /** Its one message was sent: what still arrives of its requests does not matter. */
  [answeredKey]?: boolean;
}

/**
 * grpc-js ends some calls by itself (oversized request, passed deadline, bad grpc-timeout) with a bare status.
 * This watches every status of a call: a bare failure gets its details, and the adapter learns of it;
 * a success gets the trailers of the call (tracing drops those that are passed to the unary callback).
 * And it tells `held` of messages that wait for their caller.
 * It wraps methods of the call in place and allocates nothing: it runs for every call.
 */
export function watchCalls(held: HeldBytes): ServerInterceptor {
  const watchRequest = createDataHook((call: WatchedCall) => {
    if (call[answeredKey] !== true) held.note(streamOf(call), unfinishedBytesOf(call));
  });

  /**
   * The one message of a call does not wait for its way out before the status follows: both are in one turn of the event
   * loop, which spares every call a turn, a callback and a frame. A write that fails has lost its connection, and with
   * it the way for any status.
   */
  function sendOnlyMessage(this: WatchedCall, message: unknown, callback: () => void): void {
    Object.getPrototypeOf(this).sendMessage.call(this, message, ignoreSent);
    this[answeredKey] = true;
    if (message instanceof Uint8Array) held.note(streamOf(this), message.byteLength);
    callback();
  }

  return (method, call) => {
    call.sendStatus = sendWatchedStatus;
    if (!method.responseStream) call.sendMessage = sendOnlyMessage;
    if (method.requestStream) call.start = startWithLateHalfClose;
    watchRequest(call);
    // The chain needs the interface only; the declared return type is its one public implementation.
    return call as ServerInterceptingCall;
  };
}

function sendWatchedStatus(this: WatchedCall, status: Status): void {
  Object.getPrototypeOf(this).sendStatus.call(this, complete(this, status));
}

function ignoreSent(): void {}

/**
 * Node's HTTP/2 client, told to cancel, half-closes first and resets in the next frame: a handler would take the cut
 * stream for a whole one. So the half-close waits a turn of the event loop for a cancel that came with it.
 */
function startWithLateHalfClose(this: WatchedCall, listener: Listener): void {
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
  Object.getPrototypeOf(this).start.call(this, listener);
}

function complete(call: WatchedCall, status: Status): Status {
  if (status.code === Code.OK) {
    const metadata = call[trailersKey];
    return metadata === undefined ? status : { ...status, metadata };
  }
  if (status.metadata?.get(detailsKey).length) return status;
  const { code, message } = fromStatus({ code: status.code ?? Code.UNKNOWN, details: status.details ?? '' });
  const failure = code === Code.DEADLINE_EXCEEDED ? deadlineExceeded() : transportFailure(code, message);
  call[failureKey] = failure;
  return toStatus(failure, undefined, status.metadata ?? undefined);
}

/** The failure that the transport sent for a call by itself. */
export function transportErrorOf(wire: object): AppError | undefined {
  return (transportCallOf(wire) as WatchedCall)[failureKey];
}

/** Makes a successful call end with these trailers. */
export function noteTrailers(wire: object, trailers: Metadata | undefined): void {
  if (trailers !== undefined) (transportCallOf(wire) as WatchedCall)[trailersKey] = trailers;
}
