import { metrics, type ObservableResult } from '@opentelemetry/api';
import {
  AppError,
  type Call,
  type Clock,
  Code,
  callPriority,
  codeName,
  contextKey,
  createCounters,
  defineFilter,
  limiterUse,
  loadSignals,
  localRefusal,
  pathMatcher,
  type Random,
} from '../../engine/filter.ts';
import { createAlgorithm } from './create-algorithm.ts';
import { type LimitConfig, limitConfig } from './limit-config.ts';
import { createLimiter, type Limiter, type Permit } from './limiter.ts';
import { createSampleWindow } from './sample-window.ts';

const id = 'showrunner.concurrency-limit';

interface Held {
  readonly permit: Permit;
  /** Monotonic ms from which the latency counts. */
  sinceMs: number;
  isSampled: boolean;
}

const held = contextKey<Held>('concurrency_permit');

function createLimiters(config: LimitConfig, clock: Clock, random: Random) {
  const limiterOf = (bounds: LimitConfig['unary']) => {
    const algorithm = createAlgorithm(config, bounds, random);
    return createLimiter({ algorithm, window: createSampleWindow(), clock, random, shares: config.shares });
  };
  return { unary: limiterOf(config.unary), stream: limiterOf(config.streams) };
}

function useOf({ inFlight, limit }: Limiter): number {
  return inFlight / limit;
}

/** Publishes limit and use, for metrics and for load-shedding; the returned function withdraws them. */
function publish(limiters: Readonly<Record<'unary' | 'stream', Limiter>>): () => void {
  const pools = Object.entries(limiters);
  const meter = metrics.getMeter('showrunner.filters');
  const stops = (['limit', 'inFlight'] as const).map((name) => {
    const gauge = meter.createObservableGauge(`showrunner.concurrency_limit.${name === 'limit' ? name : 'in_flight'}`);
    const observe = (result: ObservableResult) => {
      for (const [pool, limiter] of pools) result.observe(limiter[name], { pool });
    };
    gauge.addCallback(observe);
    return () => gauge.removeCallback(observe);
  });
  stops.push(loadSignals.publish(limiterUse, () => Math.max(useOf(limiters.unary), useOf(limiters.stream))));
  return () => {
    for (const stop of stops) stop();
  };
}

function partitionOf(call: Call, by: LimitConfig['partitionBy']): string {
  if (by === 'priority') return callPriority.get(call) ?? '';
  return by === 'principal' ? (call.principal?.id ?? '') : '';
}

function limitReached(limiter: Limiter, config: LimitConfig, call: Call): AppError {
  const drainMs = Math.max(config.minPushbackMs, Math.ceil(limiter.drainMs()));
  const isHopeless = drainMs > config.maxPushbackMs;
  // What gRPC clients honour in place of their own back-off; a negative wait means "do not try again".
  call.responseTrailers.set('grpc-retry-pushback-ms', isHopeless ? '-1' : String(drainMs));
  localRefusal.set(call, id);
  return new AppError({
    code: Code.UNAVAILABLE,
    reason: 'CONCURRENCY_LIMIT',
    message: `the server already works on ${limiter.inFlight} calls, as many as it can`,
    metadata: { limit: String(limiter.limit) },
    ...(isHopeless ? {} : { retryAfterMs: drainMs }),
  });
}

/**
 * Adaptive concurrency limit: as many calls at once as the server answers without queueing, learned from latencies.
 * Unary calls and streams have a limit each. A stream holds its place until it ends; its sample is the time to its
 * first response, counted from the latest request where the caller streams. Errors and cancelled calls are no
 * samples; a call that runs out of time before its first response is a drop. Refuses with UNAVAILABLE
 * CONCURRENCY_LIMIT and the time in which the queue of those refused would drain.
 */
export const filter = defineFilter({
  id,
  version: '1.0.0',
  type: 'inbound',
  // After the filters that refuse for other causes, before those that wait or act.
  order: -300,
  category: 'overload',
  failurePolicy: 'open',
  config: limitConfig,
  isEnabled: ({ enabled }) => enabled,
  open: (config, { clock, random }) => {
    const limiters = createLimiters(config, clock, random);
    return {
      limiters,
      isExempt: pathMatcher(config.exemptPaths),
      dropCodes: new Set<string>(config.dropCodes),
      counters: createCounters('showrunner.concurrency_limit', {
        refused: 'Calls refused because the limit was reached.',
        dropped: 'Calls that ran out of time and lower the limit.',
      }),
      stop: config.enabled ? publish(limiters) : () => {},
    };
  },
  close: ({ stop }) => stop(),
  messageKinds: ['client_stream', 'server_stream', 'bidi_stream'],
  shouldRun: (call, { state }) => !state.isExempt(call.path),
  run: (call, { config, state, nowMs }) => {
    const pool = call.kind === 'unary' ? 'unary' : 'stream';
    const limiter = state.limiters[pool];
    const permit = limiter.acquire(partitionOf(call, config.partitionBy), nowMs);
    if (permit === undefined) {
      state.counters.add('refused', { pool, priority: callPriority.get(call) ?? 'none' });
      throw limitReached(limiter, config, call);
    }
    held.set(call, { permit, sinceMs: nowMs, isSampled: false });
  },
  onRequestMessage: (_message, call, { clock }) => {
    if (call.kind !== 'client_stream' && call.kind !== 'bidi_stream') return;
    const own = held.get(call);
    if (own !== undefined && !own.isSampled) own.sinceMs = clock.monotonic();
  },
  onResponseMessage: (_message, call, { clock }) => {
    const own = held.get(call);
    if (own === undefined || own.isSampled) return;
    own.isSampled = true;
    own.permit.sample(clock.monotonic() - own.sinceMs);
  },
  onEnd: (call, { code }, { state, nowMs }) => {
    const own = held.get(call);
    if (own === undefined) return;
    const tookMs = nowMs - own.sinceMs;
    if (!own.isSampled && localRefusal.get(call) === undefined) {
      if (code === Code.OK) own.permit.sample(tookMs, nowMs);
      else if (state.dropCodes.has(codeName(code))) {
        state.counters.add('dropped', { pool: call.kind === 'unary' ? 'unary' : 'stream' });
        own.permit.drop(tookMs, nowMs);
      }
    }
    own.permit.release(nowMs);
  },
});
