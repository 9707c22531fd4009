import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { benchKey, type ServerVariant, stream, streamLength, unary } from './service.ts';

/** A server in a process of its own, and a client of it. */
export interface ServerUnderTest {
  readonly child: ChildProcess;
  readonly address: string;
  readonly client: Client;
  /** The server without a chain in the process of `chain`. */
  readonly twin?: ServerUnderTest;
}

/** `origin` is the address that a proxy calls. */
export async function startServer(variant: ServerVariant, origin = ''): Promise<ServerUnderTest> {
  // Not with the flags of this process: they load the telemetry, with which bare grpc-js would not be bare.
  const child = fork(join(import.meta.dirname, 'server-process.ts'), [variant, origin], {
    stdio: 'inherit',
    execArgv: ['--disable-warning=ExperimentalWarning'],
  });
  const exited = once(child, 'exit').then(([code]) => {
    throw new Error(`the ${variant} server ended with code ${code} before it listened`);
  });
  const [message] = await Promise.race([once(child, 'message'), exited]);
  exited.catch(() => {});
  const { address, twinAddress } = message as { address: string; twinAddress?: string };
  const at = (place: string) => ({ child, address: place, client: new Client(place, credentials.createInsecure()) });
  return twinAddress === undefined ? at(address) : { ...at(address), twin: at(twinAddress) };
}

async function cpuMicros({ child }: ServerUnderTest): Promise<number> {
  child.send('cpu');
  const [message] = await once(child, 'message');
  return (message as { cpuMicros: number }).cpuMicros;
}

const metadata = new Metadata();
metadata.set('x-api-key', benchKey);

/** One unary call. */
export function callUnary({ client }: ServerUnderTest): Promise<void> {
  const { service, method } = unary;
  const request = create(method.input, { namespace: 'profiles', key: 'profile:42' });
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      `/${service.typeName}/${method.name}`,
      () => Buffer.from(toBinary(method.input, request)),
      (bytes) => fromBinary(method.output, bytes),
      request,
      metadata,
      (error) => (error ? reject(error) : resolve()),
    );
  });
}

/** One server stream, read to its end. */
export async function callStream({ client }: ServerUnderTest): Promise<void> {
  const { service, method } = stream;
  const call = client.makeServerStreamRequest(
    `/${service.typeName}/${method.name}`,
    () => Buffer.alloc(0),
    (bytes: Buffer) => bytes.length,
    undefined,
    metadata,
  );
  let received = 0;
  for await (const _length of call) received++;
  if (received !== streamLength) throw new Error(`stream gave ${received} of ${streamLength} messages`);
}

/** Ends the processes. */
export function stopServers(servers: Iterable<ServerUnderTest>): void {
  for (const { child, client } of servers) {
    client.close();
    if (child.connected) child.disconnect();
  }
}

/** Calls per server CPU-second, with `width` calls in flight. */
export async function measure(
  server: ServerUnderTest,
  calls: number,
  width: number,
  call: typeof callUnary,
): Promise<number> {
  const before = await cpuMicros(server);
  let left = calls;
  const lane = async () => {
    while (left-- > 0) await call(server);
  };
  await Promise.all(Array.from({ length: width }, lane));
  return calls / (((await cpuMicros(server)) - before) / 1e6);
}
