import { metrics } from '@opentelemetry/api';
import {
  AppError,
  type Call,
  Code,
  callKey,
  createCounters,
  createTokenBuckets,
  defineFilter,
  pathMatcher,
  type SchemaValue,
  schema,
} from '../../engine/filter.ts';
import { createSharedTake } from './shared-rate.ts';

const { withDefault } = schema;

const rateConfig = schema.shape({
  ratePerSecond: withDefault(schema.number(0.001, 1e6), 200),
  /** Calls that may come at once after a pause. */
  burst: withDefault(schema.integer(1, 1e6), 400),
  /** Most callers remembered. */
  maxKeys: withDefault(schema.integer(1, 1e6), 10_000),
  /** True: all servers on the same Redis count together. What one server alone would refuse does not get that far. */
  shared: withDefault(schema.flag(), false),
  /** Longest wait for Redis, ms. */
  sharedTimeoutMs: withDefault(schema.integer(1, 5000), 50),
  /** While Redis does not answer: this server counts alone, or calls are refused. */
  unshared: withDefault(schema.oneOf('local', 'refuse'), 'local'),
  /** Globs on paths without a limit, e.g. `/grpc.health.v1.Health/*`. */
  exemptPaths: withDefault(schema.list(schema.text(1, 256), 100), []),
});

type RateConfig = SchemaValue<typeof rateConfig>;

function rateLimited(call: Call, waitMs: number, { ratePerSecond }: RateConfig): AppError {
  // What gRPC clients honour in place of their own back-off.
  call.responseTrailers.set('grpc-retry-pushback-ms', String(waitMs));
  return new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'RATE_LIMITED',
    message: `more than ${ratePerSecond} calls per second; try again in ${waitMs} ms`,
    metadata: { rate_per_second: String(ratePerSecond), retry_after_ms: String(waitMs) },
    retryAfterMs: waitMs,
  });
}

function rateUnknown(): AppError {
  return new AppError({
    code: Code.UNAVAILABLE,
    reason: 'RATE_UNKNOWN',
    message: 'the shared rate limit cannot be asked, and calls are not allowed without it',
  });
}

/**
 * Rate limit per principal, or per peer host without one: a token bucket here, and with `shared` the same rate over all
 * servers on one Redis (GCRA). RESOURCE_EXHAUSTED with the exact wait.
 */
export const filter = defineFilter({
  id: 'showrunner.rate-limit',
  version: '1.1.0',
  type: 'inbound',
  // After authentication, which says who calls.
  order: -400,
  category: 'abuse',
  failurePolicy: 'closed',
  config: rateConfig,
  open: (config, { clock, sharedRates }) => {
    const meter = metrics.getMeter('showrunner.filters');
    const counters = createCounters('showrunner.rate_limit', {
      unshared: 'Calls for which the shared rate could not be asked in time.',
    });
    if (config.shared && sharedRates === undefined) throw new Error('this engine was lent no shared rates');
    const { ratePerSecond, burst, sharedTimeoutMs: timeoutMs } = config;
    return {
      buckets: createTokenBuckets({ ...config, clock }),
      takeShared:
        config.shared && sharedRates !== undefined
          ? createSharedTake({ rates: sharedRates, ratePerSecond, burst, timeoutMs, clock, counters })
          : undefined,
      isExempt: pathMatcher(config.exemptPaths),
      evictions: meter.createCounter('showrunner.rate_limit.evictions', {
        description: 'Buckets that made room for others: their callers start with a full one.',
      }),
    };
  },
  shouldRun: (call, { state }) => !state.isExempt(call.path),
  run: (call, { config, state, nowMs }) => {
    const { buckets, takeShared } = state;
    const key = callKey(call, 'principal');
    const before = buckets.evicted;
    const waitMs = buckets.take(key, nowMs);
    if (buckets.evicted > before) state.evictions.add(1);
    if (waitMs > 0) throw rateLimited(call, waitMs, config);
    if (takeShared === undefined) return;
    return takeShared(key).then((sharedWaitMs) => {
      if (sharedWaitMs === undefined && config.unshared === 'refuse') throw rateUnknown();
      if (sharedWaitMs !== undefined && sharedWaitMs > 0) throw rateLimited(call, sharedWaitMs, config);
    });
  },
});
