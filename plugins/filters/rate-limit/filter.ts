import { metrics } from '@opentelemetry/api';
import { AppError, Code, callKey, defineFilter, pathMatcher, schema } from '../../engine/filter.ts';
import { createTokenBuckets } from './token-buckets.ts';

function rateLimited(waitMs: number, ratePerSecond: number): AppError {
  return new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'RATE_LIMITED',
    message: `more than ${ratePerSecond} calls per second; try again in ${waitMs} ms`,
    metadata: { rate_per_second: String(ratePerSecond), retry_after_ms: String(waitMs) },
    retryAfterMs: waitMs,
  });
}

/** Rate limit per principal, or per peer host without one: a token bucket, RESOURCE_EXHAUSTED with the exact wait. */
export const filter = defineFilter({
  id: 'showrunner.rate-limit',
  version: '1.0.0',
  type: 'inbound',
  // After authentication, which says who calls.
  order: -400,
  category: 'abuse',
  failurePolicy: 'closed',
  config: schema.shape({
    ratePerSecond: schema.withDefault(schema.number(0.001, 1e6), 200),
    /** Calls that may come at once after a pause. */
    burst: schema.withDefault(schema.integer(1, 1e6), 400),
    /** Most callers remembered. */
    maxKeys: schema.withDefault(schema.integer(1, 1e6), 10_000),
    /** Globs on paths without a limit, e.g. `/grpc.health.v1.Health/*`. */
    exemptPaths: schema.withDefault(schema.list(schema.text(1, 256), 100), []),
  }),
  open: (config, { clock }) => {
    const meter = metrics.getMeter('showrunner.filters');
    return {
      buckets: createTokenBuckets({ ...config, clock }),
      isExempt: pathMatcher(config.exemptPaths),
      evictions: meter.createCounter('showrunner.rate_limit.evictions', {
        description: 'Buckets that made room for others: their callers start with a full one.',
      }),
    };
  },
  shouldRun: (call, { state }) => !state.isExempt(call.path),
  run: (call, { config, state }) => {
    const before = state.buckets.evicted;
    const waitMs = state.buckets.take(callKey(call, 'principal'));
    if (state.buckets.evicted > before) state.evictions.add(1);
    if (waitMs === 0) return;
    // What gRPC clients honour in place of their own back-off.
    call.responseTrailers.set('grpc-retry-pushback-ms', String(waitMs));
    throw rateLimited(waitMs, config.ratePerSecond);
  },
});
