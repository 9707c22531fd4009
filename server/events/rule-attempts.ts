import { type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import type { Clock } from '../core/clock.ts';
import { isPermanent } from '../core/codes.ts';
import { AppError, messageOf } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { contextOfTraceparent } from '../core/telemetry/trace-parent.ts';
import type { StoredEvent } from './event.ts';
import type { EventCounters } from './event-counters.ts';
import type { EventRule } from './rule.ts';

/** What running one rule needs. */
export interface RuleAttemptsDeps {
  readonly rule: EventRule;
  readonly clock: Clock;
  /** Uniform in [0, 1): the jitter of pauses. */
  readonly random: () => number;
  readonly logger: Logger;
  readonly counters: EventCounters;
  /** Limit of one try, in ms. */
  readonly handlerTimeoutMs: number;
  /** Tries of one event, the first among them. */
  readonly maxAttempts: number;
  /** Aborted when the area closes. */
  readonly closing: AbortSignal;
}

/** Why a rule gave up on an event. */
export interface RuleFailure {
  readonly error: string;
  readonly attempts: number;
}

const firstBackoffMs = 50;
const maxBackoffMs = 2_000;

/**
 * Runs a rule on one event until it succeeds, at most `maxAttempts` times with growing random pauses, in one span
 * `rule <name>` that continues the trace of the publisher. A permanent AppError ends it at once. Gives the last
 * failure, undefined on success or close.
 */
export function runRule(deps: RuleAttemptsDeps, event: StoredEvent): Promise<RuleFailure | undefined> {
  const { rule } = deps;
  const attributes = { 'event.id': event.eventId, 'event.kind': event.kind, 'event.offset': Number(event.offset) };
  return trace
    .getTracer('showrunner')
    .startActiveSpan(
      `rule ${rule.name}`,
      { kind: SpanKind.CONSUMER, attributes },
      contextOfTraceparent(event.traceparent),
      async (span) => {
        try {
          return await attemptAll(deps, event, span);
        } finally {
          span.end();
        }
      },
    );
}

async function attemptAll(deps: RuleAttemptsDeps, event: StoredEvent, span: Span): Promise<RuleFailure | undefined> {
  const { rule, clock, counters, closing, maxAttempts } = deps;
  for (let attempt = 1; ; attempt++) {
    try {
      await attemptOnce(deps, event, attempt);
      counters.add('rule_runs', { rule: rule.name });
      return undefined;
    } catch (error) {
      if (closing.aborted) return undefined;
      span.addEvent('attempt failed', { attempt, error: messageOf(error) });
      if (attempt >= maxAttempts || (error instanceof AppError && isPermanent(error.code))) {
        span.setStatus({ code: SpanStatusCode.ERROR, message: messageOf(error) });
        return { error: messageOf(error), attempts: attempt };
      }
      counters.add('rule_retries', { rule: rule.name });
      const ceilingMs = Math.min(maxBackoffMs, firstBackoffMs * 2 ** (attempt - 1));
      const isClosing = await clock.sleep(ceilingMs * (0.5 + deps.random() / 2), closing).then(
        () => false,
        () => true,
      );
      if (isClosing) return undefined;
    }
  }
}

/** One try; a handler that ignores its signal is left behind when its time is up. */
async function attemptOnce(deps: RuleAttemptsDeps, event: StoredEvent, attempt: number): Promise<void> {
  const { rule, clock, counters, logger, handlerTimeoutMs } = deps;
  const limit = new AbortController();
  const cancel = clock.schedule(handlerTimeoutMs, () => {
    counters.add('rule_timeouts', { rule: rule.name });
    limit.abort(new Error(`rule ${rule.name} took over ${handlerTimeoutMs} ms`));
  });
  const signal = AbortSignal.any([limit.signal, deps.closing]);
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  const stop = () => reject(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  try {
    if (signal.aborted) throw signal.reason;
    await Promise.race([rule.handle(event, { signal, attempt, log: logger }), stopped]);
  } finally {
    cancel();
    signal.removeEventListener('abort', stop);
  }
}
