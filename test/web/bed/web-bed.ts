import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { type Client, createClient } from '@connectrpc/connect';
import { createGrpcWebTransport } from '@connectrpc/connect-web';
import { systemClock } from '../../../server/core/clock.ts';
import { silentLogger } from '../../../server/core/log.ts';
import type { RpcServerOptions } from '../../../server/rpc/server.ts';
import { startWebBridge, type WebBridge, type WebBridgeOptions } from '../../../server/web/web-bridge.ts';
import { EchoRequestSchema, EchoResponseSchema, EchoService, type EchoServiceDesc } from '../../rpc/fixtures/echo.ts';
import { type EchoFixture, type EchoImplementation, startEcho } from '../../rpc/fixtures/echo-server.ts';

/** The page whose calls are allowed. */
export const page = 'https://app.example';

export interface WebBed extends AsyncDisposable {
  readonly echo: EchoFixture;
  readonly bridge: WebBridge;
  readonly baseUrl: string;
  /** Connect's client, as browsers run it. */
  readonly client: Client<EchoServiceDesc>;
  /** A POST of these frames to a method of the echo service. */
  post(method: string, body: Uint8Array | string, headers?: Record<string, string>): Promise<Response>;
}

/** A gRPC server with the echo service, and the listener in front of it. */
export async function startWeb(
  own: Partial<EchoImplementation> = {},
  options: Partial<WebBridgeOptions> = {},
  serverOptions: Partial<RpcServerOptions> = {},
): Promise<WebBed> {
  const echo = await startEcho(own, { drainTimeoutMs: 5_000, ...serverOptions });
  const bridge = await startWebBridge({
    address: '127.0.0.1:0',
    target: echo.server.address,
    origins: [page],
    maxMessageBytes: 65_536,
    maxMetadataBytes: 8_192,
    clock: systemClock,
    log: silentLogger,
    ...options,
  });
  const baseUrl = `${options.tls === undefined ? 'http' : 'https'}://${bridge.address}`;
  const binary = { 'content-type': 'application/grpc-web+proto' };
  return {
    ...{ echo, bridge, baseUrl },
    client: createClient(EchoService, createGrpcWebTransport({ baseUrl })),
    post: (method, body, headers = binary) => fetch(`${baseUrl}${pathOf(method)}`, { method: 'POST', body, headers }),
    [Symbol.asyncDispose]: async () => {
      bridge.stop();
      await echo[Symbol.asyncDispose]();
      await bridge.close();
    },
  };
}

/** Path of a method of the echo service. */
export function pathOf(method: string): string {
  return `/test.echo.v1.EchoService/${method}`;
}

/** A frame of a body: by default a message, for others say the flags. */
export function frame(content: Uint8Array, flags = 0): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(flags, 0);
  head.writeUInt32BE(content.length, 1);
  return Buffer.concat([head, content]);
}

/** A framed request of the echo service. */
export function request(text: string, count = 0): Buffer {
  return frame(toBinary(EchoRequestSchema, create(EchoRequestSchema, { text, count })));
}

/** An answer as raw bytes hold it. */
export interface RawAnswer {
  readonly texts: readonly string[];
  /** Lines of the last frame by name. */
  readonly trailers: Readonly<Record<string, string>>;
}

/** Takes the frames of an answer apart. Throws unless there is one trailers frame and it is the last. */
export function parseAnswer(body: Buffer): RawAnswer {
  const texts: string[] = [];
  for (let at = 0; at < body.length; ) {
    const flags = body.readUInt8(at);
    const end = at + 5 + body.readUInt32BE(at + 1);
    const content = body.subarray(at + 5, end);
    if (flags === 0x80 && end === body.length) return { texts, trailers: linesOf(content.toString('latin1')) };
    if (flags !== 0) throw new Error(`a frame with flags ${flags}`);
    texts.push(fromBinary(EchoResponseSchema, content).text);
    at = end;
  }
  throw new Error('an answer without trailers');
}

function linesOf(block: string): Record<string, string> {
  if (!block.endsWith('\r\n')) throw new Error('a header block without its last line end');
  return Object.fromEntries(
    block
      .slice(0, -2)
      .split('\r\n')
      .map((line) => line.split(': ', 2) as [string, string]),
  );
}

/** The answer of a call in binary. */
export async function readAnswer(response: Response): Promise<RawAnswer> {
  return parseAnswer(Buffer.from(await response.arrayBuffer()));
}
