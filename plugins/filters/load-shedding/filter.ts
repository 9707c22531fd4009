import { metrics, type ObservableResult } from '@opentelemetry/api';
import {
  AppError,
  type Call,
  type CallPriority,
  Code,
  callPriorities,
  callPriority,
  createCounters,
  defineFilter,
  limiterUse,
  loadSignals,
  localRefusal,
  pathMatcher,
} from '../../engine/filter.ts';
import { createPriorities } from './call-priority.ts';
import { startLoopProbe } from './loop-probe.ts';
import { createPressure, type Pressure } from './pressure.ts';
import { shedConfig } from './shed-config.ts';
import { shedThreshold, subPriority } from './shed-threshold.ts';

const id = 'showrunner.load-shedding';

/** Wait by class, as a multiple of the configured one. */
const pushbackFactor: Readonly<Record<CallPriority, number>> = {
  CRITICAL: 0.1,
  DEGRADED: 0.5,
  BEST_EFFORT: 1,
  BULK: 5,
};
/** From this pressure on the two lower classes are told not to try again. */
const hopeless = 0.95;

/** Made once: they go with every call. */
const admittedAs = Object.fromEntries(callPriorities.map((priority) => [priority, { priority }])) as Readonly<
  Record<CallPriority, { readonly priority: CallPriority }>
>;

function shed(call: Call, priority: CallPriority, x: number, by: string, waitMs: number): AppError {
  const isHopeless = x >= hopeless && callPriorities.indexOf(priority) >= 2;
  call.responseTrailers.set('grpc-retry-pushback-ms', isHopeless ? '-1' : String(waitMs));
  localRefusal.set(call, id);
  return new AppError({
    code: Code.UNAVAILABLE,
    reason: 'LOAD_SHED',
    message: `the server is overloaded and now leaves out calls of priority ${priority}`,
    metadata: { priority, pressure: x.toFixed(2), by },
    ...(isHopeless ? {} : { retryAfterMs: waitMs }),
  });
}

function observe(pressure: Pressure): () => void {
  const description = 'How hard the process is pressed, 0-1.';
  const gauge = metrics.getMeter('showrunner.filters').createObservableGauge('showrunner.load_shedding.pressure', {
    description,
  });
  const read = (result: ObservableResult) => result.observe(pressure.read());
  gauge.addCallback(read);
  return () => gauge.removeCallback(read);
}

/**
 * Prioritised load shedding: grants each call a priority, and under pressure (concurrency limit, event loop, heap)
 * refuses the least important calls first, by degrees: UNAVAILABLE LOAD_SHED, with a longer wait the less it matters.
 */
export const filter = defineFilter({
  id,
  version: '1.0.0',
  type: 'inbound',
  // Before the concurrency limit, which refuses without regard to who calls, and takes priorities for its partitions.
  order: -350,
  category: 'overload',
  failurePolicy: 'open',
  config: shedConfig,
  isEnabled: ({ enabled }) => enabled,
  open: (config, { clock }) => {
    const probe = config.enabled ? startLoopProbe(clock, config.sampleMs) : undefined;
    const { riseMs, fallMs } = config;
    const sources = [
      { name: 'limiter', read: () => loadSignals.read(limiterUse), ...config.limiter },
      { name: 'loop_lag', read: () => probe?.lagMs() ?? 0, ...config.loopLagMs },
      { name: 'heap', read: () => probe?.heapShare() ?? 0, ...config.heap },
    ];
    const pressure = createPressure({ sources, clock, riseMs, fallMs });
    const stopObserving = config.enabled ? observe(pressure) : () => {};
    return {
      pressure,
      priorityOf: createPriorities(config),
      isExempt: pathMatcher(config.exemptPaths),
      counters: createCounters('showrunner.load_shedding', {
        admitted: 'Calls that were let through, by priority.',
        shed: 'Calls that were refused, by priority and by what pressed most.',
      }),
      stop: () => {
        probe?.stop();
        stopObserving();
      },
    };
  },
  close: ({ stop }) => stop(),
  shouldRun: (call, { state }) => !state.isExempt(call.path),
  run: (call, { config, state, random, nowMs }) => {
    const priority = state.priorityOf(call);
    callPriority.set(call, priority);
    const x = state.pressure.read(nowMs);
    if (x === 0 || subPriority(priority, random.next()) <= shedThreshold(x)) {
      state.counters.add('admitted', admittedAs[priority]);
      return;
    }
    const { by } = state.pressure;
    state.counters.add('shed', { priority, by });
    const waitMs = Math.ceil(config.pushbackMs * pushbackFactor[priority] * (0.5 + random.next()));
    throw shed(call, priority, x, by, waitMs);
  },
});
