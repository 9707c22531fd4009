import type { Clock } from '../../../server/core/clock.ts';

/**
 * Takes a filter out of calls that fails again and again though calls go on without it: after so many failures in a
 * row for a back-off, then one call tries it (half-open). The next failure doubles the back-off, a success ends it.
 */
export interface Quarantine {
  /** True: this call goes without the filter. Of those after the back-off, one is let through at a time: the trial. */
  blocks(): boolean;
  /** The filter turned out not to apply to the call that was let through: the next one may be the trial. */
  passedOver(): void;
  succeeded(): void;
  /** Failures of calls that began before it was out, and end while it is, change nothing. */
  failed(): void;
  /** Failures in a row; 0 after any success. */
  readonly failures: number;
  /** Unix ms until which it is out, undefined when it is not. */
  readonly untilMs: number | undefined;
}

interface QuarantineOptions {
  readonly clock: Clock;
  /** Failures in a row that begin it; default 20. */
  readonly maxFailures?: number;
  /** First back-off, in ms; default 5000. */
  readonly backoffMs?: number;
  /** Longest back-off, in ms; default 300,000. */
  readonly maxBackoffMs?: number;
  /** A trial that has no result after this long no longer holds back the next, in ms; default 10,000. */
  readonly trialMs?: number;
  readonly onChange?: (isOut: boolean) => void;
}

/** The filter takes part at first. */
export function createQuarantine(options: QuarantineOptions): Quarantine {
  const { clock, maxFailures = 20, backoffMs = 5000, maxBackoffMs = 300_000, trialMs = 10_000, onChange } = options;
  let failures = 0;
  let nextBackoffMs = backoffMs;
  /** Monotonic ms of the next trial; undefined when the filter takes part. */
  let trialAt: number | undefined;
  let isOnTrial = false;
  return {
    blocks: () => {
      if (trialAt === undefined) return false;
      const now = clock.monotonic();
      if (now < trialAt) return true;
      // A lease, not a state: a trial that never comes back cannot keep the filter out for good.
      trialAt = now + trialMs;
      isOnTrial = true;
      return false;
    },
    passedOver: () => {
      if (!isOnTrial) return;
      isOnTrial = false;
      trialAt = clock.monotonic();
    },
    succeeded: () => {
      failures = 0;
      isOnTrial = false;
      nextBackoffMs = backoffMs;
      if (trialAt === undefined) return;
      trialAt = undefined;
      onChange?.(false);
    },
    failed: () => {
      failures++;
      if (trialAt === undefined ? failures < maxFailures : !isOnTrial) return;
      isOnTrial = false;
      const isNew = trialAt === undefined;
      trialAt = clock.monotonic() + nextBackoffMs;
      nextBackoffMs = Math.min(maxBackoffMs, nextBackoffMs * 2);
      if (isNew) onChange?.(true);
    },
    get failures() {
      return failures;
    },
    get untilMs() {
      return trialAt === undefined ? undefined : clock.now() + Math.max(0, trialAt - clock.monotonic());
    },
  };
}
