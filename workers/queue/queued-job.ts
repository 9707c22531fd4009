import { toBullPriority } from './fair-turns.ts';
import type { Json } from './job-kind.ts';
import type { JobLimits } from './job-limits.ts';
import { jobNameInvalid } from './queue-errors.ts';

/** A job as it stands in the queue. */
export interface QueuedJob {
  /** Bare id, unique for ever: adding the same id again changes nothing. */
  readonly jobId: string;
  readonly kind: string;
  readonly queueClass: string;
  readonly params: Json;
  /** 0 (first come first served) to 9 (soonest). */
  readonly priority: number;
  /** Fences and attempts of this job start above these: kept by the record when Redis lost its data. */
  readonly least?: { readonly fence: string; readonly attempt: number };
  /** Unix ms after which a first attempt is skipped (JobSchedule.start_within). */
  readonly startByMs?: number;
  /** Set on a child. */
  readonly parent?: { readonly jobId: string; readonly queueClass: string };
  /** Shown to people; set on a child. */
  readonly label?: string;
  /** What replaces the limits of the kind. */
  readonly limits?: JobLimits;
  /** Owners of one class and priority take turns; absent = one nameless owner. */
  readonly owner?: string;
  /** Turns of this owner for each turn of others, 1 (default) to 10. */
  readonly weight?: number;
}

/** Most bytes of parameters as JSON. */
export const maxParamsBytes = 256 * 1024;

/**
 * Options of BullMQ for a job that has this turn among the owners of its class, see fair-turns.ts. Retries are decided
 * by the worker runner (it knows the class of a failure), so BullMQ's own attempts only catch a fault of the runner.
 */
export function bullOptions(job: QueuedJob, turn: number) {
  return {
    jobId: job.jobId,
    priority: toBullPriority(job.priority, turn),
    attempts: 1_000_000,
    backoff: { type: 'fixed', delay: 1_000 },
    removeOnComplete: { count: 100 },
    removeOnFail: { count: 100 },
    sizeLimit: maxParamsBytes + 8_192,
    stackTraceLimit: 3,
  };
}

/** Names that become part of ids: step names, child groups, child keys. Throws JOB_NAME_INVALID. */
export function checkName(what: string, value: string): void {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(value)) throw jobNameInvalid(what, value);
}

/** Id of a child; the same in every attempt of its parent, so that no child is queued twice. */
export function childId(parentId: string, group: string, key: string): string {
  return `${parentId}.${group}.${key}`;
}
