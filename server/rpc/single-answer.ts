import type { handleClientStreamingCall, handleUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import type { StaticAnswer } from '../core/call.ts';
import { CallRun, type RpcHost } from './call-run.ts';
import { encodeResponse } from './codec.ts';
import { staticAnswerInvalid } from './errors.ts';
import type { MethodEntry } from './method-entry.ts';
import { RequestStream } from './request-stream.ts';
import type { Wire } from './server-call.ts';
import { giveResponse, takeRequest } from './session-hooks.ts';
import { noteTrailers } from './transport-status.ts';

/** Adapter of unary methods. */
export function unaryAdapter(host: RpcHost, entry: MethodEntry): handleUnaryCall<Buffer, Buffer> {
  return (wire, callback) => {
    const run = new CallRun(host, entry, wire, callback);
    respond(run, wire, callback, answer(run, entry, takeOne));

    function takeOne(): unknown {
      return takeRequest(run, entry.desc.input, wire.request);
    }
  };
}

/** Adapter of client-streaming methods. */
export function clientStreamAdapter(host: RpcHost, entry: MethodEntry): handleClientStreamingCall<Buffer, Buffer> {
  return (wire, callback) => {
    const run = new CallRun(host, entry, wire, callback);
    respond(run, wire, callback, answer(run, entry, takeMany));

    function takeMany(): unknown {
      const requests = new RequestStream(run, entry.desc.input, wire);
      run.onStop(() => requests.wake());
      return requests;
    }
  };
}

/** From the first check to the encoded response. */
async function answer(run: CallRun, entry: MethodEntry, takeInput: () => unknown): Promise<Buffer> {
  run.check();
  const { session } = run;
  const { output } = entry.desc;
  if (session === undefined) {
    const response = await entry.handler(takeInput(), run.context);
    return encodeResponse(output, response, run.host.maxMessageBytes);
  }
  let replaced = session.inbound?.();
  if (replaced instanceof Promise) replaced = await replaced;
  let response = replaced === undefined ? await callEndpoint(run, entry, takeInput) : onlyMessage(entry, replaced);
  response = giveResponse(run, output, response);
  if (response instanceof Promise) response = await response;
  const outbound = session.outbound?.();
  if (outbound instanceof Promise) await outbound;
  return encodeResponse(output, response, run.host.maxMessageBytes);
}

async function callEndpoint(run: CallRun, entry: MethodEntry, takeInput: () => unknown): Promise<unknown> {
  let input = takeInput();
  if (input instanceof Promise) input = await input;
  return entry.handler(input, run.context);
}

function onlyMessage(entry: MethodEntry, { messages }: StaticAnswer): unknown {
  if (messages.length !== 1) throw staticAnswerInvalid(entry.path, `has ${messages.length} messages, not one`);
  return messages[0];
}

function respond(run: CallRun, wire: Wire, callback: sendUnaryData<Buffer>, answering: Promise<Buffer>): void {
  answering.then(
    (bytes) => {
      if (!run.settle()) return;
      run.responseMessages = 1;
      run.call.sendHeaders();
      noteTrailers(wire.metadata, run.call.trailers);
      callback(null, bytes);
      run.succeed();
    },
    (error: unknown) => run.fail(error),
  );
}
