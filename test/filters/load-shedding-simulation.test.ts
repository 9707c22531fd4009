import assert from 'node:assert/strict';
import { createEventQueue } from '../../bench/limiters/event-queue.ts';
import { createWorkerPool, startArrivals } from '../../bench/limiters/worker-pool.ts';
import type { FilterEngine } from '../../plugins/engine/engine.ts';
import { type CallPriority, callPriorities } from '../../plugins/engine/filter.ts';
import type { CallOutcome } from '../../server/core/call.ts';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { createSeededRandom } from '../../server/core/random.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { startOnly } from './bed/start-only.ts';

const shedding = 'showrunner.load-shedding';
const limiting = 'showrunner.concurrency-limit';

/** Share of each class in the calls: CRITICAL alone fills 60 % of the server under four times its load. */
const mix: Readonly<Record<CallPriority, number>> = { CRITICAL: 0.15, DEGRADED: 0.2, BEST_EFFORT: 0.25, BULK: 0.4 };
const workers = 20;
const serviceMs = 40;
const capacity = (workers / serviceMs) * 1000;

interface Tally {
  offered: number;
  good: number;
}

function ended(error: AppError | undefined): CallOutcome {
  return { code: error?.code ?? Code.OK, error, durationMs: 1, requestMessages: 1, responseMessages: 1 };
}

/** Calls per second of simulated time through the real filters to a server of some workers, by class and second. */
async function simulate(load: (second: number) => number, seconds: number) {
  const queue = createEventQueue();
  const arrivals = createSeededRandom(3);
  const services = createSeededRandom(4);
  const unary = { initial: 20, min: 4, max: 1000 };
  await using engine: FilterEngine & AsyncDisposable = await startOnly(
    {
      [shedding]: { enabled: true, trustHeader: 'all' },
      [limiting]: { enabled: true, unary, partitionBy: 'priority', shares: { CRITICAL: 1 } },
    },
    { clock: queue.clock, only: [shedding, limiting] },
  );
  const tallies: Record<CallPriority, Tally>[] = [];
  const pool = createWorkerPool(queue, workers);
  const service = () => (serviceMs / 2) * (1 - Math.log(1 - services.next()));
  const draw = (): CallPriority => {
    let left = arrivals.next();
    for (const name of callPriorities) {
      left -= mix[name];
      if (left < 0) return name;
    }
    return 'BULK';
  };
  const arrive = () => {
    const priority = draw();
    const second = Math.floor(queue.nowMs / 1000);
    tallies[second] ??= Object.fromEntries(callPriorities.map((name) => [name, { offered: 0, good: 0 }])) as never;
    const tally = tallies[second]?.[priority] ?? { offered: 0, good: 0 };
    tally.offered++;
    const session = engine.open(createFakeCall({ metadata: { 'x-priority': priority } }));
    try {
      assert.equal(session?.inbound?.(), undefined);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      session?.end?.(ended(error));
      return;
    }
    pool.submit(service, () => {
      tally.good++;
      session?.end?.(ended(undefined));
    });
  };
  startArrivals(queue, arrivals, (second) => load(second) * capacity, seconds * 1000, arrive);
  // The engine closes after the last call: those that are under way are let end.
  queue.runUntil(seconds * 1000 + 60_000);
  return tallies;
}

function shareOf(tallies: readonly Record<CallPriority, Tally>[], name: CallPriority): number {
  const sum = (of: keyof Tally) => tallies.reduce((total, tally) => total + tally[name][of], 0);
  return sum('good') / sum('offered');
}

function goodOf(tally: Record<CallPriority, Tally>): number {
  return callPriorities.reduce((sum, name) => sum + tally[name].good, 0);
}

describe('prioritised shedding in simulated overload', () => {
  it('keeps CRITICAL above 99.4 % under four times the load, in order of priority, without swings', async () => {
    const tallies = await simulate((second) => (second < 20 ? 0.5 : 4), 70);
    const before = tallies.slice(5, 20);
    for (const name of callPriorities) assert.ok(shareOf(before, name) > 0.99, `${name} at half load`);
    const overload = tallies.slice(20, 70);
    const [critical = 0, degraded = 0, bestEffort = 0, bulk = 1] = callPriorities.map((name) =>
      shareOf(overload, name),
    );
    assert.ok(critical >= 0.994, `CRITICAL ${critical}`);
    assert.ok(degraded > 0.3 && bestEffort < 0.1 && bulk < 0.01, `others ${degraded}, ${bestEffort}, ${bulk}`);
    const rates = overload.slice(10).map((tally) => goodOf(tally) / capacity);
    const mean = rates.reduce((a, b) => a + b) / rates.length;
    const spread = Math.sqrt(rates.reduce((sum, rate) => sum + (rate - mean) ** 2, 0) / rates.length);
    assert.ok(mean > 0.95, `served ${mean} of the capacity`);
    // Chance alone makes about 1/√500 = 0.045.
    assert.ok(spread < 0.07, `swings by ${spread}`);
  });

  it('lets BULK fall first: at 1.3 times the load hardly anything else is refused', async () => {
    const tallies = await simulate(() => 1.3, 60);
    const [critical = 0, degraded = 0, bestEffort = 0, bulk = 1] = callPriorities.map((name) =>
      shareOf(tallies.slice(10), name),
    );
    assert.ok(critical > 0.999 && degraded > 0.99 && bestEffort > 0.95, `${critical}, ${degraded}, ${bestEffort}`);
    assert.ok(bulk < 0.6, `BULK ${bulk}`);
  });

  it('lets everything through again within seconds after the overload', async () => {
    const tallies = await simulate((second) => (second < 30 ? 4 : 0.5), 50);
    for (const name of callPriorities) assert.ok(shareOf(tallies.slice(35), name) > 0.99, name);
  });
});
