import { EmptySchema } from '@bufbuild/protobuf/wkt';
import type { handleBidiStreamingCall } from '@grpc/grpc-js';
import { CallRun, type RpcHost } from './call-run.ts';
import { passBytes } from './codec.ts';
import { methodUnknown, staticAnswerInvalid } from './errors.ts';
import type { TableEntry } from './grpc-internals.ts';
import { unknownTarget } from './method-entry.ts';
import { pumpResponses, type ResponseWire } from './response-pump.ts';
import { streamErrorSender } from './stream-answer.ts';

/**
 * The handler of a path that names no method: filters see the call, then it ends UNIMPLEMENTED.
 * A filter's static answer is sent if its messages are encoded (Uint8Array): the type is not known here.
 */
export function unknownMethodEntry(host: RpcHost, path: string): TableEntry {
  const target = unknownTarget(path);
  const func: handleBidiStreamingCall<Buffer, Buffer> = (wire) => {
    const run = new CallRun(host, target, wire, streamErrorSender(wire));
    run.settleWith(refuse(run, wire));
  };
  return { func, serialize: passBytes, deserialize: passBytes, type: 'bidi', path };
}

async function refuse(run: CallRun, wire: ResponseWire): Promise<void> {
  run.check();
  let answer = run.session?.inbound?.();
  if (answer instanceof Promise) answer = await answer;
  if (answer === undefined) throw methodUnknown(run.path);
  if (!answer.messages.every((message) => message instanceof Uint8Array)) {
    throw staticAnswerInvalid(run.path, 'must hold encoded messages, because the method is unknown');
  }
  await pumpResponses(run, EmptySchema, wire, answer.messages);
}
