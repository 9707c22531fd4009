import type { Clock } from '../../server/core/clock.ts';
import { AppError } from '../../server/core/errors.ts';
import type { Logger } from '../../server/core/log.ts';
import type { Random } from '../../server/core/random.ts';
import type { JobContext, JobKind, Json } from './job-kind.ts';
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

export interface AttemptRunDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly abortGraceMs: number;
  readonly retryBackoff: { readonly baseMs: number; readonly maxMs: number };
}

export interface AttemptRun {
  readonly kind: JobKind;
  readonly params: Json;
  readonly context: JobContext;
  readonly attempt: RunningAttempt;
  /** Failed and lost attempts before this one. */
  readonly failures: number;
}

/** Longest delay of a Node timer (25 days); a longer one would fire at once. */
const maxTimerMs = 2 ** 31 - 1;

/** Runs the kind within its time limit and classifies the end. Never rejects. */
export async function runAttempt(deps: AttemptRunDeps, run: AttemptRun): Promise<AttemptEnd> {
  const { kind, context, attempt } = run;
  const cancelTimeout = deps.clock.schedule(Math.min(kind.timeoutMs, maxTimerMs), () =>
    attempt.abort(jobTimedOut(kind.timeoutMs)),
  );
  const settled = (async () => kind.run(context, kind.parseParams(run.params)))().then(
    (result): Settled => ({ result }),
    (error: unknown): Settled => ({ error }),
  );
  const end = await Promise.race([settled, afterAbort(attempt.signal, deps)]);
  cancelTimeout();
  if (end === 'stuck') context.log.warn('job did not stop in time after its abort', { grace_ms: deps.abortGraceMs });
  if (attempt.signal.aborted) {
    const finished = end !== 'stuck' && 'result' in end;
    const aborted = endOfAbort(attempt.signal.reason, finished);
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

function endOfAbort(reason: unknown, finished: boolean): AttemptEnd | undefined {
  const code = reason instanceof AppError ? reason.reason : undefined;
  if (code === 'JOB_TIMED_OUT') {
    return { outcome: { state: 'timed_out', error: { ...failureOf(reason), class: 'timeout' } } };
  }
  if (code === 'JOB_CANCELLED') return { leave: 'cancelled' };
  if (code === 'JOB_PARKED') return { leave: 'parked' };
  // Work that was done when the shutdown reached it need not be done again.
  if (code === 'WORKER_STOPPING') return finished ? undefined : { leave: 'released' };
  return { leave: 'lost' };
}

function endOfError(deps: AttemptRunDeps, { kind, context, failures }: AttemptRun, error: unknown): AttemptEnd {
  const child = childOutcomeOf(error);
  if (child !== undefined) {
    const failure = failureOf(error);
    return { outcome: failedOutcome({ ...failure, class: classOfChild(child) }) };
  }
  const failure = failureOf(error);
  if (failure.class === 'user') return { outcome: failedOutcome(failure) };
  context.log.error('job attempt failed', { error, failures: failures + 1, max_retries: kind.maxRetries });
  if (failures + 1 > kind.maxRetries) return { outcome: failedOutcome(failure) };
  return { leave: 'retry', failure, delayMs: backoffMs(deps, failures + 1) };
}

function classOfChild(outcome: JobOutcome): FailureClass {
  if (outcome.state === 'succeeded') return 'platform';
  return outcome.error.class;
}

/** Exponential with full lower half jitter: between half and all of base × 2^(n-1), at most `maxMs`. */
function backoffMs({ retryBackoff, random }: AttemptRunDeps, failures: number): number {
  const ceiling = Math.min(retryBackoff.maxMs, retryBackoff.baseMs * 2 ** Math.min(failures - 1, 30));
  return Math.round(ceiling * (0.5 + random.next() / 2));
}
