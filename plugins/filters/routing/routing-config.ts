import { type SchemaValue, schema } from '../../engine/filter.ts';
import { failureNames } from '../../origins/call-codes.ts';
import { encodedMessages, originAddress, sentMetadata } from '../../origins/config-parts.ts';

const percent = schema.number(0, 100);
const ms = schema.integer(1, 3_600_000);
const globs = schema.list(schema.text(1, 256), 100);
const hostForm = /^[\w.-]+$/;

const outlierFields = schema.shape({
  consecutiveErrors: schema.withDefault(schema.integer(1, 1000), 5),
  sweepMs: schema.withDefault(ms, 10_000),
  baseEjectionMs: schema.withDefault(ms, 30_000),
  maxEjectionMs: schema.withDefault(ms, 300_000),
  maxEjectedPercent: schema.withDefault(percent, 10),
  minHosts: schema.withDefault(schema.integer(2, 10_000), 5),
  minRequests: schema.withDefault(schema.integer(1, 1_000_000), 100),
  stdevFactor: schema.withDefault(schema.number(0.1, 10), 1.9),
  /** A call without an answer whose caller allowed less counts as nothing. */
  minTimeoutMs: schema.withDefault(schema.integer(0, 60_000), 100),
});

const outlier = schema.where(outlierFields, ({ baseEjectionMs, maxEjectionMs }, fault) => {
  if (maxEjectionMs < baseEjectionMs) fault('maxEjectionMs', 'expected at least baseEjectionMs');
});

const dns = schema.shape({
  host: schema.where(schema.text(1, 253), (host, fault) => {
    if (!hostForm.test(host)) fault('', 'expected the name of a host');
  }),
  port: schema.integer(1, 65_535),
  zone: schema.withDefault(schema.text(0, 64), ''),
});

const clusterFields = schema.shape({
  /** One of `endpoints`, `file` and `dns` says where the instances are. */
  endpoints: schema.optional(
    schema.list(schema.shape({ address: originAddress, zone: schema.withDefault(schema.text(0, 64), '') })),
  ),
  /** JSON file of `[{"address", "zone"}]`, followed as it changes. */
  file: schema.optional(schema.text()),
  dns: schema.optional(dns),
  /** Longest call, streams included; absent = the caller's deadline alone. */
  timeoutMs: schema.optional(ms),
  maxRequests: schema.withDefault(schema.integer(1, 1_000_000), 1024),
  /** Calls in progress at an own-zone host beyond which a less loaded host elsewhere is taken. */
  spillAt: schema.withDefault(schema.integer(1, 1_000_000), 32),
  outlier: schema.optional(outlier),
  /** Sent with each request, e.g. a token of this service. */
  metadata: schema.optional(sentMetadata),
  /** Keys of the caller's metadata that are not sent on. */
  dropMetadata: schema.withDefault(schema.list(schema.text(1, 256), 100), [
    'authorization',
    'x-api-key',
    'cookie',
  ] as const),
});

const cluster = schema.where(clusterFields, ({ endpoints, file, dns }, fault) => {
  const given = [endpoints, file, dns].filter((place) => place !== undefined);
  if (given.length !== 1) fault('', 'give one of endpoints, file and dns');
});

const answer = schema.shape({
  /** Name of a failure code; absent = success with `messages`. */
  code: schema.optional(schema.oneOf(...failureNames)),
  text: schema.withDefault(schema.text(0, 1024), ''),
  messages: schema.withDefault(encodedMessages, []),
  headers: schema.optional(sentMetadata),
});

const ruleFields = schema.shape({
  /** Shown in errors and as the `x-route` header when `showRoute` is set. */
  name: schema.withDefault(schema.text(1, 64), 'unnamed'),
  /** Globs on the path, e.g. `/shop.v1.*`; absent = every path. */
  paths: schema.optional(globs),
  /** Globs on values of request metadata, by key; all must match. */
  metadata: schema.optional(schema.table(globs, 50)),
  /** Globs on the principal's id. */
  principals: schema.optional(globs),
  /** Share of the calls that match all else. */
  percent: schema.withDefault(percent, 100),
  /** A principal (or peer) is always on the same side of `percent`. */
  sticky: schema.withDefault(schema.flag(), false),
  /** One of `local`, `cluster` and `answer` says where the call goes. */
  local: schema.withDefault(schema.flag(), false),
  cluster: schema.optional(schema.text(1, 64)),
  answer: schema.optional(answer),
});

const rule = schema.where(ruleFields, ({ local, cluster, answer }, fault) => {
  const targets = [local, cluster !== undefined, answer !== undefined].filter(Boolean);
  if (targets.length !== 1) fault('', 'give one of local, cluster and answer');
});

const fields = schema.shape({
  /** Zone of this process. */
  zone: schema.withDefault(schema.text(0, 64), ''),
  clusters: schema.optional(schema.table(cluster, 200)),
  /** The first rule that matches decides; none = the endpoint in this process. */
  rules: schema.withDefault(schema.list(rule, 500), []),
  /** Tell callers the tries at origins in the `x-origin-attempts` trailer: it names addresses. */
  showAttempts: schema.withDefault(schema.flag(), false),
  /** Tell callers the rule in the `x-route` header. */
  showRoute: schema.withDefault(schema.flag(), false),
});

/** Configuration of `showrunner.routing`. */
export const routingConfig = schema.where(fields, ({ rules, clusters }, fault) => {
  for (const [index, { cluster }] of rules.entries()) {
    if (cluster !== undefined && !clusters?.has(cluster)) {
      fault(`rules[${index}].cluster`, `there is no cluster ${cluster}`);
    }
  }
});

/** The configuration as it was read. */
export type RoutingConfig = SchemaValue<typeof routingConfig>;
/** One rule of the configuration. */
export type RuleConfig = RoutingConfig['rules'][number];
/** What a rule answers by itself. */
export type AnswerConfig = NonNullable<RuleConfig['answer']>;
/** One cluster of the configuration. */
export type ClusterEntry = SchemaValue<typeof cluster>;
/** How clusters that say nothing of it eject outliers. */
export const outlierDefaults: SchemaValue<typeof outlier> = outlier.read({}, '', []);
