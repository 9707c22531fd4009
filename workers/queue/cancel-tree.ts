import type { Queue } from 'bullmq';
import { Code } from '../../server/core/codes.ts';
import type { JobLedger } from './job-ledger.ts';
import type { JobOutcome } from './job-outcome.ts';
import { jobCancelled } from './queue-errors.ts';

/** One BullMQ queue per queue class. */
export type QueueOf = (queueClass: string) => Queue;

/** What jobs are ended with. */
export interface CancelDeps {
  readonly ledger: JobLedger;
  readonly queueOf: QueueOf;
}

/** Why a job was ended from outside. */
export type CancelReason = 'JOB_CANCELLED' | 'PARENT_ENDED' | 'SIBLING_FAILED' | 'RUN_SUPERSEDED';

const messages: Record<CancelReason, string> = {
  JOB_CANCELLED: jobCancelled().message,
  PARENT_ENDED: 'the job that this is a part of has ended',
  SIBLING_FAILED: 'another part of the same job failed',
  RUN_SUPERSEDED: 'a newer run took its place',
};

/** The outcome of a job that was ended for that reason, with the reason as its error. */
export function cancelledOutcome(reason: CancelReason): JobOutcome {
  return {
    state: 'cancelled',
    error: { class: 'user', code: Code.CANCELLED, reason, message: messages[reason], metadata: {} },
  };
}

/**
 * Ends a job and all its parts: the outcome is written first (no worker can report or finish any more, running
 * ones are told by the cancel channel), then what still waits is taken out of the queues.
 * Gives the outcome that stands, which is an earlier one when the job had ended. Repeating it is harmless.
 */
export async function cancelTree(
  { ledger, queueOf }: CancelDeps,
  jobId: string,
  queueClass: string,
  reason: CancelReason,
): Promise<JobOutcome> {
  const outcome = await ledger.cancel(jobId, cancelledOutcome(reason));
  for (const [child, childClass] of await ledger.childrenOf(jobId)) {
    await cancelTree({ ledger, queueOf }, child, childClass, 'PARENT_ENDED');
  }
  // Gives 0 and does nothing while a worker holds the job: that worker ends it.
  await queueOf(queueClass).remove(jobId, { removeChildren: false });
  return outcome;
}

/** Ends the other parts of a job one part of which failed; the failed one keeps its outcome. */
export async function cancelSiblings(deps: CancelDeps, parentId: string): Promise<void> {
  for (const [child, childClass] of await deps.ledger.childrenOf(parentId)) {
    await cancelTree(deps, child, childClass, 'SIBLING_FAILED');
  }
}
