import type { FailureClass } from './job-outcome.ts';

/** How often, and after which wait, attempts that ended in one class of failure are tried again. */
export interface RetryLimit {
  /** Retries after failures of this class, 0 = none. */
  readonly maxRetries: number;
  /** Wait before the first retry, doubled for each further one up to `maxBackoffMs`, jittered. The same twice = fixed. */
  readonly backoffMs: number;
  readonly maxBackoffMs: number;
}

/** Limits of one job that replace those of its kind; what is absent stays the kind's. */
export interface JobLimits {
  /** Of one attempt, in ms. */
  readonly timeoutMs?: number;
  /** Each class is counted by itself (after Netflix Maestro's retry policy). */
  readonly retries?: Readonly<Partial<Record<FailureClass, RetryLimit>>>;
}

/** Attempts of a job that ended in each class of failure. */
export type FailureCounts = Readonly<Record<FailureClass, number>>;

/** Limits of a job's kind, and those of the job itself that go before them. */
export interface RetryRules {
  /** The kind's limit of platform failures and lost workers together. */
  readonly maxRetries: number;
  readonly limits: JobLimits | undefined;
  /** Wait before retries that the job has no limit for, in ms. */
  readonly backoff: { readonly baseMs: number; readonly maxMs: number };
}

/**
 * The limit that decides after a failure of this class, and the failures that count against it. Without a limit of
 * its own a class follows its kind: platform failures and lost workers share `maxRetries`, others are final.
 */
export function retryLimitOf(
  failureClass: FailureClass,
  counts: FailureCounts,
  { maxRetries, limits, backoff }: RetryRules,
): { readonly limit: RetryLimit; readonly failures: number } {
  const own = limits?.retries?.[failureClass];
  if (own !== undefined) return { limit: own, failures: counts[failureClass] };
  const isShared = failureClass === 'platform' || failureClass === 'killed';
  const shared = (['platform', 'killed'] as const).filter((name) => limits?.retries?.[name] === undefined);
  return {
    limit: { maxRetries: isShared ? maxRetries : 0, backoffMs: backoff.baseMs, maxBackoffMs: backoff.maxMs },
    failures: isShared ? shared.reduce((sum, name) => sum + counts[name], 0) : 0,
  };
}

/** Exponential with full lower half jitter: between half and all of backoff × 2^(n-1), at most `maxBackoffMs`. */
export function backoffMs({ backoffMs, maxBackoffMs }: RetryLimit, failures: number, random: number): number {
  const ceiling = Math.min(maxBackoffMs, backoffMs * 2 ** Math.min(failures - 1, 30));
  return Math.round(ceiling * (0.5 + random / 2));
}
