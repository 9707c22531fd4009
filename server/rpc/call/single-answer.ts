import type {
  handleClientStreamingCall,
  handleUnaryCall,
  ServerReadableStream,
  ServerUnaryCall,
  sendUnaryData,
} from '@grpc/grpc-js';
import type { Answer, StaticAnswer, StreamAnswer } from '../../core/call.ts';
import { encodeResponse } from '../codec.ts';
import { staticAnswerInvalid } from '../errors.ts';
import { releaseTransport } from '../grpc-internals.ts';
import { OneRequest, onlyResponse } from './answer-exchange.ts';
import { CallRun, type RpcHost } from './call-run.ts';
import type { MethodEntry } from './method-entry.ts';
import { RequestStream } from './request-stream.ts';
import { giveResponse, takeRequest } from './session-hooks.ts';
import { noteTrailers } from './transport-status.ts';

type UnaryWire = ServerUnaryCall<Buffer, Buffer>;
type ReadableWire = ServerReadableStream<Buffer, Buffer>;
/** How a kind of method comes to the input of its handler, or (with an encoding) to the requests for an answer. */
type TakeInput<W> = (run: CallRun, entry: MethodEntry, wire: W, encoding?: StreamAnswer['encoding']) => unknown;

/** Adapter of unary methods. */
export function unaryAdapter(host: RpcHost, entry: MethodEntry): handleUnaryCall<Buffer, Buffer> {
  return (wire, callback) => {
    void answerOnce(new CallRun(host, entry, wire, callback), entry, wire, callback, takeOne);
  };
}

/** Adapter of client-streaming methods. */
export function clientStreamAdapter(host: RpcHost, entry: MethodEntry): handleClientStreamingCall<Buffer, Buffer> {
  return (wire, callback) => {
    void answerOnce(new CallRun(host, entry, wire, callback), entry, wire, callback, takeMany);
  };
}

const takeOne: TakeInput<UnaryWire> = (run, entry, wire, encoding) =>
  encoding === undefined
    ? takeRequest(run, entry.desc.input, wire.request)
    : new OneRequest(run, entry, wire.request, encoding);

const takeMany: TakeInput<ReadableWire> = (run, entry, wire, encoding) => {
  const requests = new RequestStream(run, entry.desc.input, wire, encoding);
  run.onStop(() => requests.wake());
  return requests;
};

/** The whole of a call with one response. Never rejects. One function, since each promise more costs every call. */
async function answerOnce<W extends UnaryWire | ReadableWire>(
  run: CallRun,
  entry: MethodEntry,
  wire: W,
  callback: sendUnaryData<Buffer>,
  takeInput: TakeInput<W>,
): Promise<void> {
  try {
    run.check();
    const { session } = run;
    let replaced = session?.inbound?.();
    if (replaced instanceof Promise) replaced = await replaced;
    let response: unknown;
    if (replaced === undefined) {
      let input = takeInput(run, entry, wire);
      if (input instanceof Promise) input = await input;
      response = await entry.handler(input, run);
    } else response = await replacedResponse(run, entry, replaced, wire, takeInput);
    if (session !== undefined) {
      response = giveResponse(run, entry.desc.output, response);
      if (response instanceof Promise) response = await response;
      const outbound = session.outbound?.();
      if (outbound instanceof Promise) await outbound;
    }
    const bytes = encodeResponse(entry.desc.output, response, run.host.maxMessageBytes);
    if (!run.settle()) return;
    run.responseMessages = 1;
    run.sendHeaders();
    noteTrailers(wire, run.trailers);
    callback(null, bytes);
    run.succeed();
    if (entry.kind === 'unary') releaseTransport(wire);
  } catch (error) {
    run.fail(error);
  }
}

/** The response of a filter that answers in place of the handler. */
function replacedResponse<W>(run: CallRun, entry: MethodEntry, given: Answer, wire: W, takeInput: TakeInput<W>) {
  if ('messages' in given) return onlyMessage(entry, given);
  const requests = takeInput(run, entry, wire, given.encoding) as AsyncIterable<unknown>;
  return onlyResponse(run, entry, given, requests);
}

function onlyMessage(entry: MethodEntry, { messages }: StaticAnswer): unknown {
  if (messages.length !== 1) throw staticAnswerInvalid(entry.path, `has ${messages.length} messages, not one`);
  return messages[0];
}
