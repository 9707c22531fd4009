import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Contestant, contestants, fixedLimit } from './limiters/contestants.ts';
import { capacityOf, type ScenarioName, scenarios } from './limiters/scenarios.ts';
import { type SecondOf, simulateLimiter } from './limiters/simulate-limiter.ts';
import { renderChart, type Series } from './limiters/svg-chart.ts';
import type { BenchReport, BenchRow } from './report.ts';
import { mean } from './statistics.ts';

interface Runs {
  readonly contestant: Contestant;
  readonly original: Readonly<Record<ScenarioName, readonly SecondOf[]>>;
  readonly corrected: Readonly<Record<ScenarioName, readonly SecondOf[]>>;
}

const names = Object.keys(scenarios) as ScenarioName[];
const fixedLimits = [10, 12, 15, 20, 30, 100, 120, 150];
/** Seconds of the steady overload: early, and more than 500 windows later. */
const early = [60, 100] as const;
const late = [560, 600] as const;

function goodput(seconds: readonly SecondOf[]): number {
  return seconds.reduce((sum, { good }) => sum + good, 0);
}

function runAll(contestant: Contestant): Runs {
  const run = (form: 'original' | 'corrected') =>
    Object.fromEntries(names.map((name) => [name, simulateLimiter(scenarios[name], contestant[form]())])) as Record<
      ScenarioName,
      SecondOf[]
    >;
  return { contestant, original: run('original'), corrected: run('corrected') };
}

/** The fixed limit that answers most calls in time; of equally good ones (within 0.2 %) the smallest. */
function bestFixed(name: ScenarioName): { readonly limit: number; readonly good: number } {
  const runs = fixedLimits.map((limit) => ({
    limit,
    good: goodput(simulateLimiter(scenarios[name], fixedLimit(limit))),
  }));
  const most = Math.max(...runs.map(({ good }) => good));
  return runs.find(({ good }) => good >= 0.998 * most) ?? { limit: 0, good: most };
}

/** A row of the corrected form beside the original one. */
function row(measure: string, unit: string, ours: number, original: number, goal?: Goal): BenchRow {
  const peer = { name: 'original', value: original };
  return { measure, ours, unit, peer, ...(goal === undefined ? {} : { goal: goal.text, reached: goal.holds(ours) }) };
}

interface Goal {
  readonly text: string;
  readonly holds: (value: number) => boolean;
}

const atMost = (most: number): Goal => ({ text: `≤ ${most}`, holds: (value) => value <= most });
const atLeast = (least: number): Goal => ({ text: `≥ ${least}`, holds: (value) => value >= least });

function rowsOf(
  { contestant, original, corrected }: Runs,
  best: ReadonlyMap<ScenarioName, { limit: number; good: number }>,
) {
  const { name } = contestant;
  const limits = (runs: Runs['original'], [from, to]: readonly [number, number]) =>
    runs.steady.slice(from, to).map(({ limit }) => limit);
  const both = (figure: (runs: Runs['original']) => number): [number, number] => [figure(corrected), figure(original)];
  const fixed = best.get('steady')?.limit ?? 1;
  const drift = (runs: Runs['original']) => mean(limits(runs, late)) / mean(limits(runs, early));
  const overshoot = (runs: Runs['original']) => Math.max(...runs.steady.slice(30).map(({ limit }) => limit)) / fixed;
  const error = (runs: Runs['original']) => mean(limits(runs, late).map((limit) => Math.abs(limit - fixed) / fixed));
  const latency = (runs: Runs['original']) => mean(runs.steady.slice(...late).map(({ latencyMs }) => latencyMs));
  return [
    row(`${name}, steady 10x: limit after 500 windows / after 50`, 'x', ...both(drift), atMost(1.1)),
    row(`${name}, steady 10x: highest limit / best fixed limit`, 'x', ...both(overshoot)),
    row(`${name}, steady 10x: mean distance from the best fixed limit`, 'of it', ...both(error)),
    row(`${name}, steady 10x: latency after 500 windows`, 'ms', ...both(latency)),
    ...names.map((scenario) =>
      row(
        `${name}, ${scenario}: answers in time / those of the best fixed limit`,
        'x',
        ...both((runs) => goodput(runs[scenario]) / (best.get(scenario)?.good ?? 1)),
        atLeast(0.95),
      ),
    ),
  ];
}

function highest(series: readonly Series[]): number {
  return 1.05 * Math.max(...series.flatMap(({ values }) => values));
}

function chartOf(name: ScenarioName, runs: readonly Runs[]): string {
  const { workers, serviceMs, deadlineMs, seconds } = scenarios[name];
  const capacity = capacityOf(scenarios[name]);
  const series = (figure: (second: SecondOf) => number): Series[] =>
    runs.flatMap(({ contestant, original, corrected }) =>
      [original, corrected].map((form) => ({
        name: `${contestant.name} ${form === original ? 'original' : 'corrected'}`,
        ...{ color: contestant.color, isDashed: form === original, values: form[name].map(figure) },
      })),
    );
  const load = {
    ...{ name: 'offered', color: '#8c959f', isDashed: false },
    values: (runs[0]?.original[name] ?? []).map(({ offered }) => offered / capacity),
  };
  const limits = series(({ limit }) => limit);
  const latencies = series(({ latencyMs }) => latencyMs);
  return renderChart({
    title: `Concurrency limits, ${name}: ${workers} workers of ${serviceMs} ms, callers wait ${deadlineMs} ms`,
    ...{ xTitle: 'seconds (a window each)', maxX: seconds },
    panels: [
      { title: 'limit, calls', maxY: highest(limits), series: limits },
      { title: 'mean latency, ms', maxY: highest(latencies), series: latencies },
      {
        title: 'answered in time, share of the capacity (grey: offered)',
        maxY: 1.2,
        series: [...series(({ good }) => good / capacity), load],
      },
    ],
  });
}

/** Writes `limiters-<scenario>.svg` into a folder. */
function writeCharts(runs: readonly Runs[], folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (const name of names) writeFileSync(join(folder, `limiters-${name}.svg`), chartOf(name, runs));
}

/**
 * Simulates the adaptive limits as published and as corrected: steady overload, step, sawtooth, recovery; draws the
 * curves into `folder` (default docs/img). Seeded: the same figures on every machine.
 */
export async function runLimiterBench(folder = join(import.meta.dirname, '../docs/img')): Promise<BenchReport> {
  const runs = contestants.map(runAll);
  const best = new Map(names.map((name) => [name, bestFixed(name)]));
  writeCharts(runs, folder);
  return { name: 'limiters', rows: runs.flatMap((one) => rowsOf(one, best)) };
}
