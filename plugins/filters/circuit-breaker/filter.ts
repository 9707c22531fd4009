import { metrics, type ObservableResult } from '@opentelemetry/api';
import {
  AppError,
  type Call,
  type CallOutcome,
  Code,
  callKey,
  codeName,
  contextKey,
  createCounters,
  createKeyedTable,
  defineFilter,
  globMatcher,
  type KeyedTable,
  localRefusal,
  type OpenContext,
} from '../../engine/filter.ts';
import { type Breaker, type BreakerMode, type BreakerPass, createBreaker } from './breaker.ts';
import { type BreakerConfig, breakerConfig } from './breaker-config.ts';

const id = 'showrunner.circuit-breaker';

interface Passed {
  readonly pass: BreakerPass;
  readonly sinceMs: number;
}

const passed = contextKey<Passed>('breaker_pass');

function modeFinder({ modes }: BreakerConfig): (key: string) => BreakerMode {
  const rules = modes.map(({ key, mode }) => ({ matches: globMatcher([key]), mode }));
  return (key) => rules.find(({ matches }) => matches(key))?.mode ?? 'AUTO';
}

function createCounts() {
  return createCounters('showrunner.circuit_breaker', {
    refused: 'Calls refused by an open breaker.',
    changed: 'Changes of state, by the new one.',
    expired_probes: 'Probes whose end was not heard of in time.',
    would_open: 'Times that a breaker in METRICS_ONLY would have opened.',
    evicted: 'Breakers that made room for others.',
  });
}

function createBreakers(
  config: BreakerConfig,
  { clock, random, log }: OpenContext,
  counters: ReturnType<typeof createCounts>,
): KeyedTable<Breaker> {
  const modeOf = modeFinder(config);
  return createKeyedTable<Breaker>({
    maxKeys: config.maxKeys,
    create: (key) =>
      createBreaker({
        ...{ ...config, mode: modeOf(key), clock, random },
        onChange: (from, to) => {
          counters.add('changed', { state: to });
          log.warn('circuit breaker changed', { key: key.slice(0, 256), from, to });
        },
        onExpired: () => counters.add('expired_probes'),
        onWouldOpen: () => {
          counters.add('would_open');
          log.warn('circuit breaker would open', { key: key.slice(0, 256) });
        },
      }),
    isDisposable: ({ state }) => state === 'CLOSED',
    onEvict: (breaker) => {
      counters.add('evicted');
      breaker.close();
    },
  });
}

/** Publishes the number of breakers that let nothing or probes only through; the returned function withdraws it. */
function observe(breakers: KeyedTable<Breaker>): () => void {
  const gauge = metrics.getMeter('showrunner.filters').createObservableGauge('showrunner.circuit_breaker.not_closed');
  const read = (result: ObservableResult) => {
    let open = 0;
    for (const { state } of breakers.values()) if (state !== 'CLOSED' && state !== 'DISABLED') open++;
    result.observe(open);
  };
  gauge.addCallback(read);
  return () => gauge.removeCallback(read);
}

function circuitOpen(call: Call, { by }: BreakerConfig, breaker: Breaker): AppError {
  const waitMs = Math.max(1, Math.ceil(breaker.waitMs()));
  const isForced = !Number.isFinite(waitMs);
  // What gRPC clients honour in place of their own back-off; a negative wait means "do not try again".
  call.responseTrailers.set('grpc-retry-pushback-ms', isForced ? '-1' : String(waitMs));
  localRefusal.set(call, id);
  return new AppError({
    code: Code.UNAVAILABLE,
    reason: 'CIRCUIT_OPEN',
    message: `too many calls of the same ${by} failed or were slow; they are left out for a while`,
    metadata: { by, state: breaker.state },
    ...(isForced ? {} : { retryAfterMs: waitMs }),
  });
}

function isTelling(call: Call, { code }: CallOutcome, config: BreakerConfig, tookMs: number): boolean {
  if (code === Code.CANCELLED || localRefusal.get(call) !== undefined) return false;
  return code !== Code.DEADLINE_EXCEEDED || tookMs >= config.minTimeoutMs;
}

/**
 * Circuit breaker per service, method or principal: refuses with UNAVAILABLE CIRCUIT_OPEN while calls mostly fail or
 * are slow, then finds out with a few probes whether they still do.
 */
export const filter = defineFilter({
  id,
  version: '1.0.0',
  type: 'inbound',
  // After all that refuses for load: a probe must not be spent on a call that is refused afterwards.
  order: -200,
  category: 'resilience',
  failurePolicy: 'open',
  config: breakerConfig,
  isEnabled: ({ enabled }) => enabled,
  open: (config, context) => {
    const counters = createCounts();
    const breakers = createBreakers(config, context, counters);
    const failureCodes = new Set<string>(config.failureCodes);
    return { breakers, counters, failureCodes, stop: config.enabled ? observe(breakers) : () => {} };
  },
  close: ({ breakers, stop }) => {
    stop();
    for (const breaker of breakers.values()) breaker.close();
  },
  run: (call, { config, state, nowMs }) => {
    const breaker = state.breakers.get(callKey(call, config.by));
    if (breaker.isOff) return;
    const pass = breaker.acquire();
    if (pass === undefined) {
      state.counters.add('refused', { state: breaker.state });
      throw circuitOpen(call, config, breaker);
    }
    passed.set(call, { pass, sinceMs: nowMs });
  },
  messageKinds: ['server_stream', 'bidi_stream'],
  onResponseMessage: (_message, call) => passed.get(call)?.pass.heard(),
  onEnd: (call, outcome, { config, state, nowMs }) => {
    const own = passed.get(call);
    if (own === undefined) return;
    const tookMs = nowMs - own.sinceMs;
    if (!isTelling(call, outcome, config, tookMs)) own.pass.drop();
    else {
      const isSlow = call.kind === 'unary' && tookMs > config.slowMs;
      own.pass.record(state.failureCodes.has(codeName(outcome.code)), isSlow, nowMs);
    }
  },
});
