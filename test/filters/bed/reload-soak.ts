/**
 * Child process, run with --expose-gc: reloads a filter of two files many times under calls. Prints one JSON object:
 * calls and failed calls, versions that were not collected, growth of the heap in the last four fifths.
 */
import { createFakeCall } from './fake-call.ts';
import { createFilterFolders } from './filter-folders.ts';
import { runCall } from './run-call.ts';

const reloads = Number(process.argv[2] ?? 1000);
const made: WeakRef<object>[] = [];
Object.assign(globalThis, { madeByFilter: (state: object) => void made.push(new WeakRef(state)) });

async function heapBytes(): Promise<number> {
  for (let round = 0; round < 4; round++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    globalThis.gc?.();
  }
  return process.memoryUsage().heapUsed;
}

await using folders = await createFilterFolders();
const write = async (version: number) => {
  await folders.filter(
    'a',
    `open: () => { const state = { table: new Array(1000).fill(${version}), again }; globalThis.madeByFilter(state); return state; },
     run: async (call, { state }) => void (await again(state.table.length)), onEnd: () => {},`,
    "import { again } from './again.ts';",
  );
  await folders.file('a/again.ts', `export const again = async (n: number) => n + ${version};`);
};
await write(0);
const engine = await folders.engine();
let calls = 0;
let failed = 0;
let isOver = false;
const load = async () => {
  while (!isOver) {
    const { error } = await runCall(engine, createFakeCall(), {
      endpoint: (seen) => new Promise((resolve) => setImmediate(() => resolve(seen))),
    });
    calls++;
    if (error !== undefined) failed++;
  }
};
const loads = [load(), load(), load()];
let baseBytes = 0;
for (let version = 1; version <= reloads; version++) {
  await write(version);
  const { result } = await engine.reload();
  if (result !== 'ok') throw new Error(`reload ${version}: ${result}`);
  if (version === Math.floor(reloads / 5)) baseBytes = await heapBytes();
}
isOver = true;
await Promise.all(loads);
const grownBytes = (await heapBytes()) - baseBytes;
const live = made.filter((ref) => ref.deref() !== undefined).length;
process.stdout.write(JSON.stringify({ calls, failed, live, grownBytes }));
