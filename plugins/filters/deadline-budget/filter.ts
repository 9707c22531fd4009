import {
  AppError,
  type Call,
  Code,
  contextKey,
  createCounters,
  defineFilter,
  effectiveDeadline,
  globMatcher,
  localRefusal,
  type OpenContext,
  rememberPaths,
  type SchemaValue,
  schema,
} from '../../engine/filter.ts';
import { createDeadlineWatch, type Watched } from './deadline-watch.ts';
import { createLatencyMedians } from './latency-medians.ts';

const id = 'showrunner.deadline-budget';
const { optional, withDefault } = schema;
const limitMs = schema.integer(1, 86_400_000);

const budgetConfig = schema.shape({
  enabled: withDefault(schema.flag(), false),
  /** Deadlines by glob on the path; the first match counts, where a field is absent the general one does. */
  rules: withDefault(
    schema.list(
      schema.shape({ path: schema.text(1, 256), defaultMs: optional(limitMs), maxMs: optional(limitMs) }),
      100,
    ),
    [],
  ),
  /** Deadline of callers that set none, ms; absent = none. */
  defaultMs: optional(limitMs),
  /** Longest deadline, ms; absent = any. */
  maxMs: optional(limitMs),
  /** True: default and longest deadline hold for streams, too. */
  streams: withDefault(schema.flag(), false),
  /** Refuse unary calls that have less time than half of the calls of their method take. */
  admission: withDefault(schema.flag(), true),
  /** Percent of such calls that are let through nevertheless, to see whether the method became faster. */
  probePercent: withDefault(schema.number(0, 100), 5),
  minSamples: withDefault(schema.integer(1, 63), 20),
  /** What was measured is forgotten after so long without a new measurement, ms. */
  maxAgeMs: withDefault(schema.integer(1000, 86_400_000), 60_000),
  /** Most methods that are measured. */
  maxKeys: withDefault(schema.integer(1, 100_000), 2000),
});

type BudgetConfig = SchemaValue<typeof budgetConfig>;

function createCounts() {
  return createCounters('showrunner.deadline_budget', {
    too_short: 'Calls refused because their time would not have sufficed.',
    probed: 'Calls with too little time that were let through to measure.',
    expired: 'Calls whose time was up before their handler began.',
    stopped: 'Calls stopped at a deadline that the server set.',
  });
}

type Counted = ReturnType<typeof createCounts>;

/** A call that was let through. */
class Admitted implements Watched {
  place = -1;
  readonly sinceMs: number;
  readonly dueMs: number;
  readonly #call: Call;
  readonly #counters: Counted;

  constructor(call: Call, sinceMs: number, dueMs: number, counters: Counted) {
    this.#call = call;
    this.sinceMs = sinceMs;
    this.dueMs = dueMs;
    this.#counters = counters;
  }

  expire(): void {
    this.#counters.add('stopped');
    const allowedMs = Math.ceil(this.dueMs - this.sinceMs);
    const message = `the call took longer than the ${allowedMs} ms that the server allows`;
    this.#call.stop?.(late('DEADLINE_ALLOWED_EXCEEDED', message));
  }
}

const admitted = contextKey<Admitted>('deadline_admitted');

function late(reason: string, message: string, metadata: Record<string, string> = {}): AppError {
  return new AppError({ code: Code.DEADLINE_EXCEEDED, reason, message, metadata });
}

/** The call's deadline as the server allows it, Unix ms. */
function allowedDeadline(call: Call, { defaultMs, maxMs }: Limits, arrivedAt: number): number {
  const asked = call.deadline === Number.POSITIVE_INFINITY ? arrivedAt + (defaultMs ?? call.deadline) : call.deadline;
  return Math.min(asked, arrivedAt + (maxMs ?? Number.POSITIVE_INFINITY));
}

type Limits = Pick<BudgetConfig, 'defaultMs' | 'maxMs'>;

function limitFinder(config: BudgetConfig): (call: Call) => Limits {
  const none = {} as Limits;
  const rules = config.rules.map(({ path, ...limits }) => ({
    matches: globMatcher([path]),
    defaultMs: limits.defaultMs ?? config.defaultMs,
    maxMs: limits.maxMs ?? config.maxMs,
  }));
  const ruleOf = rememberPaths((path): Limits => rules.find(({ matches }) => matches(path)) ?? config);
  return (call) => {
    if (call.kind !== 'unary' && !config.streams) return none;
    return ruleOf(call.path);
  };
}

function createState(config: BudgetConfig, { clock }: OpenContext) {
  return {
    limitsOf: limitFinder(config),
    watch: createDeadlineWatch(clock),
    medians: createLatencyMedians({ ...config, clock }),
    counters: createCounts(),
  };
}

/**
 * Deadlines: gives callers that set none a default, cuts those that ask for too much, and hands the result to filters
 * and handlers as `effectiveDeadline`. Refuses at once what could not end in time, DEADLINE_EXCEEDED
 * DEADLINE_TOO_SHORT: less time is left than half of the method's calls take. Stops calls at the deadline it set.
 */
export const filter = defineFilter({
  id,
  version: '1.0.0',
  type: 'inbound',
  // Before all that waits or takes a place.
  order: -380,
  category: 'resilience',
  failurePolicy: 'open',
  config: budgetConfig,
  isEnabled: ({ enabled }) => enabled,
  open: createState,
  close: ({ watch }) => watch.close(),
  run: (call, { config, state, clock, random, nowMs }) => {
    const now = clock.now();
    const deadline = allowedDeadline(call, state.limitsOf(call), now - (nowMs - call.startedAt));
    if (deadline !== Number.POSITIVE_INFINITY) effectiveDeadline.set(call, deadline);
    const leftMs = deadline - now;
    if (leftMs <= 0) {
      state.counters.add('expired');
      localRefusal.set(call, id);
      throw late('DEADLINE_EXPIRED', 'the time for this call was up before it began');
    }
    const typicalMs = config.admission && call.kind === 'unary' ? state.medians.find(call.path, nowMs) : undefined;
    if (typicalMs !== undefined && leftMs < typicalMs) {
      if (random.next() * 100 >= config.probePercent) {
        state.counters.add('too_short');
        localRefusal.set(call, id);
        const [left, typical] = [leftMs, typicalMs].map((ms) => String(Math.ceil(ms)));
        const message = `${left} ms are left, and half of the calls of this method take ${typical} ms or more`;
        throw late('DEADLINE_TOO_SHORT', message, { left_ms: left ?? '', typical_ms: typical ?? '' });
      }
      state.counters.add('probed');
    }
    const isOurs = deadline < call.deadline && call.stop !== undefined;
    const own = new Admitted(call, nowMs, isOurs ? nowMs + leftMs : Number.POSITIVE_INFINITY, state.counters);
    admitted.set(call, own);
    if (isOurs) state.watch.add(own, nowMs);
  },
  onEnd: (call, { code }, { state, nowMs }) => {
    const own = admitted.get(call);
    if (own === undefined) return;
    state.watch.remove(own);
    if (code === Code.OK && call.kind === 'unary') {
      state.medians.add(call.path, nowMs - own.sinceMs, nowMs);
    }
  },
});
