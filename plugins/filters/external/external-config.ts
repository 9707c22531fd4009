import { type SchemaValue, schema } from '../../engine/filter.ts';
import { originAddress } from '../../origins/config-parts.ts';

const { optional, withDefault } = schema;
const keys = schema.list(schema.text(1, 128), 100);

const fields = schema.shape({
  enabled: withDefault(schema.flag(), false),
  /** `host:port`, or `grpcs://host:port`, of the server that judges. */
  target: optional(originAddress),
  /** Globs on the paths that it judges. */
  paths: withDefault(schema.list(schema.text(1, 256), 100), [
    '*',
    '!/grpc.health.v1.Health/*',
    '!/grpc.reflection.*/*',
  ]),
  /** `wait`: for its verdict. `observe`: it is told of the call, and nobody waits. */
  mode: withDefault(schema.oneOf('wait', 'observe'), 'wait'),
  /** Longest wait for a verdict, ms; never longer than the caller waits. */
  timeoutMs: withDefault(schema.integer(1, 60_000), 200),
  /** What becomes of calls that it could not judge. */
  unjudged: withDefault(schema.oneOf('refuse', 'pass'), 'refuse'),
  /** Request metadata that it sees, by key in lower case. */
  shownMetadata: withDefault(keys, ['user-agent', 'x-request-id']),
  /** Globs on keys of request metadata and of response headers that it may set. */
  requestMetadata: withDefault(keys, []),
  responseHeaders: withDefault(keys, []),
  /** Most calls that it is told of at once in `observe`; it is not told of others. */
  maxObserved: withDefault(schema.integer(1, 10_000), 100),
});

/** Configuration of `showrunner.external`. */
export const externalConfig = schema.where(fields, ({ enabled, target }, fault) => {
  if (enabled && target === undefined) fault('target', 'expected host:port or grpcs://host:port');
});

/** The configuration as it was read. */
export type ExternalConfig = SchemaValue<typeof externalConfig>;
