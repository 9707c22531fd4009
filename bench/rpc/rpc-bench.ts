import type { BenchReport, BenchRow } from '../report.ts';
import { median } from '../statistics.ts';
import { callStream, callUnary, measure, type ServerUnderTest, startServer, stopServers } from './load.ts';
import { type ServerVariant, streamLength } from './service.ts';

/** Two processes of the same code differ by a few per cent for as long as they live, hence several of each. */
const generations = 5;
/** Many short rounds: what else the machine does then falls on all variants of a round alike. */
const rounds = 21;
/** Until the compiler has seen every path often enough: a chain of filters is more code than an adapter. */
const warmUps = 24;
const unaryCalls = 1_500;
const streamCalls = 8;
const inFlight = 64;
const noChain = 'chain, without';

/** Calls per CPU-second by kind and variant, a value a round. */
type Seen = Map<string, number[]>;

/**
 * Our adapter and ten filters against bare grpc-js with the same serialisers, servers in processes of their own, and
 * the empty filter chain against none, both in one process: calls per server CPU-second, rounds interleaved,
 * ratio = median of the rounds' ratios.
 */
export async function runRpcBench(): Promise<BenchReport> {
  const seen: Seen = new Map();
  for (let generation = 0; generation < generations; generation++) await measureGeneration(seen);
  return { name: 'rpc', rows: rowsOf(seen) };
}

async function measureGeneration(seen: Seen): Promise<void> {
  const variants: readonly ServerVariant[] = ['bare', 'ours', 'chain', 'filters10'];
  const servers = new Map<string, ServerUnderTest>();
  try {
    for (const variant of variants) {
      const server = await startServer(variant);
      servers.set(variant, server);
      if (server.twin) servers.set(noChain, server.twin);
    }
    for (let round = -warmUps; round < rounds; round++) {
      for (const [variant, server] of inTurn([...servers], round + warmUps)) {
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
}

/** The order turns with each round and is reversed at times, so that none always comes after the same other. */
function inTurn<T>(values: readonly T[], round: number): readonly T[] {
  const from = round % values.length;
  const turned = [...values.slice(from), ...values.slice(0, from)];
  return Math.floor(round / values.length) % 2 === 0 ? turned : turned.reverse();
}

function push(seen: Seen, key: string, value: number): void {
  const values = seen.get(key) ?? [];
  values.push(value);
  seen.set(key, values);
}

function rowsOf(seen: Seen): BenchRow[] {
  const row = (kind: string, ours: string, peer: string, peerName: string, goal: number): BenchRow => {
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
    row('unary', 'chain', noChain, 'without chain', 0.99),
    row('stream', 'chain', noChain, 'without chain', 0.99),
    row('unary', 'filters10', 'bare', 'bare grpc-js', 0.75),
    row('stream', 'filters10', 'bare', 'bare grpc-js', 0.75),
  ];
}
