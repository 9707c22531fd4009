import {
  AppError,
  Code,
  callKey,
  createCounters,
  createTokenBuckets,
  defineFilter,
  pathMatcher,
  schema,
} from '../../engine/filter.ts';

const { withDefault } = schema;

function messagesLimited(ratePerSecond: number, waitMs: number): AppError {
  return new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'MESSAGE_RATE_LIMITED',
    message: `more than ${ratePerSecond} request messages per second on this caller's streams`,
    metadata: { rate_per_second: String(ratePerSecond), retry_after_ms: String(waitMs) },
    retryAfterMs: waitMs,
  });
}

/**
 * Limit of request messages on streams, per principal, or per peer host without one: a stream is one call to the rate
 * limit, however much it sends. Beyond the rate messages wait (back-pressure), or end the stream with RESOURCE_EXHAUSTED
 * MESSAGE_RATE_LIMITED.
 */
export const filter = defineFilter({
  id: 'showrunner.message-rate',
  version: '1.0.0',
  type: 'inbound',
  // After the rate limit of calls.
  order: -395,
  category: 'abuse',
  failurePolicy: 'closed',
  timeoutMs: 65_000,
  maxConcurrent: 100_000,
  messageKinds: ['client_stream', 'bidi_stream'],
  config: schema.shape({
    enabled: withDefault(schema.flag(), false),
    ratePerSecond: withDefault(schema.number(0.001, 1e6), 1000),
    /** Messages that may come at once after a pause. */
    burst: withDefault(schema.integer(1, 1e6), 2000),
    /** What becomes of a message beyond the rate. */
    beyond: withDefault(schema.oneOf('wait', 'refuse'), 'wait'),
    /** Longest wait of one message, ms; then the stream ends. */
    maxWaitMs: withDefault(schema.integer(0, 60_000), 10_000),
    /** Most callers remembered. */
    maxKeys: withDefault(schema.integer(1, 1e6), 10_000),
    exemptPaths: withDefault(schema.list(schema.text(1, 256), 100), []),
  }),
  isEnabled: ({ enabled }) => enabled,
  open: (config, { clock }) => ({
    buckets: createTokenBuckets({ ...config, clock }),
    isExempt: pathMatcher(config.exemptPaths),
    counters: createCounters('showrunner.message_rate', {
      waited: 'Messages that waited for their turn.',
      refused: 'Messages that ended their stream.',
    }),
  }),
  shouldRun: (call, { state }) => !state.isExempt(call.path),
  onRequestMessage: async (_message, call, ctx) => {
    const { config, state, clock } = ctx;
    const { beyond, maxWaitMs, ratePerSecond } = config;
    const key = callKey(call, 'principal');
    // Its own token, so that of many streams that wait each wakes once.
    const mostMs = beyond === 'refuse' ? 0 : maxWaitMs;
    const waitMs = state.buckets.reserve(key, mostMs);
    if (waitMs === 0) return;
    if (waitMs > mostMs) {
      state.counters.add('refused');
      throw messagesLimited(ratePerSecond, waitMs);
    }
    state.counters.add('waited');
    try {
      await clock.sleep(waitMs, ctx.signal);
    } catch (error) {
      state.buckets.giveBack(key);
      throw error;
    }
  },
});
