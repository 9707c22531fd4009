import { createCounters, createKeyedTable, defineFilter, globMatcher, schema } from '../../engine/filter.ts';
import { idempotencyJudge } from '../../origins/call-codes.ts';
import { addLayer } from '../../origins/origin-call.ts';
import { createRetryBudget } from '../../origins/retry-budget.ts';
import { createHedgingLayer } from './hedging-layer.ts';
import { createPercentileWindow } from './percentile-window.ts';

const globs = schema.list(schema.text(1, 256), 100);

const config = schema.shape({
  /** Globs on paths whose slow calls get a second try; none = the filter is off. */
  paths: schema.withDefault(globs, []),
  /** Globs on paths of idempotent methods beside those whose proto says so; others are never hedged. */
  idempotentPaths: schema.withDefault(globs, []),
  /** The second try starts after this percentile of the latency of the method. */
  percentile: schema.withDefault(schema.number(50, 99.9), 95),
  /** Used until twenty calls of the method are known. */
  initialDelayMs: schema.withDefault(schema.integer(1, 60_000), 100),
  /** A fixed delay in place of the percentile. */
  delayMs: schema.optional(schema.integer(1, 60_000)),
  /** Second tries at once, in percent of the calls in progress, and how many are always allowed. */
  budgetPercent: schema.withDefault(schema.number(0, 100), 10),
  budgetLeast: schema.withDefault(schema.integer(0, 1000), 1),
  maxReplayBytes: schema.withDefault(schema.integer(0, 16_777_216), 262_144),
});

/**
 * Hedging of idempotent calls that the routing filter sends to remote origins. A failure never wins over a try that
 * still runs. Source: Dean and Barroso, "The Tail at Scale", 2013.
 */
export const filter = defineFilter({
  id: 'showrunner.hedging',
  version: '1.0.0',
  type: 'inbound',
  order: 110,
  category: 'resilience',
  failurePolicy: 'open',
  config,
  isEnabled: ({ paths }) => paths.length > 0,
  open: (settings, { clock }) => {
    const { percentile, delayMs, initialDelayMs, maxReplayBytes } = settings;
    const windows = createKeyedTable({ maxKeys: 1000, create: () => createPercentileWindow(percentile) });
    const layer = createHedgingLayer({
      delayMs: (path) => delayMs ?? windows.get(path).read() ?? initialDelayMs,
      observe: (path, latencyMs) => windows.get(path).add(latencyMs),
      isIdempotent: idempotencyJudge(settings.idempotentPaths),
      budget: createRetryBudget({ percent: settings.budgetPercent, least: settings.budgetLeast }),
      counters: createCounters('hedging', {
        hedged: 'second tries',
        won: 'calls that the second try answered',
        budget_refused: 'second tries that the budget refused',
      }),
      ...{ maxReplayBytes, clock },
    });
    return { layer, isMatch: globMatcher(settings.paths) };
  },
  shouldRun: (call, { state }) => state.isMatch(call.path),
  run: (call, { state }) => addLayer(call, state.layer),
});
