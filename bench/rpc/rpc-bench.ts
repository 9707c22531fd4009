import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Client, credentials } from '@grpc/grpc-js';
import { type BenchReport, type BenchRow, median } from '../report.ts';
import { type ServerVariant, stream, streamLength, unary } from './service.ts';

interface ServerUnderTest {
  readonly child: ChildProcess;
  readonly client: Client;
}

const rounds = 9;
const unaryCalls = 4_000;
const streamCalls = 24;
const inFlight = 64;

async function startServer(variant: ServerVariant): Promise<ServerUnderTest> {
  const child = fork(join(import.meta.dirname, 'server-process.ts'), [variant], { stdio: 'inherit' });
  const [message] = await once(child, 'message');
  return { child, client: new Client((message as { address: string }).address, credentials.createInsecure()) };
}

async function cpuMicros({ child }: ServerUnderTest): Promise<number> {
  child.send('cpu');
  const [message] = await once(child, 'message');
  return (message as { cpuMicros: number }).cpuMicros;
}

function callUnary({ client }: ServerUnderTest): Promise<void> {
  const { service, method } = unary;
  const request = create(method.input, { namespace: 'profiles', key: 'profile:42' });
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      `/${service.typeName}/${method.name}`,
      () => Buffer.from(toBinary(method.input, request)),
      (bytes) => fromBinary(method.output, bytes),
      request,
      (error) => (error ? reject(error) : resolve()),
    );
  });
}

async function callStream({ client }: ServerUnderTest): Promise<void> {
  const { service, method } = stream;
  const call = client.makeServerStreamRequest(
    `/${service.typeName}/${method.name}`,
    () => Buffer.alloc(0),
    (bytes: Buffer) => bytes.length,
    undefined,
  );
  let received = 0;
  for await (const _length of call) received++;
  if (received !== streamLength) throw new Error(`stream gave ${received} of ${streamLength} messages`);
}

/** Calls per server CPU-second, with `width` calls in flight. */
async function measure(server: ServerUnderTest, calls: number, width: number, call: typeof callUnary): Promise<number> {
  const before = await cpuMicros(server);
  let left = calls;
  const lane = async () => {
    while (left-- > 0) await call(server);
  };
  await Promise.all(Array.from({ length: width }, lane));
  return calls / (((await cpuMicros(server)) - before) / 1e6);
}

/**
 * Our adapter against bare grpc-js with the same serialisers, and the empty filter chain against none: calls per
 * server CPU-second, servers in processes of their own, rounds interleaved, ratio = median of the rounds' ratios.
 */
export async function runRpcBench(): Promise<BenchReport> {
  const variants: readonly ServerVariant[] = ['bare', 'ours', 'chain'];
  const servers = new Map<ServerVariant, ServerUnderTest>();
  const seen = new Map<string, number[]>();
  try {
    for (const variant of variants) servers.set(variant, await startServer(variant));
    for (let round = -1; round < rounds; round++) {
      // The order turns with each round, so that no variant always comes after the same other.
      for (let turn = 0; turn < variants.length; turn++) {
        const variant = variants[(turn + round + 1) % variants.length] ?? 'bare';
        const server = servers.get(variant);
        if (!server) continue;
        const unaryRate = await measure(server, unaryCalls, inFlight, callUnary);
        const streamRate = (await measure(server, streamCalls, 8, callStream)) * streamLength;
        if (round < 0) continue; // warm-up
        push(seen, `unary ${variant}`, unaryRate);
        push(seen, `stream ${variant}`, streamRate);
      }
    }
  } finally {
    for (const { child, client } of servers.values()) {
      client.close();
      child.disconnect();
    }
  }
  return { name: 'rpc', rows: rowsOf(seen) };
}

function push(seen: Map<string, number[]>, key: string, value: number): void {
  const values = seen.get(key) ?? [];
  values.push(value);
  seen.set(key, values);
}

function rowsOf(seen: ReadonlyMap<string, readonly number[]>): BenchRow[] {
  const row = (kind: string, ours: ServerVariant, peer: ServerVariant, peerName: string, goal: number): BenchRow => {
    const a = seen.get(`${kind} ${ours}`) ?? [];
    const b = seen.get(`${kind} ${peer}`) ?? [];
    const ratio = median(a.map((value, i) => value / (b[i] ?? Number.NaN)));
    return {
      measure: kind === 'unary' ? `unary calls, ${ours}` : `server-stream messages, ${ours}`,
      ours: median(a),
      unit: '/ server CPU-s',
      peer: { name: peerName, value: median(b) },
      ratio,
      goal: `≥ ${goal.toFixed(2)}x`,
      reached: ratio >= goal,
    };
  };
  return [
    row('unary', 'ours', 'bare', 'bare grpc-js', 0.9),
    row('stream', 'ours', 'bare', 'bare grpc-js', 0.9),
    row('unary', 'chain', 'ours', 'without chain', 0.99),
    row('stream', 'chain', 'ours', 'without chain', 0.99),
  ];
}
