/**
 * Child process of bench/filters.ts, run with a nursery so large that no collection falls into a measured loop: the
 * growth of the heap is then what was allocated. Prints one JSON object: measurements by name.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFilterEngine, type FilterEngine } from '../../plugins/engine/engine.ts';
import { systemClock } from '../../server/core/clock.ts';
import { silentLogger } from '../../server/core/log.ts';
import { systemRandom } from '../../server/core/random.ts';
import { benchCall, benchOutcome, writeBenchFilter } from './bench-call.ts';

const dir = mkdtempSync(join(tmpdir(), 'showrunner-bench-'));
const calls = Number(process.argv[2] ?? 10_000);
const added = 60;

const fieldsOf = {
  sync: 'run: () => {},',
  skipped: 'match: { metadata: { absent: true } }, run: () => {},',
  should_run: 'shouldRun: () => false, run: () => {},',
  ruled_out: "match: { methods: ['Other'] }, run: () => {},",
  async: 'run: async () => {},',
  message: 'onRequestMessage: () => {},',
} as const;
type Kind = keyof typeof fieldsOf;

function engineOf(folder: string): Promise<FilterEngine> {
  return createFilterEngine({
    ...{ dirs: [folder], config: {}, log: silentLogger, clock: systemClock, random: systemRandom, watch: false },
  });
}

/** An engine with one synchronous filter and `count` of a kind. */
async function engineWith(kind: Kind, count: number): Promise<FilterEngine> {
  const folder = join(dir, `${kind}-${count}`);
  writeBenchFilter(folder, 'anchor', fieldsOf.sync);
  for (let i = 0; i < count; i++) writeBenchFilter(folder, `f${i}`, fieldsOf[kind]);
  return engineOf(folder);
}

async function passAsync(engine: FilterEngine, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const session = engine.open(benchCall);
    await session?.inbound?.();
    session?.end?.(benchOutcome);
  }
}

function passSync(engine: FilterEngine, count: number): void {
  for (let i = 0; i < count; i++) {
    const session = engine.open(benchCall);
    void session?.inbound?.();
    void session?.requestMessage?.(benchCall);
    session?.end?.(benchOutcome);
  }
}

interface Cost {
  readonly ns: number;
  readonly bytes: number;
}

async function costOf(engine: FilterEngine, isAsync: boolean): Promise<Cost> {
  const pass = isAsync ? passAsync : passSync;
  globalThis.gc?.();
  const heap = process.memoryUsage().heapUsed;
  const start = performance.now();
  await pass(engine, calls);
  const ns = ((performance.now() - start) * 1e6) / calls;
  return { ns, bytes: (process.memoryUsage().heapUsed - heap) / calls };
}

/**
 * Costs of both engines in turns, so that both are warm and meet the same machine: code that has seen one kind of
 * filter only is faster than any server's. The least of the rounds: what is above it is the compiler or another process.
 */
async function leastCosts(engines: readonly FilterEngine[], isAsync: boolean): Promise<Cost[]> {
  const least = engines.map(() => ({ ns: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY }));
  for (let round = 0; round < 8; round++) {
    for (const [index, engine] of engines.entries()) {
      const { ns, bytes } = await costOf(engine, isAsync);
      const before = least[index];
      if (before === undefined || round === 0) continue;
      least[index] = { ns: Math.min(before.ns, ns), bytes: Math.min(before.bytes, bytes) };
    }
  }
  return least;
}

const measurements: Record<string, Cost> = {};
try {
  const anchor = await engineWith('sync', 0);
  for (const kind of Object.keys(fieldsOf) as Kind[]) {
    const engine = await engineWith(kind, added);
    const [without, withAdded] = await leastCosts([anchor, engine], kind === 'async');
    if (without === undefined || withAdded === undefined) throw new Error('nothing was measured');
    measurements[kind] = {
      ns: (withAdded.ns - without.ns) / added,
      bytes: (withAdded.bytes - without.bytes) / added,
    };
    if (kind === 'sync') measurements['call'] = without;
    await engine.close();
  }
  const noFilters = join(dir, 'none');
  mkdirSync(noFilters);
  const empty = await engineOf(noFilters);
  const [, ofEmpty] = await leastCosts([anchor, empty], false);
  if (ofEmpty !== undefined) measurements['empty'] = ofEmpty;
  await empty.close();
  await anchor.close();
} finally {
  rmSync(dir, { recursive: true });
}
process.stdout.write(JSON.stringify(measurements));
