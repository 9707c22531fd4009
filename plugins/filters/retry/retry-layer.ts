import { AppError, type Call, type Clock, Code, type Counters, OriginError, type Random } from '../../engine/filter.ts';
import { codeOf, isUnprocessed } from '../../origins/call-codes.ts';
import { holdHead } from '../../origins/held-head.ts';
import {
  leaveReply,
  type OriginCall,
  type OriginLayer,
  type OriginReply,
  type OriginRequest,
} from '../../origins/origin-call.ts';
import { createReplay } from '../../origins/replay.ts';
import type { RetryBudget } from '../../origins/retry-budget.ts';
import { type BackoffConfig, backoffMs } from './backoff.ts';

type RetryCounters = Counters<'retried' | 'recovered' | 'exhausted' | 'budget_refused' | 'pushed_back'>;

interface RetryPlan extends BackoffConfig {
  readonly maxAttempts: number;
  /** Longest one try, in ms; undefined = the rest of the call. */
  readonly tryTimeoutMs: number | undefined;
  /** Codes after which an idempotent call is tried again. */
  readonly codes: ReadonlySet<Code>;
  /** Longest pushback that is waited for, in ms. */
  readonly maxPushbackMs: number;
  readonly maxReplayBytes: number;
  readonly isIdempotent: (call: Call) => boolean;
  readonly budgetOf: (cluster: string) => RetryBudget;
  readonly counters: RetryCounters;
  readonly clock: Clock;
  readonly random: Random;
}

/** Tries a call of a remote origin again, as long as nothing of an answer has reached the caller. */
export function createRetryLayer(plan: RetryPlan): OriginLayer {
  return {
    place: 'retry',
    wrap: (next) => (request) => (request.cluster === undefined ? next(request) : retried(next, request, plan)),
  };
}

async function* retried(
  next: OriginCall,
  request: OriginRequest,
  plan: RetryPlan,
): AsyncGenerator<Uint8Array, undefined> {
  const { clock, counters } = plan;
  const replay = createReplay(request.requests, plan.maxReplayBytes);
  const budget = plan.budgetOf(request.cluster ?? '');
  const leave = budget.enter();
  let giveBack: (() => void) | undefined;
  try {
    for (let retries = 0; ; retries++) {
      const head = holdHead(request, () => !replay.isComplete);
      let reply: OriginReply | undefined;
      let isAnswering = false;
      let waitMs: number | undefined;
      const tryEndsAt = clock.now() + (plan.tryTimeoutMs ?? Number.POSITIVE_INFINITY);
      try {
        reply = next({
          ...request,
          requests: replay.open(),
          deadline: Math.min(request.deadline, tryEndsAt),
          onHeaders: head.onHeaders,
          onTrailers: head.onTrailers,
          previousAttempts: retries,
        });
        let result = await reply.next();
        isAnswering = true;
        replay.commit();
        head.commit();
        if (retries > 0) counters.add('recovered');
        for (; !result.done; result = await reply.next()) yield result.value;
        return undefined;
      } catch (error) {
        const mayRetry = !isAnswering && !head.isCommitted && replay.isReplayable;
        waitMs = mayRetry ? waitBefore(retries + 1, error, tryEndsAt, request, plan) : undefined;
        giveBack?.();
        giveBack = waitMs === undefined ? undefined : budget.take();
        if (waitMs !== undefined && giveBack === undefined) counters.add('budget_refused');
        if (giveBack === undefined) {
          head.commit();
          throw error;
        }
      } finally {
        if (reply !== undefined) await leaveReply(reply);
      }
      counters.add('retried');
      await clock.sleep(waitMs ?? 0, request.signal);
    }
  } finally {
    giveBack?.();
    leave();
  }
}

/** How long to wait before the n-th retry, in ms; undefined = no retry. */
function waitBefore(
  retry: number,
  error: unknown,
  tryEndsAt: number,
  request: OriginRequest,
  plan: RetryPlan,
): number | undefined {
  const { clock, counters } = plan;
  const { call } = request.exchange;
  if (call.signal.aborted || !(error instanceof AppError)) return undefined;
  // What else would the limit of one try be for.
  const isCut = codeOf(error) === Code.DEADLINE_EXCEEDED && clock.now() >= tryEndsAt;
  const isListed = isCut || plan.codes.has(codeOf(error));
  if (!isUnprocessed(error) && !(isListed && plan.isIdempotent(call))) return undefined;
  const pushbackMs = error instanceof OriginError ? error.pushbackMs : undefined;
  if (pushbackMs !== undefined && (pushbackMs < 0 || pushbackMs > plan.maxPushbackMs)) {
    counters.add('pushed_back');
    return undefined;
  }
  if (retry >= plan.maxAttempts) {
    counters.add('exhausted');
    return undefined;
  }
  const waitMs = pushbackMs ?? backoffMs(plan, retry, plan.random);
  return clock.now() + waitMs < request.deadline ? waitMs : undefined;
}
