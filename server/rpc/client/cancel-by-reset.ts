import type { ClientHttp2Stream } from 'node:http2';
import { addAbortSignal } from 'node:stream';
import { Http2SubchannelCall } from '@grpc/grpc-js/build/src/subchannel-call.js';
import { Code } from '../../core/codes.ts';
import { internalError } from '../errors.ts';

const method = 'destroyHttp2Stream';
const aborted = AbortSignal.abort();
let isDone = false;

/**
 * Makes every client of grpc-js in this process cancel a call whose requests have not ended by a reset alone. By itself it
 * closes the stream, which Node does by half-closing it first and resetting it in the next frame: a server that reads the
 * one before the other takes the requests so far for all of them, and may act on half of an upload. grpc-js has no hook
 * for it, hence this touch of a private method. Idempotent. Throws when grpc-js has no such method.
 */
export function cancelByReset(): void {
  if (isDone) return;
  const close: unknown = Reflect.get(Http2SubchannelCall.prototype, method);
  if (typeof close !== 'function') {
    throw internalError(new Error('this version of @grpc/grpc-js ends the streams of its calls elsewhere'));
  }
  Reflect.set(Http2SubchannelCall.prototype, method, function (this: object) {
    const stream: ClientHttp2Stream = Reflect.get(this, 'http2Stream');
    const isAnswered =
      Reflect.get(this, 'serverEndedCall') === true || Reflect.get(this, 'finalStatus')?.code === Code.OK;
    // Node resets with CANCEL for its own kind of AbortError only, which a signal makes.
    if (isAnswered || stream.writableEnded || stream.destroyed) close.call(this);
    else addAbortSignal(aborted, stream);
  });
  isDone = true;
}
