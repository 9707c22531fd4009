import { AsyncResource } from 'node:async_hooks';
import type { DescMessage } from '@bufbuild/protobuf';
import type { ServerDuplexStream, ServerWritableStream } from '@grpc/grpc-js';
import { droppedMessage } from '../../core/dropped-message.ts';
import { encodeResponse } from '../codec.ts';
import { DrainGate } from '../drain-gate.ts';
import type { CallRun } from './call-run.ts';
import { giveResponse } from './session-hooks.ts';
import { noteTrailers } from './transport-status.ts';

/** A streaming call's response side on the transport. */
export type ResponseWire = ServerWritableStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>;

type Source = Iterator<unknown> | AsyncIterator<unknown>;

/**
 * Sends every response, then the status; an unknown method has no `desc`, its messages are bytes. The source is pulled
 * only while the transport takes more, so a reader that stops holds a bounded number of messages; when the call ends
 * early the source is told to return.
 */
export async function pumpResponses(
  run: CallRun,
  desc: DescMessage | undefined,
  wire: ResponseWire,
  responses: Iterable<unknown> | AsyncIterable<unknown>,
): Promise<void> {
  const source: Source =
    Symbol.asyncIterator in responses ? responses[Symbol.asyncIterator]() : responses[Symbol.iterator]();
  const gate = new DrainGate(wire);
  // A source that waits for its next item must learn of the end; its `finally` runs in the context of the call.
  const stop = AsyncResource.bind(() => leaveSource(run, source));
  run.onStop(() => {
    gate.open();
    stop();
  });
  let isExhausted = false;
  try {
    isExhausted = await writeAll(run, desc, wire, source, gate);
  } finally {
    if (!isExhausted) leaveSource(run, source);
  }
  if (run.isSettled) return;
  const outbound = run.session?.outbound?.();
  if (outbound instanceof Promise) await outbound;
  if (!run.isSettled) finish(run, wire);
}

/** False when the call ended before the source did. */
async function writeAll(
  run: CallRun,
  desc: DescMessage | undefined,
  wire: ResponseWire,
  source: Source,
  gate: DrainGate,
): Promise<boolean> {
  const { maxMessageBytes } = run.host;
  while (!run.isSettled) {
    let result = source.next();
    if (result instanceof Promise) result = await result;
    if (result.done) return true;
    if (run.isSettled) return false;
    let response = giveResponse(run, desc, result.value);
    if (response instanceof Promise) response = await response;
    if (run.isSettled) return false;
    if (response === droppedMessage) continue;
    const bytes = encodeResponse(desc, response, maxMessageBytes);
    if (run.responseMessages++ === 0) run.sendHeaders();
    if (!wire.write(bytes)) await gate.wait();
  }
  return false;
}

/** Success counts once the last message has left for the socket: a caller may still leave before that. */
function finish(run: CallRun, wire: ResponseWire): void {
  run.sendHeaders();
  noteTrailers(wire, run.trailers);
  // Synchronous on purpose: the transport reports 'cancelled' right after it has sent the status.
  wire.once('finish', () => {
    if (run.settle()) run.succeed();
  });
  wire.end();
}

/** Tells a source that nobody reads it any more; what its cleanup throws is logged. */
export function leaveSource(run: CallRun, source: Source): void {
  const logFault = (error: unknown) => run.host.log.debug('response source failed to return', { error });
  try {
    const returned = source.return?.();
    if (returned instanceof Promise) returned.catch(logFault);
  } catch (error) {
    logFault(error);
  }
}
