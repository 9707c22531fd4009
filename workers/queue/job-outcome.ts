import { Code, isPermanent } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import type { Json } from './job-kind.ts';
import type { Usage } from './usage-meter.ts';

/** Class of a failure; decides about retries. Names follow showrunner.jobs.v1.JobError.Class. */
export type FailureClass = 'user' | 'platform' | 'timeout' | 'killed';

/** An error as it is stored and sent between processes. */
export interface JobFailure {
  readonly class: FailureClass;
  readonly code: Code;
  readonly reason: string;
  readonly message: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** How a job ended. Written once per job, by the holder of the newest fencing token or by a cancel. */
export type JobOutcome = (
  | { readonly state: 'succeeded'; readonly result: Json }
  | { readonly state: 'failed' | 'timed_out' | 'cancelled' | 'skipped'; readonly error: JobFailure }
) & {
  /** Of the attempt that ended the job; absent when none did. */
  readonly usage?: Usage;
};

const childFailures = new WeakMap<object, JobOutcome & { error: JobFailure }>();
const maxMessageChars = 2_000;

/** The failure of anything thrown by a job; an error without a code is a bug, thus the platform's. */
export function failureOf(error: unknown): JobFailure {
  if (error instanceof AppError) {
    return {
      // What the same input meets again is the caller's, all else the platform's.
      class: isPermanent(error.code) ? 'user' : 'platform',
      code: error.code,
      reason: error.reason,
      message: error.message.slice(0, maxMessageChars),
      metadata: error.metadata,
    };
  }
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return {
    class: 'platform',
    code: Code.INTERNAL,
    reason: 'JOB_CRASHED',
    message: text.slice(0, maxMessageChars),
    metadata: {},
  };
}

/** The error that `children` rejects with. Remembers the outcome, see {@link childOutcomeOf}. */
export function childError(childId: string, outcome: JobOutcome & { error: JobFailure }): AppError {
  const error = new AppError({
    code: outcome.error.code,
    reason: outcome.error.reason,
    message: outcome.error.message,
    metadata: { ...outcome.error.metadata, child: childId },
  });
  childFailures.set(error, outcome);
  return error;
}

/**
 * The child's outcome when the error, or an error that it wraps, came from a child. Such a failure is final:
 * the child had its own retries and its outcome never changes.
 */
export function childOutcomeOf(error: unknown): (JobOutcome & { error: JobFailure }) | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 10; at = at.cause, depth++) {
    const outcome = childFailures.get(at);
    if (outcome !== undefined) return outcome;
  }
  return undefined;
}

/** Outcome of a job that failed for good with this failure. */
export function failedOutcome(error: JobFailure): JobOutcome {
  return { state: 'failed', error };
}
