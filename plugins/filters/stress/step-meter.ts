import type { Random } from '../../engine/filter.ts';
import type { RampStep } from './knee.ts';

/** Measures one step after another. */
export interface StepMeter {
  admitted(): void;
  ended(latencyMs: number, isFailure: boolean): void;
  /** Ended calls of the present step, and those of them that failed. */
  readonly calls: number;
  readonly failures: number;
  /** Closes the step, which took so long, and begins the next. */
  close(percent: number, durationMs: number): RampStep;
}

/** Latencies that are kept per step: a fair sample when there are more. */
const kept = 2048;

/** Measures the first step from now on. */
export function createStepMeter(random: Random): StepMeter {
  let latencies: number[] = [];
  let admitted = 0;
  let calls = 0;
  let failures = 0;
  return {
    admitted: () => {
      admitted++;
    },
    ended: (latencyMs, isFailure) => {
      calls++;
      if (isFailure) failures++;
      if (latencies.length < kept) latencies.push(latencyMs);
      else {
        const at = Math.floor(random.next() * calls);
        if (at < kept) latencies[at] = latencyMs;
      }
    },
    get calls() {
      return calls;
    },
    get failures() {
      return failures;
    },
    close: (percent, durationMs) => {
      const sorted = latencies.toSorted((a, b) => a - b);
      const quantile = (share: number) => sorted[Math.ceil(share * sorted.length) - 1] ?? 0;
      const perSecond = (count: number) => (count * 1000) / durationMs;
      const step = {
        ...{ percent, admittedPerSecond: perSecond(admitted), goodPerSecond: perSecond(calls - failures) },
        ...{ p50Ms: quantile(0.5), p95Ms: quantile(0.95), errorPercent: calls === 0 ? 0 : (100 * failures) / calls },
      };
      latencies = [];
      admitted = 0;
      calls = 0;
      failures = 0;
      return step;
    },
  };
}
