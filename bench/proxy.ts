import type { BenchReport, BenchRow } from './report.ts';
import { callStream, callUnary, measure, type ServerUnderTest, startServer, stopServers } from './rpc/load.ts';
import { type ServerVariant, streamLength } from './rpc/service.ts';
import { median } from './statistics.ts';

/** Many short rounds: what else the machine does then falls on all variants of a round alike. */
const rounds = 25;
const warmUps = 12;
const unaryCalls = 1_000;
const streamCalls = 6;

type Seen = Map<string, number[]>;

/**
 * Calls handed on to another server by the routing filter: against a proxy written by hand on grpc-js, against the
 * same method served directly, and what the filter costs calls that stay. Calls per CPU-second of the process that is
 * measured (the origin's own is not counted); rounds interleaved, ratio = median of the rounds' ratios.
 */
export async function runProxyBench(): Promise<BenchReport> {
  const variants: readonly ServerVariant[] = ['ours', 'routed', 'proxy', 'bare-proxy'];
  const servers = new Map<ServerVariant, ServerUnderTest>();
  const origin = await startServer('ours');
  const seen: Seen = new Map();
  try {
    for (const variant of variants) servers.set(variant, await startServer(variant, origin.address));
    for (let round = -warmUps; round < rounds; round++) {
      for (let turn = 0; turn < variants.length; turn++) {
        const variant = variants[(turn + round + warmUps) % variants.length] ?? 'ours';
        const server = servers.get(variant);
        if (!server) continue;
        const unaryRate = await measure(server, unaryCalls, 64, callUnary);
        const streamRate = (await measure(server, streamCalls, 8, callStream)) * streamLength;
        if (round < 0) continue; // warm-up
        for (const [key, rate] of [
          [`unary ${variant}`, unaryRate],
          [`stream ${variant}`, streamRate],
        ] as const) {
          seen.set(key, [...(seen.get(key) ?? []), rate]);
        }
      }
    }
  } finally {
    stopServers([...servers.values(), origin]);
  }
  return {
    name: 'proxy',
    rows: [
      rowOf(seen, 'unary calls proxied', 'unary proxy', 'unary bare-proxy', 'proxy by hand on grpc-js', 0.8),
      rowOf(
        seen,
        'server-stream messages proxied',
        'stream proxy',
        'stream bare-proxy',
        'proxy by hand on grpc-js',
        0.8,
      ),
      rowOf(seen, 'unary calls proxied', 'unary proxy', 'unary ours', 'served directly'),
      rowOf(seen, 'server-stream messages proxied', 'stream proxy', 'stream ours', 'served directly'),
      rowOf(seen, 'unary calls that stay, routing filter on', 'unary routed', 'unary ours', 'without filters', 0.9),
    ],
  };
}

function rowOf(seen: Seen, measureName: string, ours: string, peer: string, peerName: string, goal?: number): BenchRow {
  const a = seen.get(ours) ?? [];
  const b = seen.get(peer) ?? [];
  const ratio = median(a.map((value, i) => value / (b[i] ?? Number.NaN)));
  return {
    measure: measureName,
    ours: median(a),
    unit: '/ CPU-s',
    peer: { name: peerName, value: median(b) },
    ratio,
    ...(goal === undefined ? {} : { goal: `≥ ${goal.toFixed(2)}x`, reached: ratio >= goal }),
  };
}
