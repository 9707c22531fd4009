import type { DescMessage } from '@bufbuild/protobuf';
import type { ClientDuplexStream, ClientWritableStream } from '@grpc/grpc-js';
import { DrainGate } from '../drain-gate.ts';
import { encodeRequest } from './client-call.ts';

type RequestWire = ClientWritableStream<Buffer> | ClientDuplexStream<Buffer, Buffer>;

/**
 * Sends every request, as fast as the server takes them, then half-closes. When the call ends first the source is
 * told to return; when the source fails the call is cancelled and `onFault` gets what was thrown.
 */
export function sendRequests(
  call: RequestWire,
  desc: DescMessage,
  requests: AsyncIterable<unknown>,
  onFault: (fault: unknown) => void,
): void {
  const source = requests[Symbol.asyncIterator]();
  const gate = new DrainGate(call);
  let isOver = false;
  // Its failure has no reader left: the call has ended.
  const leave = () => void source.return?.()?.catch(() => {});
  call.once('status', () => {
    isOver = true;
    gate.open();
    leave();
  });
  const sendAll = async () => {
    while (!isOver) {
      const result = await source.next();
      if (result.done) {
        call.end();
        return;
      }
      if (!isOver && !call.write(encodeRequest(desc, result.value))) await gate.wait();
    }
  };
  sendAll().catch((fault: unknown) => {
    if (isOver) return;
    onFault(fault);
    call.cancel();
    leave();
  });
}
