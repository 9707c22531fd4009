import type { LimitAlgorithm } from '../../plugins/filters/concurrency-limit/limit-algorithm.ts';
import { createLimiter } from '../../plugins/filters/concurrency-limit/limiter.ts';
import { createSampleWindow } from '../../plugins/filters/concurrency-limit/sample-window.ts';
import { createSeededRandom } from '../../server/core/random.ts';
import { createEventQueue } from './event-queue.ts';
import { createWorkerPool, startArrivals } from './worker-pool.ts';

/** A server of some workers behind a first-come queue, called at a rate that changes. */
export interface Scenario {
  readonly name: string;
  readonly seconds: number;
  readonly workers: number;
  /** Mean service time, ms; drawn with an exponential part of half of it. */
  readonly serviceMs: number;
  /** Calls per second at a time, s. */
  readonly callsPerSecond: (second: number) => number;
  /** How long callers wait, ms. */
  readonly deadlineMs: number;
}

/** What one second showed. */
export interface SecondOf {
  readonly limit: number;
  readonly offered: number;
  /** Calls that were answered within their deadline. */
  readonly good: number;
  readonly refused: number;
  /** Mean latency of the answered calls, ms; 0 without any. */
  readonly latencyMs: number;
}

interface Totals {
  offered: number;
  good: number;
  refused: number;
  latencySumMs: number;
}

/** Runs a scenario against a limit; the same seed gives the same calls and service times to every limit. */
export function simulateLimiter(scenario: Scenario, algorithm: LimitAlgorithm, seed = 7): SecondOf[] {
  const queue = createEventQueue();
  const arrivals = createSeededRandom(seed);
  const services = createSeededRandom(seed + 1);
  const limiter = createLimiter({
    ...{ algorithm, window: createSampleWindow(), clock: queue.clock, random: createSeededRandom(seed + 2) },
  });
  const pool = createWorkerPool(queue, scenario.workers);
  const serviceMs = () => (scenario.serviceMs / 2) * (1 - Math.log(1 - services.next()));
  let totals: Totals = { offered: 0, good: 0, refused: 0, latencySumMs: 0 };
  const seconds: SecondOf[] = [];

  function arrive(): void {
    totals.offered++;
    const permit = limiter.acquire('');
    if (permit === undefined) {
      totals.refused++;
      return;
    }
    const since = queue.nowMs;
    pool.submit(serviceMs, () => {
      const tookMs = queue.nowMs - since;
      if (tookMs <= scenario.deadlineMs) {
        totals.good++;
        totals.latencySumMs += tookMs;
        permit.sample(tookMs);
      } else permit.drop(scenario.deadlineMs);
      permit.release();
    });
  }

  startArrivals(queue, arrivals, scenario.callsPerSecond, scenario.seconds * 1000, arrive);
  for (let second = 1; second <= scenario.seconds; second++) {
    queue.runUntil(second * 1000);
    const { offered, good, refused, latencySumMs } = totals;
    seconds.push({ limit: limiter.limit, offered, good, refused, latencyMs: good === 0 ? 0 : latencySumMs / good });
    totals = { offered: 0, good: 0, refused: 0, latencySumMs: 0 };
  }
  return seconds;
}
