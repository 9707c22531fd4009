import { Code, createCounters, defineFilter, globMatcher, type SchemaValue, schema } from '../../engine/filter.ts';
import { codeNames } from '../../origins/call-codes.ts';
import { bytesOf, encodedMessages, someGlobs } from '../../origins/config-parts.ts';
import { addLayer } from '../../origins/origin-call.ts';
import { createFallbackLayer, type FallbackStep } from './fallback-layer.ts';
import { createResponseCache } from './response-cache.ts';

const methodPath = /^\/[\w.]+\/\w+$/;

const stepFields = schema.shape({
  /** `cached`: the last good response to the same request; `other`: another cluster or method; `static`: fixed messages. */
  kind: schema.oneOf('cached', 'other', 'static'),
  /** Of `cached`: older ones do not count. */
  maxAgeMs: schema.withDefault(schema.integer(1, 86_400_000), 300_000),
  /** Of `cached`: a response to one caller may be given to another. */
  shared: schema.withDefault(schema.flag(), false),
  /** Of `other`: a cluster of the routing filter, a path, or both. */
  cluster: schema.optional(schema.text(1, 64)),
  path: schema.optional(schema.text(3, 256)),
  /** Of `static`. */
  messages: schema.withDefault(encodedMessages, []),
});

const step = schema.where(stepFields, ({ kind, cluster, path }, fault) => {
  if (kind === 'other' && cluster === undefined && path === undefined) fault('', 'needs a cluster or a path');
  if (path !== undefined && !methodPath.test(path)) fault('path', 'expected /package.Service/Method');
});

const rule = schema.shape({
  paths: someGlobs,
  codes: schema.withDefault(codeNames, new Set<Code>([Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.INTERNAL])),
  steps: schema.where(schema.list(step, 5), (steps, fault) => {
    if (steps.length === 0) fault('', 'expected at least one');
  }),
});

const config = schema.shape({
  /** The first rule whose paths match counts; none = the filter is off. */
  rules: schema.withDefault(schema.list(rule, 100), []),
  maxEntries: schema.withDefault(schema.integer(1, 1_000_000), 10_000),
  maxCacheBytes: schema.withDefault(schema.integer(1024, 1_073_741_824), 16_777_216),
  maxReplayBytes: schema.withDefault(schema.integer(0, 16_777_216), 262_144),
});

function readStep(given: SchemaValue<typeof step>): FallbackStep {
  const { kind, maxAgeMs, cluster, path } = given;
  switch (kind) {
    case 'cached':
      return { kind, maxAgeMs, isShared: given.shared };
    case 'other':
      return { kind, cluster, path };
    case 'static':
      return { kind, messages: bytesOf(given.messages) };
  }
}

/**
 * Fallback for calls of any endpoint, remote or in this process, that fail before their first message: a fallback is
 * an answer, never an error.
 */
export const filter = defineFilter({
  id: 'showrunner.fallback',
  version: '1.0.0',
  type: 'inbound',
  order: 120,
  category: 'resilience',
  failurePolicy: 'open',
  config,
  isEnabled: ({ rules }) => rules.length > 0,
  open: ({ rules, maxEntries, maxCacheBytes, maxReplayBytes }, { clock }) => {
    const counters = createCounters('fallback', {
      cached: 'failed calls that got an earlier response',
      other: 'failed calls that another cluster or method answered',
      static: 'failed calls that got a fixed response',
      missed: 'failed calls that no step could answer',
    });
    const cache = createResponseCache({ maxEntries, maxBytes: maxCacheBytes, clock });
    return rules.map(({ paths, codes, steps }) => ({
      isMatch: globMatcher(paths),
      layer: createFallbackLayer({ codes, steps: steps.map(readStep), cache, maxReplayBytes, counters, clock }),
    }));
  },
  shouldRun: (call, { state }) => state.some(({ isMatch }) => isMatch(call.path)),
  run: (call, { state }) => {
    const found = state.find(({ isMatch }) => isMatch(call.path));
    if (found !== undefined) addLayer(call, found.layer);
  },
});
