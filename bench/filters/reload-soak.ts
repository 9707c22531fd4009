/**
 * Child process, run with --expose-gc: reloads a filter of two files many times under calls. Prints one JSON object:
 * calls and failed calls, versions that were not collected, growth of the heap in the last four fifths, how long the
 * exchange of the set took, and the longest wait of a call of the same thread for its turn in each reload.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFilterEngine } from '../../plugins/engine/engine.ts';
import { systemClock } from '../../server/core/clock.ts';
import { silentLogger } from '../../server/core/log.ts';
import { systemRandom } from '../../server/core/random.ts';
import { percentile } from '../statistics.ts';
import { benchCall, benchOutcome, writeBenchFilter } from './bench-call.ts';

const reloads = Number(process.argv[2] ?? 1000);
const dir = mkdtempSync(join(tmpdir(), 'showrunner-soak-'));
const made: WeakRef<object>[] = [];
Object.assign(globalThis, { madeByFilter: (state: object) => void made.push(new WeakRef(state)) });

async function heapBytes(): Promise<number> {
  for (let round = 0; round < 4; round++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    globalThis.gc?.();
  }
  return process.memoryUsage().heapUsed;
}

function write(version: number): void {
  writeBenchFilter(
    dir,
    'a',
    `open: () => {
       const state = { table: new Array(1000).fill(${version}), again };
       globalThis.madeByFilter(state);
       return state;
     },
     run: async (call, { state }) => void (await again(state.table.length)), onEnd: () => {},`,
    "import { again } from './again.ts';",
  );
  writeFileSync(join(dir, 'a', 'again.ts'), `export const again = async (n: number) => n + ${version};`);
}

write(0);
writeFileSync(join(dir, 'a', 'again.ts'), 'export const again = async (n: number) => n;');
const engine = await createFilterEngine({
  ...{ dirs: [dir], config: {}, log: silentLogger, clock: systemClock, random: systemRandom, watch: false },
});
let calls = 0;
let failed = 0;
let isOver = false;
let longestWaitMs = 0;
const load = async () => {
  while (!isOver) {
    // With a signal of its own, as every call has it: listeners on one signal would hang on each other.
    const session = engine.open({ ...benchCall, signal: new AbortController().signal });
    try {
      await session?.inbound?.();
    } catch {
      failed++;
    }
    const before = performance.now();
    await new Promise((resolve) => setImmediate(resolve));
    longestWaitMs = Math.max(longestWaitMs, performance.now() - before);
    session?.end?.(benchOutcome);
    calls++;
  }
};

try {
  const loads = [load(), load(), load()];
  await new Promise((resolve) => setTimeout(resolve, 300));
  const pauses: number[] = [];
  const swaps: number[] = [];
  let baseBytes = 0;
  for (let version = 1; version <= reloads; version++) {
    write(version);
    longestWaitMs = 0;
    const { result, swapMs } = await engine.reload();
    pauses.push(longestWaitMs);
    if (result !== 'ok') throw new Error(`reload ${version}: ${result}`);
    swaps.push(swapMs);
    if (version === Math.floor(reloads / 5)) baseBytes = await heapBytes();
  }
  isOver = true;
  await Promise.all(loads);
  const grownBytes = (await heapBytes()) - baseBytes;
  const live = made.filter((ref) => ref.deref() !== undefined).length;
  const times = {
    swapMsP50: percentile(swaps, 0.5),
    swapMsP99: percentile(swaps, 0.99),
    pauseMsP50: percentile(pauses, 0.5),
    pauseMsP99: percentile(pauses, 0.99),
  };
  process.stdout.write(JSON.stringify({ calls, failed, live, grownBytes, ...times }));
  await engine.close();
} finally {
  rmSync(dir, { recursive: true });
}
