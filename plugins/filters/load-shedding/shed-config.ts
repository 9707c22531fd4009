import { callPriorities, type SchemaValue, schema } from '../../engine/filter.ts';

const { withDefault } = schema;
const priority = schema.oneOf(...callPriorities);

/** Where a source begins to count (pressure 0) and where it is full (pressure 1). */
const range = (throttleAt: number, saturateAt: number, most: number) =>
  withDefault(
    schema.where(
      schema.shape({
        throttleAt: withDefault(schema.number(0, most), throttleAt),
        saturateAt: withDefault(schema.number(0, most), saturateAt),
      }),
      (given, fault) => {
        if (given.throttleAt >= given.saturateAt) fault('saturateAt', 'expected more than throttleAt');
      },
    ),
    { throttleAt, saturateAt },
  );

/** Configuration of `showrunner.load-shedding`. */
export const shedConfig = schema.shape({
  enabled: withDefault(schema.flag(), false),
  /** Whose `x-priority` may raise a call above its rule: nobody's, those with `trustScope`, or everybody's. */
  trustHeader: withDefault(schema.oneOf('none', 'scope', 'all'), 'none'),
  trustScope: withDefault(schema.text(1, 128), 'priority.set'),
  /** Priority by glob on the path; the first match counts. */
  rules: withDefault(schema.list(schema.shape({ path: schema.text(1, 256), priority }), 100), []),
  defaultPriority: withDefault(priority, 'DEGRADED'),
  /** Share of the concurrency limit in use. */
  limiter: range(0.5, 0.85, 10),
  /** How late the event loop is, ms. */
  loopLagMs: range(50, 500, 60_000),
  /** Share of the heap that may be used at most. */
  heap: range(0.8, 0.97, 1),
  /** How often loop and heap are looked at, ms. */
  sampleMs: withDefault(schema.integer(10, 10_000), 100),
  /** Time constants with which pressure follows a rise and a fall, ms: slower down than up, or it would swing. */
  riseMs: withDefault(schema.number(1, 60_000), 100),
  fallMs: withDefault(schema.number(1, 60_000), 1000),
  /** Wait that refused callers of BEST_EFFORT are told, ms; others less or more by what they matter. */
  pushbackMs: withDefault(schema.integer(1, 60_000), 1000),
  /** Globs on paths that are never shed. */
  exemptPaths: withDefault(schema.list(schema.text(1, 256), 100), [
    '/grpc.health.v1.Health/*',
    '/grpc.reflection.*/*',
    '/showrunner.filters.*/*',
  ]),
});

/** The configuration as it was read. */
export type ShedConfig = SchemaValue<typeof shedConfig>;
