import type { DescMethod } from '@bufbuild/protobuf';
import type { Client, requestCallback } from '@grpc/grpc-js';
import { decodeResponse, passBytes } from '../codec.ts';
import {
  appErrorFrom,
  encodeRequest,
  type MetadataInit,
  prepareCall,
  type RpcCallOptions,
  watchCall,
} from './client-call.ts';
import { sendRequests } from './client-requests.ts';
import { ResponseStream } from './response-stream.ts';

/**
 * A client method whose types are not known at compile time: `input` is a request (message or init) or an
 * AsyncIterable of them, the result a message or an iterator of them, as the method kind says.
 */
export type AnyClientMethod = (
  input: unknown,
  options?: RpcCallOptions,
) => Promise<unknown> | AsyncIterableIterator<unknown, undefined>;

/** The function that calls one method over a channel. */
export function clientMethod(client: Client, method: DescMethod, common: MetadataInit): AnyClientMethod {
  const target: Target = { client, method, path: `/${method.parent.typeName}/${method.name}`, common };
  switch (method.methodKind) {
    case 'unary':
      return (request, options = {}) => callUnary(target, request, options);
    case 'server_streaming':
      return (request, options = {}) => callServerStream(target, request, options);
    case 'client_streaming':
      return (requests, options = {}) => callClientStream(target, requests as AsyncIterable<unknown>, options);
    case 'bidi_streaming':
      return (requests, options = {}) => callBidi(target, requests as AsyncIterable<unknown>, options);
  }
}

interface Target {
  readonly client: Client;
  readonly method: DescMethod;
  readonly path: string;
  readonly common: MetadataInit;
}

async function callUnary(target: Target, request: unknown, options: RpcCallOptions): Promise<unknown> {
  const { client, method, path, common } = target;
  const [metadata, callOptions] = prepareCall(common, options);
  const bytes = encodeRequest(method.input, request);
  const response = await settled((done) => {
    const call = client.makeUnaryRequest(path, passBytes, passBytes, bytes, metadata, callOptions, done);
    watchCall(call, options);
  });
  return decodeResponse(method.output, response);
}

function callServerStream(target: Target, request: unknown, options: RpcCallOptions): ResponseStream {
  const { client, method, path, common } = target;
  const [metadata, callOptions] = prepareCall(common, options);
  const bytes = encodeRequest(method.input, request);
  const call = client.makeServerStreamRequest(path, passBytes, passBytes, bytes, metadata, callOptions);
  watchCall(call, options);
  return new ResponseStream(call, method.output);
}

async function callClientStream(
  target: Target,
  requests: AsyncIterable<unknown>,
  options: RpcCallOptions,
): Promise<unknown> {
  const { client, method, path, common } = target;
  const [metadata, callOptions] = prepareCall(common, options);
  const response = await settled((done, fail) => {
    const call = client.makeClientStreamRequest(path, passBytes, passBytes, metadata, callOptions, done);
    watchCall(call, options);
    sendRequests(call, method.input, requests, fail);
  });
  return decodeResponse(method.output, response);
}

function callBidi(target: Target, requests: AsyncIterable<unknown>, options: RpcCallOptions): ResponseStream {
  const { client, method, path, common } = target;
  const [metadata, callOptions] = prepareCall(common, options);
  const call = client.makeBidiStreamRequest(path, passBytes, passBytes, metadata, callOptions);
  watchCall(call, options);
  const responses = new ResponseStream(call, method.output);
  sendRequests(call, method.input, requests, (fault) => responses.fail(fault));
  return responses;
}

/** Waits for the one response of a call; failures come as AppError. */
function settled(start: (done: requestCallback<Buffer>, fail: (fault: unknown) => void) => void): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    start((error, response) => {
      if (error || response === undefined) reject(appErrorFrom(error));
      else resolve(response);
    }, reject);
  });
}
