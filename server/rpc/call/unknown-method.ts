import type { handleBidiStreamingCall, ServerDuplexStream } from '@grpc/grpc-js';
import { passBytes } from '../codec.ts';
import { answerInvalid, methodUnknown, staticAnswerInvalid } from '../errors.ts';
import type { TableEntry } from '../grpc-internals.ts';
import { Exchange } from './answer-exchange.ts';
import { CallRun, type RpcHost } from './call-run.ts';
import { unknownTarget } from './method-entry.ts';
import { RequestStream } from './request-stream.ts';
import { pumpResponses } from './response-pump.ts';
import { streamErrorSender } from './stream-answer.ts';

type Wire = ServerDuplexStream<Buffer, Buffer>;

/**
 * The handler of a path that names no method: filters see the call, then it ends UNIMPLEMENTED unless a filter
 * answers it. Messages are bytes (Uint8Array) both ways, because their type is not known here.
 */
export function unknownMethodEntry(host: RpcHost, path: string): TableEntry {
  const target = unknownTarget(path);
  const func: handleBidiStreamingCall<Buffer, Buffer> = (wire) => {
    const run = new CallRun(host, target, wire, streamErrorSender(wire));
    run.settleWith(answer(run, wire));
  };
  return { func, serialize: passBytes, deserialize: passBytes, type: 'bidi', path };
}

async function answer(run: CallRun, wire: Wire): Promise<void> {
  run.check();
  let given = run.session?.inbound?.();
  if (given instanceof Promise) given = await given;
  if (given === undefined) throw methodUnknown(run.path);
  if ('messages' in given) {
    if (!given.messages.every((message) => message instanceof Uint8Array)) {
      throw staticAnswerInvalid(run.path, 'must hold encoded messages, because the method is unknown');
    }
    return pumpResponses(run, undefined, wire, given.messages);
  }
  const { encoding } = given;
  if (encoding !== 'bytes') throw answerInvalid(run.path, 'must be of encoded messages, because the method is unknown');
  const requests = new RequestStream(run, undefined, wire, encoding);
  run.onStop(() => requests.wake());
  return pumpResponses(run, undefined, wire, given.respond(requests, new Exchange(run, undefined, encoding)));
}
