import { callPriorities, type SchemaValue, schema } from '../../engine/filter.ts';

const { withDefault } = schema;
const codes = ['DEADLINE_EXCEEDED', 'UNAVAILABLE', 'RESOURCE_EXHAUSTED', 'ABORTED', 'INTERNAL', 'UNKNOWN'] as const;

/** Algorithms by name; those with `original-` are as published, for comparison. */
const algorithmNames = ['gradient', 'vegas', 'aimd', 'original-gradient2', 'original-vegas', 'original-aimd'] as const;

/** Bounds of one limit, in calls. */
const limitOf = (most: number, start: number) =>
  schema.where(
    schema.shape({
      initial: withDefault(schema.integer(1, 100_000), start),
      min: withDefault(schema.integer(1, 100_000), 4),
      max: withDefault(schema.integer(1, 100_000), most),
    }),
    ({ initial, min, max }, fault) => {
      if (min > initial || initial > max) fault('initial', 'expected min ≤ initial ≤ max');
    },
  );

const fields = schema.shape({
  enabled: withDefault(schema.flag(), false),
  algorithm: withDefault(schema.oneOf(...algorithmNames), 'gradient'),
  /** Latency that is tolerated, as a multiple of the unloaded one; absent = 1.5, for AIMD 2. */
  tolerance: schema.optional(schema.number(1, 3)),
  /** Limit of unary calls. */
  unary: withDefault(limitOf(1000, 50), { initial: 50, min: 4, max: 1000 }),
  /** Limit of streams, which hold their place until they end. */
  streams: withDefault(limitOf(10_000, 500), { initial: 500, min: 4, max: 10_000 }),
  /** What the guaranteed shares are for: priorities (as load-shedding grants them) or principal ids. */
  partitionBy: withDefault(schema.oneOf('none', 'priority', 'principal'), 'none'),
  /** Share of the limit, 0-1, by partition; together at most 1. They bind only while the limit is reached. */
  shares: withDefault(schema.table(schema.number(0, 1), 100), new Map<string, number>()),
  /** Ends that count as dropped, beside nothing else: other errors are no samples. */
  dropCodes: withDefault(schema.list(schema.oneOf(...codes), codes.length), ['DEADLINE_EXCEEDED'] as const),
  /** Shortest wait that refused callers are told, ms. */
  minPushbackMs: withDefault(schema.integer(1, 60_000), 10),
  /** Refused callers that would have to wait longer are told not to try again, ms. */
  maxPushbackMs: withDefault(schema.integer(1, 600_000), 10_000),
  /** Globs on paths without a limit. */
  exemptPaths: withDefault(schema.list(schema.text(1, 256), 100), [
    '/grpc.health.v1.Health/*',
    '/grpc.reflection.*/*',
    '/showrunner.filters.*/*',
  ]),
});

/** Configuration of `showrunner.concurrency-limit`. */
export const limitConfig = schema.where(fields, ({ partitionBy, shares }, fault) => {
  const total = [...shares.values()].reduce((sum, share) => sum + share, 0);
  if (total > 1 + 1e-9) fault('shares', 'expected shares that add up to 1 at most');
  if (partitionBy !== 'priority') return;
  for (const name of shares.keys()) {
    if (!callPriorities.some((priority) => priority === name)) fault(`shares.${name}`, 'expected a priority');
  }
});

/** The configuration as it was read. */
export type LimitConfig = SchemaValue<typeof limitConfig>;
