import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { BenchReport, BenchRow } from './report.ts';
import { median } from './statistics.ts';

const run = promisify(execFile);
const rounds = 3;
const childTimeoutMs = 120_000;

type Measurements = Readonly<Record<string, { readonly ns: number; readonly bytes: number }>>;

async function measure(calls: number): Promise<Measurements> {
  const script = join(import.meta.dirname, 'filters', 'measure-chain.ts');
  const flags = ['--expose-gc', '--max-semi-space-size=512', '--min-semi-space-size=512'];
  const { stdout } = await run(process.execPath, [...flags, script, String(calls)], { timeout: childTimeoutMs });
  return JSON.parse(stdout) as Measurements;
}

const measures: readonly [name: string, measure: string, maxNs?: number | undefined, maxBytes?: number][] = [
  ['empty', 'call without a filter, all that the engine does', 300, 0],
  ['ruled_out', 'filter ruled out by its method (nothing, within the noise)', undefined, 0],
  ['skipped', 'skipped synchronous filter (metadata criterion)', 100, 0],
  ['should_run', 'skipped synchronous filter (shouldRun)', 100, 0],
  ['sync', 'executed synchronous filter', 300],
  ['message', 'message hook, per message', 300],
  ['async', 'asynchronous filter (hop)', 1500],
  ['call', 'call with one synchronous filter, all told'],
];

/** What one filter adds to a call, as the slope between 1 and 61 filters; medians of several processes. */
export async function runFilterBench(calls = 10_000): Promise<BenchReport> {
  const all: Measurements[] = [];
  for (let round = 0; round < rounds; round++) all.push(await measure(calls));
  const middle = (name: string, of: 'ns' | 'bytes') => median(all.map((one) => one[name]?.[of] ?? Number.NaN));
  const rows = measures.flatMap(([name, text, maxNs, maxBytes]): BenchRow[] => {
    const ns = middle(name, 'ns');
    // Below a byte per filter it is the meter's own noise.
    const bytes = Math.max(0, Math.round(middle(name, 'bytes')));
    return [
      { measure: text, ours: ns, unit: 'ns', ...goalOf(ns, maxNs, 'ns') },
      { measure: text, ours: bytes, unit: 'B', ...goalOf(bytes, maxBytes, 'B') },
    ];
  });
  return { name: 'filters', rows: [...rows, ...(await reloadRows())] };
}

interface Soak {
  readonly calls: number;
  readonly failed: number;
  readonly live: number;
  readonly grownBytes: number;
  readonly swapMsP50: number;
  readonly swapMsP99: number;
  readonly pauseMsP50: number;
  readonly pauseMsP99: number;
}

const reloads = 1000;

/** Reloads under calls of the same thread, in a process of their own. */
async function reloadRows(): Promise<BenchRow[]> {
  const script = join(import.meta.dirname, 'filters', 'reload-soak.ts');
  const { stdout } = await run(process.execPath, ['--expose-gc', script, String(reloads)], { timeout: childTimeoutMs });
  const soak = JSON.parse(stdout) as Soak;
  const what = `${reloads.toLocaleString('en-US')} reloads under ${soak.calls.toLocaleString('en-US')} calls`;
  return [
    { measure: 'exchange of the set in a reload, p50', ours: soak.swapMsP50 * 1e3, unit: 'µs' },
    {
      measure: 'exchange of the set in a reload, p99',
      ours: soak.swapMsP99 * 1e3,
      unit: 'µs',
      ...goalOf(soak.swapMsP99 * 1e3, 1000, 'µs'),
    },
    {
      measure: 'longest wait of a call for its turn in a reload, p50',
      ours: soak.pauseMsP50 * 1e3,
      unit: 'µs',
      ...goalOf(soak.pauseMsP50 * 1e3, 1000, 'µs'),
    },
    { measure: 'longest wait of a call for its turn in a reload, p99', ours: soak.pauseMsP99 * 1e3, unit: 'µs' },
    { measure: `${what}: failed calls`, ours: soak.failed, unit: '', ...goalOf(soak.failed, 0, '') },
    // The one that serves, and one that the stack of a call may still hold.
    { measure: `${what}: versions not collected`, ours: soak.live, unit: '', ...goalOf(soak.live, 2, '') },
    {
      measure: `${what}: growth of the heap in the last 800`,
      ours: soak.grownBytes / 1024,
      unit: 'KiB',
      ...goalOf(soak.grownBytes / 1024, 1024, 'KiB'),
    },
  ];
}

function goalOf(value: number, most: number | undefined, unit: string): Pick<BenchRow, 'goal' | 'reached'> {
  return most === undefined ? {} : { goal: `≤ ${most} ${unit}`.trim(), reached: value <= most };
}
