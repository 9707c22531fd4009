import { create, fromBinary, type Message, toBinary } from '@bufbuild/protobuf';
import type { ServerWritableStream, sendUnaryData } from '@grpc/grpc-js';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { stream, streamAnswer, streamLength, unary, unaryAnswer } from './service.ts';

/** grpc-js as one would write it by hand: protobuf-es serialisers, callbacks, write until full and wait for drain. */
export async function startBareServer(): Promise<string> {
  const server = new Server({ 'grpc.enable_channelz': 0 });
  const path = ({ service, method }: typeof unary) => `/${service.typeName}/${method.name}`;
  server.register(
    path(unary),
    (_call: unknown, callback: sendUnaryData<Message>) => callback(null, create(unary.method.output, unaryAnswer)),
    (message: Message) => Buffer.from(toBinary(unary.method.output, message)),
    (bytes: Buffer) => fromBinary(unary.method.input, bytes),
    'unary',
  );
  server.register(
    path(stream),
    (call: ServerWritableStream<unknown, Message>) => {
      let left = streamLength;
      const pump = () => {
        while (left > 0) {
          left--;
          if (!call.write(create(stream.method.output, streamAnswer))) {
            call.once('drain', pump);
            return;
          }
        }
        call.end();
      };
      pump();
    },
    (message: Message) => Buffer.from(toBinary(stream.method.output, message)),
    (bytes: Buffer) => fromBinary(stream.method.input, bytes),
    'serverStream',
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return `127.0.0.1:${port}`;
}
