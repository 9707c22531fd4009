import type { Clock } from '../../server/core/clock.ts';
import { AppError } from '../../server/core/errors.ts';
import type { Logger } from '../../server/core/log.ts';
import type { Random } from '../../server/core/random.ts';
import type { JobContext, JobKind, Json } from './job-kind.ts';
import { backoffMs, type FailureCounts, type RetryRules, retryLimitOf } from './job-limits.ts';
import {
  childOutcomeOf,
  type FailureClass,
  failedOutcome,
  failureOf,
  type JobFailure,
  type JobOutcome,
} from './job-outcome.ts';
import { checkResult } from './job-steps.ts';
import { jobTimedOut } from './queue-errors.ts';
import type { RunningAttempt } from './running-attempt.ts';

/** How one attempt ended: with the job's outcome, or in a way after which the job runs again (or is held elsewhere). */
export type AttemptEnd =
  | { readonly outcome: JobOutcome }
  | { readonly leave: 'parked' | 'cancelled' | 'lost' | 'released' }
  | { readonly leave: 'retry'; readonly failure: JobFailure; readonly delayMs: number };

interface AttemptRunDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly abortGraceMs: number;
}

interface AttemptRun {
  readonly kind: JobKind;
  readonly params: Json;
  readonly context: JobContext;
  readonly attempt: RunningAttempt;
  readonly timeoutMs: number;
  /** Of the attempts before this one. */
  readonly failures: FailureCounts;
  readonly rules: RetryRules;
}

/** Runs the kind within its time limit and classifies the end. Never rejects. */
export async function runAttempt(deps: AttemptRunDeps, run: AttemptRun): Promise<AttemptEnd> {
  const { kind, context, attempt, timeoutMs } = run;
  const cancelTimeout = deps.clock.schedule(timeoutMs, () => attempt.abort(jobTimedOut(timeoutMs)));
  const settled = (async () => kind.run(context, kind.parseParams(run.params)))().then(
    (result): Settled => ({ result }),
    (error: unknown): Settled => ({ error }),
  );
  const end = await Promise.race([settled, afterAbort(attempt.signal, deps)]);
  cancelTimeout();
  if (end === 'stuck') context.log.warn('job did not stop in time after its abort', { grace_ms: deps.abortGraceMs });
  if (attempt.signal.aborted) {
    const finished = end !== 'stuck' && 'result' in end;
    const aborted = endOfAbort(deps, run, attempt.signal.reason, finished);
    if (aborted !== undefined) return aborted;
  }
  if (end === 'stuck') return { leave: 'lost' };
  if ('error' in end) return endOfError(deps, run, end.error);
  try {
    return { outcome: { state: 'succeeded', result: checkResult('the result', end.result) } };
  } catch (error) {
    return endOfError(deps, run, error);
  }
}

type Settled = { readonly result: Json } | { readonly error: unknown };

/** Resolves once the grace time after an abort has passed; never without an abort. */
function afterAbort(signal: AbortSignal, { clock, abortGraceMs }: AttemptRunDeps): Promise<'stuck'> {
  const { promise, resolve } = Promise.withResolvers<'stuck'>();
  const begin = () => void clock.schedule(abortGraceMs, () => resolve('stuck'));
  if (signal.aborted) begin();
  else signal.addEventListener('abort', begin, { once: true });
  return promise;
}

function endOfAbort(deps: AttemptRunDeps, run: AttemptRun, reason: unknown, finished: boolean): AttemptEnd | undefined {
  const code = reason instanceof AppError ? reason.reason : undefined;
  if (code === 'JOB_TIMED_OUT') {
    const error: JobFailure = { ...failureOf(reason), class: 'timeout' };
    return retryOf(deps, run, error) ?? { outcome: { state: 'timed_out', error } };
  }
  if (code === 'JOB_CANCELLED') return { leave: 'cancelled' };
  if (code === 'JOB_PARKED') return { leave: 'parked' };
  // Work that was done when the shutdown reached it need not be done again.
  if (code === 'WORKER_STOPPING') return finished ? undefined : { leave: 'released' };
  return { leave: 'lost' };
}

function endOfError(deps: AttemptRunDeps, run: AttemptRun, error: unknown): AttemptEnd {
  const failure = failureOf(error);
  const child = childOutcomeOf(error);
  if (child !== undefined) return { outcome: failedOutcome({ ...failure, class: classOfChild(child) }) };
  if (failure.class !== 'user') run.context.log.error('job attempt failed', { error });
  return retryOf(deps, run, failure) ?? { outcome: failedOutcome(failure) };
}

/** Another attempt, when the limit of the failure's class allows one. */
function retryOf({ random }: AttemptRunDeps, run: AttemptRun, failure: JobFailure): AttemptEnd | undefined {
  const { limit, failures } = retryLimitOf(failure.class, run.failures, run.rules);
  if (failures + 1 > limit.maxRetries) return undefined;
  return { leave: 'retry', failure, delayMs: backoffMs(limit, failures + 1, random.next()) };
}

function classOfChild(outcome: JobOutcome): FailureClass {
  if (outcome.state === 'succeeded') return 'platform';
  return outcome.error.class;
}
