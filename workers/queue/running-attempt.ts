import type { AppError } from '../../server/core/errors.ts';
import type { Holder, JobLedger } from './job-ledger.ts';
import { jobCancelled, leaseLost } from './queue-errors.ts';

/** One attempt in progress on this worker. */
export interface RunningAttempt {
  readonly holder: Holder;
  readonly signal: AbortSignal;
  /** Set while the job waits for its children: its lock is gone on purpose. */
  parked: boolean;
  /** Ends the attempt for this reason; the first one stands. */
  abort(reason: AppError): void;
}

/** The attempt at its start. */
export function createRunningAttempt(holder: Holder): RunningAttempt {
  const controller = new AbortController();
  return { holder, signal: controller.signal, parked: false, abort: (reason) => controller.abort(reason) };
}

/**
 * Asks the ledger whether these attempts still hold their jobs and aborts those that do not:
 * JOB_CANCELLED when there is an outcome, JOB_LEASE_LOST when a newer attempt began.
 */
export async function verifyAttempts(ledger: JobLedger, attempts: readonly RunningAttempt[]): Promise<void> {
  if (attempts.length === 0) return;
  const states = await ledger.inspect(attempts.map((attempt) => attempt.holder.jobId));
  for (const [index, attempt] of attempts.entries()) {
    const state = states[index];
    if (state === undefined || attempt.parked) continue;
    if (state.outcome !== undefined) attempt.abort(jobCancelled());
    else if (state.fence !== attempt.holder.fence) attempt.abort(leaseLost());
  }
}
