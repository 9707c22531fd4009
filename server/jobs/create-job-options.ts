import type { JobRecord } from './job-record.ts';

/** What a template, a schedule or a workflow adds to a job. */
export type JobPolicy = Pick<JobRecord, 'template' | 'tags' | 'limits' | 'gate' | 'keepMs' | 'keepFailedMs'> & {
  readonly sla?: Sla;
};

/** Promises of a job, counted from its slot or its creation, in ms. */
export interface Sla {
  readonly startWithinMs?: number;
  readonly finishWithinMs?: number;
}

/** What a job has besides its kind, parameters and labels; all of it may be absent. */
export interface CreateOptions {
  /** Idempotency key; empty = none. */
  readonly requestId?: string;
  /** Principal that the job belongs to, and whose key `requestId` is: of two owners it stands for two jobs. */
  readonly owner?: string;
  /** Whose key `requestId` is, when not the owner's. */
  readonly requestScope?: string;
  /** What must be equal when a request id comes again. Default: the job itself. */
  readonly requestContent?: unknown;
  /** Id of the schedule that makes it. */
  readonly schedule?: string;
  /** Unix ms after which a first attempt is skipped. */
  readonly startByMs?: number;
  /** Unix ms from which its promises are counted. Default: its creation. */
  readonly slotMs?: number;
  readonly policy?: JobPolicy;
  /** Id of the job whose inputs it has. */
  readonly restartOf?: string;
  /** The node of a workflow run that it does the work of; such a job does not count against the most open jobs. */
  readonly node?: JobRecord['node'];
  /** How long it is kept after its end, in ms; in place of the policy's. */
  readonly keepMs?: number;
}

/** A job that is stored, just now or earlier. */
export interface Created {
  readonly job: JobRecord;
  /** True when the request id was known and the job is an earlier one. */
  readonly existed: boolean;
}
