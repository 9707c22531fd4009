import { metrics, trace } from '@opentelemetry/api';
import {
  AppError,
  type Call,
  type CallOutcome,
  Code,
  contextKey,
  createCounters,
  defineFilter,
  globMatcher,
  localRefusal,
  type OpenContext,
  type SchemaValue,
  schema,
} from '../../engine/filter.ts';
import type { RampStep } from './knee.ts';
import { createRamp, type RampReport } from './ramp.ts';
import { createStepMeter } from './step-meter.ts';

const id = 'showrunner.stress';
const { optional, withDefault } = schema;

const fields = schema.shape({
  enabled: withDefault(schema.flag(), false),
  /** Globs on the paths that take part. */
  paths: withDefault(schema.list(schema.text(1, 256), 100), ['*', '!/grpc.*', '!/showrunner.filters.*']),
  /** Only calls with this metadata key take part, e.g. that of mirrored traffic; absent = all. */
  header: optional(schema.text(1, 128)),
  /**
   * True: the calls are copies that nobody waits for; those left out are told not to try again. False: they are real,
   * and those left out are told to try at once, elsewhere.
   */
  mirrored: withDefault(schema.flag(), true),
  startPercent: withDefault(schema.number(0.1, 100), 5),
  maxPercent: withDefault(schema.number(0.1, 100), 100),
  factor: withDefault(schema.number(1.01, 10), 1.25),
  /** Shortest step, ms; it lasts until it has `minCalls` ended calls. */
  stepMs: withDefault(schema.integer(100, 3_600_000), 10_000),
  minCalls: withDefault(schema.integer(1, 1_000_000), 100),
  latencyTolerance: withDefault(schema.number(1.01, 100), 2),
  maxErrorPercent: withDefault(schema.number(0, 100), 1),
  minGain: withDefault(schema.number(0, 1), 0.5),
  maxSteps: withDefault(schema.integer(1, 1000), 100),
  /** Percent that is admitted when the ramp is over; absent = 0 of mirrored calls, 100 of real ones. */
  restPercent: optional(schema.number(0, 100)),
});

const stressConfig = schema.where(fields, ({ startPercent, maxPercent }, fault) => {
  if (maxPercent < startPercent) fault('maxPercent', 'expected at least startPercent');
});

type StressConfig = SchemaValue<typeof stressConfig>;

const admittedAt = contextKey<number>('stress_admitted');
/** Failures that the load may have caused; others are the caller's own. */
const failures: ReadonlySet<Code> = new Set([
  ...[Code.UNKNOWN, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED, Code.INTERNAL, Code.UNAVAILABLE, Code.DATA_LOSS],
]);

function rounded(step: RampStep): Record<string, number> {
  const round = (value: number) => Math.round(value * 100) / 100;
  return {
    percent: round(step.percent),
    admitted_per_second: round(step.admittedPerSecond),
    good_per_second: round(step.goodPerSecond),
    p50_ms: round(step.p50Ms),
    p95_ms: round(step.p95Ms),
    error_percent: round(step.errorPercent),
  };
}

function leftOut(call: Call, { mirrored }: StressConfig, percent: number): AppError {
  // What gRPC clients honour in place of their own back-off; a negative wait means "do not try again".
  call.responseTrailers.set('grpc-retry-pushback-ms', mirrored ? '-1' : '0');
  localRefusal.set(call, id);
  return new AppError({
    code: Code.UNAVAILABLE,
    reason: 'STRESS_SURPLUS',
    message: `a load test of this instance now admits ${percent.toFixed(1)} % of such calls`,
    metadata: { percent: percent.toFixed(1) },
  });
}

function createStress(config: StressConfig, { clock, random, log }: OpenContext) {
  const ramp = createRamp(config);
  const meter = createStepMeter(random);
  const counters = createCounters('showrunner.stress', {
    admitted: 'Calls of load tests that were admitted.',
    left_out: 'Calls of load tests that were refused.',
    steps: 'Steps of load tests.',
    finished: 'Load tests that ended, by how.',
  });
  const best = metrics.getMeter('showrunner.filters').createHistogram('showrunner.stress.best_rate', {
    description: 'Most calls per second that a load test found bearable.',
  });
  const restPercent = config.restPercent ?? (config.mirrored ? 0 : 100);
  let stepSince = clock.monotonic();
  let report: RampReport | undefined;

  function finish(ended: RampReport): void {
    report = ended;
    counters.add('finished', { end: ended.end });
    if (ended.best !== undefined) best.record(ended.best.goodPerSecond);
    const data = ended.best === undefined ? {} : rounded(ended.best);
    log.warn('load test finished', { end: ended.end, cause: ended.cause ?? '', steps: ended.steps.length, ...data });
  }

  /** Closes the step when it has shown enough, or too many failures to go on for its whole time. */
  function mayClose(): void {
    const durationMs = clock.monotonic() - stepSince;
    const isEnough = durationMs >= config.stepMs && meter.calls >= config.minCalls;
    const isBad = meter.calls >= 20 && meter.failures > Math.max(1, (meter.calls * 2 * config.maxErrorPercent) / 100);
    if (durationMs <= 0 || !(isEnough || isBad)) return;
    const step = meter.close(ramp.percent, durationMs);
    stepSince = clock.monotonic();
    counters.add('steps');
    log.info('load test step', rounded(step));
    const ended = ramp.take(step);
    if (ended !== undefined) finish(ended);
  }

  return {
    counters,
    takesPart: globMatcher(config.paths),
    percent: () => (report === undefined ? ramp.percent : restPercent),
    admit: () => {
      if (report === undefined) meter.admitted();
    },
    end: (tookMs: number, { code }: CallOutcome) => {
      if (report !== undefined || code === Code.CANCELLED) return;
      meter.ended(tookMs, failures.has(code));
      mayClose();
    },
    report: () => report,
  };
}

/**
 * Load test of one instance with real or mirrored traffic: admits a share of the calls that grows step by step, and
 * stops at the knee, where latency, failures or missing throughput say that it bears no more. Reports by log lines,
 * metrics and attributes of the calls' spans. One ramp per loaded configuration.
 */
export const filter = defineFilter({
  id,
  version: '1.0.0',
  type: 'inbound',
  // Before the limits, which would hide the knee by refusing: their refusals count as failures here.
  order: -330,
  category: 'origin',
  failurePolicy: 'open',
  config: stressConfig,
  isEnabled: ({ enabled }) => enabled,
  open: createStress,
  shouldRun: (call, { config, state }) =>
    state.takesPart(call.path) &&
    (config.header === undefined || call.requestMetadata.get(config.header) !== undefined),
  run: (call, { config, state, clock, random }) => {
    const percent = state.percent();
    const report = state.report();
    trace.getActiveSpan()?.setAttributes({
      'showrunner.stress.percent': percent,
      ...(report === undefined ? {} : { 'showrunner.stress.end': report.end }),
      ...(report?.best === undefined ? {} : { 'showrunner.stress.best_rate': report.best.goodPerSecond }),
    });
    if (random.next() * 100 >= percent) {
      state.counters.add('left_out');
      throw leftOut(call, config, percent);
    }
    state.counters.add('admitted');
    state.admit();
    admittedAt.set(call, clock.monotonic());
  },
  onEnd: (call, outcome, { state, clock }) => {
    const since = admittedAt.get(call);
    if (since !== undefined) state.end(clock.monotonic() - since, outcome);
  },
});
