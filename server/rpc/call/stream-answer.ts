import type { handleBidiStreamingCall, handleServerStreamingCall } from '@grpc/grpc-js';
import type { StreamAnswer } from '../../core/call.ts';
import type { StatusError } from '../status.ts';
import { Exchange, OneRequest } from './answer-exchange.ts';
import { CallRun, type RpcHost } from './call-run.ts';
import type { MethodEntry } from './method-entry.ts';
import { RequestStream } from './request-stream.ts';
import { pumpResponses, type ResponseWire } from './response-pump.ts';
import { takeRequest } from './session-hooks.ts';

/** Ends a streaming call with an error, after the messages that were written before. */
export function streamErrorSender(wire: ResponseWire): (status: StatusError) => void {
  return (status) => void wire.emit('error', status);
}

/** Adapter of server-streaming methods. */
export function serverStreamAdapter(host: RpcHost, entry: MethodEntry): handleServerStreamingCall<Buffer, Buffer> {
  return (wire) => {
    const run = new CallRun(host, entry, wire, streamErrorSender(wire));
    const takeInput: TakeInput = (encoding) =>
      encoding === undefined
        ? takeRequest(run, entry.desc.input, wire.request)
        : new OneRequest(run, entry, wire.request, encoding);
    run.settleWith(answer(run, entry, wire, takeInput));
  };
}

/** Adapter of bidirectional methods. */
export function bidiAdapter(host: RpcHost, entry: MethodEntry): handleBidiStreamingCall<Buffer, Buffer> {
  return (wire) => {
    const run = new CallRun(host, entry, wire, streamErrorSender(wire));
    const takeInput: TakeInput = (encoding) => {
      const requests = new RequestStream(run, entry.desc.input, wire, encoding);
      run.onStop(() => requests.wake());
      return requests;
    };
    run.settleWith(answer(run, entry, wire, takeInput));
  };
}

/** The input of the handler, or (with an encoding) the requests for an answer of a filter. */
type TakeInput = (encoding?: StreamAnswer['encoding']) => unknown;

async function answer(run: CallRun, entry: MethodEntry, wire: ResponseWire, takeInput: TakeInput): Promise<void> {
  run.check();
  let replaced = run.session?.inbound?.();
  if (replaced instanceof Promise) replaced = await replaced;
  if (replaced !== undefined) {
    return pumpResponses(run, entry.desc.output, wire, 'messages' in replaced ? replaced.messages : flow(replaced));
  }
  let input = takeInput();
  if (input instanceof Promise) input = await input;
  // The method kind says that the handler gives a stream; serviceOf has checked it.
  const responses = entry.handler(input, run) as AsyncIterable<unknown>;
  return pumpResponses(run, entry.desc.output, wire, responses);

  function flow(given: StreamAnswer): AsyncIterable<unknown> {
    const { encoding } = given;
    return given.respond(takeInput(encoding) as AsyncIterable<unknown>, new Exchange(run, entry, encoding));
  }
}
