import type { BenchReport, BenchRow } from '../report.ts';
import { median } from '../statistics.ts';
import { callStream, callUnary, measure, type ServerUnderTest, startServer, stopServers } from './load.ts';
import { type ServerVariant, streamLength } from './service.ts';

/** Many short rounds: what else the machine does then falls on all variants of a round alike. */
const rounds = 41;
/** Until the compiler has seen every path often enough: a chain of filters is more code than an adapter. */
const warmUps = 24;
const unaryCalls = 1_500;
const streamCalls = 8;
const inFlight = 64;

/**
 * Our adapter against bare grpc-js with the same serialisers, and the empty filter chain against none: calls per
 * server CPU-second, servers in processes of their own, rounds interleaved, ratio = median of the rounds' ratios.
 */
export async function runRpcBench(): Promise<BenchReport> {
  const variants: readonly ServerVariant[] = ['bare', 'ours', 'chain', 'filters10'];
  const servers = new Map<ServerVariant, ServerUnderTest>();
  const seen = new Map<string, number[]>();
  try {
    for (const variant of variants) servers.set(variant, await startServer(variant));
    for (let round = -warmUps; round < rounds; round++) {
      // The order turns with each round, so that no variant always comes after the same other.
      for (let turn = 0; turn < variants.length; turn++) {
        const variant = variants[(turn + round + warmUps) % variants.length] ?? 'bare';
        const server = servers.get(variant);
        if (!server) continue;
        const unaryRate = await measure(server, unaryCalls, inFlight, callUnary);
        const streamRate = (await measure(server, streamCalls, 8, callStream)) * streamLength;
        if (round < 0) continue;
        push(seen, `unary ${variant}`, unaryRate);
        push(seen, `stream ${variant}`, streamRate);
      }
    }
  } finally {
    stopServers(servers.values());
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
    row('unary', 'filters10', 'bare', 'bare grpc-js', 0.75),
    row('stream', 'filters10', 'bare', 'bare grpc-js', 0.75),
  ];
}
