import { Code, createCounters, createKeyedTable, defineFilter, globMatcher, schema } from '../../engine/filter.ts';
import { codeNames, idempotencyJudge } from '../../origins/call-codes.ts';
import { addLayer } from '../../origins/origin-call.ts';
import { createRetryBudget } from '../../origins/retry-budget.ts';
import { createRetryLayer } from './retry-layer.ts';

const globs = schema.list(schema.text(1, 256), 100);
const ms = schema.integer(0, 600_000);

const fields = schema.shape({
  /** Globs on paths whose calls may be tried again; none = the filter is off. */
  paths: schema.withDefault(globs, []),
  /** Tries in all, the first included. */
  maxAttempts: schema.withDefault(schema.integer(2, 10), 3),
  /** Longest one try, after which an idempotent call is tried again; absent = the rest of the call. */
  tryTimeoutMs: schema.optional(schema.integer(1, 600_000)),
  /** Codes after which an idempotent call is tried again; one that reached no origin always is. */
  codes: schema.withDefault(codeNames, new Set<Code>([Code.UNAVAILABLE])),
  /** Globs on paths of idempotent methods beside those whose proto says so. */
  idempotentPaths: schema.withDefault(globs, []),
  baseMs: schema.withDefault(ms, 25),
  multiplier: schema.withDefault(schema.number(1, 10), 2),
  maxMs: schema.withDefault(ms, 1000),
  /** A longer `grpc-retry-pushback-ms` means no retry. */
  maxPushbackMs: schema.withDefault(ms, 5000),
  /** Retries at once per cluster, in percent of its calls in progress, and how many are always allowed. */
  budgetPercent: schema.withDefault(schema.number(0, 100), 20),
  budgetLeast: schema.withDefault(schema.integer(0, 1000), 3),
  /** Requests kept to be sent again, per call; larger ones are tried once. */
  maxReplayBytes: schema.withDefault(schema.integer(0, 16_777_216), 262_144),
});

const config = schema.where(fields, ({ baseMs, maxMs }, fault) => {
  if (maxMs < baseMs) fault('maxMs', 'expected at least baseMs');
});

/**
 * Retries of calls that the routing filter sends to remote origins: idempotent ones after a failure, any after a
 * failure that did nothing; with full jitter, a budget, pushback honoured, and another instance where there is one.
 */
export const filter = defineFilter({
  id: 'showrunner.retry',
  version: '1.0.0',
  type: 'inbound',
  order: 100,
  category: 'resilience',
  failurePolicy: 'open',
  config,
  isEnabled: ({ paths }) => paths.length > 0,
  open: (settings, { clock, random }) => {
    const { budgetPercent: percent, budgetLeast: least } = settings;
    const budgets = createKeyedTable({ maxKeys: 1000, create: () => createRetryBudget({ percent, least }) });
    const counters = createCounters('retry', {
      retried: 'tries after the first',
      recovered: 'calls that a retry saved',
      exhausted: 'calls that failed on their last try',
      budget_refused: 'retries that the budget refused',
      pushed_back: 'retries that the origin refused by its pushback',
    });
    const layer = createRetryLayer({
      ...settings,
      ...{ counters, clock, random },
      isIdempotent: idempotencyJudge(settings.idempotentPaths),
      budgetOf: (cluster) => budgets.get(cluster),
    });
    return { layer, isMatch: globMatcher(settings.paths) };
  },
  shouldRun: (call, { state }) => state.isMatch(call.path),
  run: (call, { state }) => addLayer(call, state.layer),
});
