import { callKeyKinds, type SchemaValue, schema } from '../../engine/filter.ts';

const { withDefault } = schema;
const codes = [
  'UNKNOWN',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
] as const;
const failures = ['UNKNOWN', 'DEADLINE_EXCEEDED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS'] as const;

const fields = schema.shape({
  enabled: withDefault(schema.flag(), false),
  /** What has a breaker of its own. */
  by: withDefault(schema.oneOf(...callKeyKinds), 'service'),
  /** Mode by glob on the key; the first match counts, the rest run by themselves. */
  modes: withDefault(
    schema.list(
      schema.shape({ key: schema.text(1, 256), mode: schema.oneOf('FORCED_OPEN', 'DISABLED', 'METRICS_ONLY') }),
      100,
    ),
    [],
  ),
  /** COUNT: the last `windowSize` calls. TIME: the calls of the last `windowSize` seconds. */
  window: withDefault(schema.oneOf('COUNT', 'TIME'), 'TIME'),
  windowSize: withDefault(schema.integer(1, 10_000), 10),
  minCalls: withDefault(schema.integer(1, 100_000), 20),
  /** Percent of failed calls from which it opens. */
  failureRate: withDefault(schema.number(0.1, 100), 50),
  /** A unary call that takes longer is slow, ms. Streams are never slow. */
  slowMs: withDefault(schema.integer(1, 3_600_000), 60_000),
  /** Percent of slow calls from which it opens. */
  slowRate: withDefault(schema.number(0.1, 100), 100),
  openMs: withDefault(schema.integer(1, 3_600_000), 5000),
  maxOpenMs: withDefault(schema.integer(1, 3_600_000), 300_000),
  probes: withDefault(schema.integer(1, 1000), 5),
  /** How long a probe may take before it counts as failed, ms. */
  probeLeaseMs: withDefault(schema.integer(1, 3_600_000), 10_000),
  autoHalfOpen: withDefault(schema.flag(), false),
  /** Ends that count as failures. Cancelled calls and refusals by filters for load count as nothing, others as good. */
  failureCodes: withDefault(schema.list(schema.oneOf(...codes), codes.length), failures),
  /** A call that ran out of time sooner counts as nothing, ms: a caller in a hurry must not open it for all. */
  minTimeoutMs: withDefault(schema.integer(0, 60_000), 100),
  /** Most breakers; the one used longest ago makes room, closed ones first. */
  maxKeys: withDefault(schema.integer(1, 1e6), 10_000),
});

/** Configuration of `showrunner.circuit-breaker`. */
export const breakerConfig = schema.where(fields, ({ openMs, maxOpenMs }, fault) => {
  if (maxOpenMs < openMs) fault('maxOpenMs', 'expected at least openMs');
});

/** The configuration as it was read. */
export type BreakerConfig = SchemaValue<typeof breakerConfig>;
