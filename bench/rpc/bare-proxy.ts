import type { Writable } from 'node:stream';
import type { ServerUnaryCall, ServerWritableStream, sendUnaryData } from '@grpc/grpc-js';
import { Client, credentials, Server, ServerCredentials } from '@grpc/grpc-js';
import { stream, unary } from './service.ts';

const pass = (bytes: Buffer) => bytes;
const path = ({ service, method }: typeof unary) => `/${service.typeName}/${method.name}`;

/** A proxy of the two measured methods as one would write it by hand on grpc-js: bytes through, streams piped. */
export async function startBareProxy(origin: string): Promise<string> {
  const client = new Client(origin, credentials.createInsecure(), { 'grpc.enable_channelz': 0 });
  const server = new Server({ 'grpc.enable_channelz': 0 });
  server.register(
    path(unary),
    (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => {
      const sent = client.makeUnaryRequest(path(unary), pass, pass, call.request, call.metadata, callback);
      call.on('cancelled', () => sent.cancel());
    },
    pass,
    pass,
    'unary',
  );
  server.register(
    path(stream),
    (call: ServerWritableStream<Buffer, Buffer>) => {
      const sent = client.makeServerStreamRequest(path(stream), pass, pass, call.request, call.metadata);
      sent.on('error', (error) => call.emit('error', error));
      call.on('cancelled', () => sent.cancel());
      // Its declared write callbacks differ under exactOptionalPropertyTypes; it is a Writable.
      sent.pipe(call as unknown as Writable);
    },
    pass,
    pass,
    'serverStream',
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return `127.0.0.1:${port}`;
}
