import type { Clock } from '../../server/core/clock.ts';
import type { AppError } from '../../server/core/errors.ts';
import type { Logger } from '../../server/core/log.ts';

/** JSON value: what parameters, results and step memos are made of. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/**
 * What a worker process can do: one entry per job kind, all listed in workers/kinds.ts. A kind must be re-entrant: it
 * runs again from the start after a lost worker, and its steps, children and content-addressed objects make the second
 * run give the same bytes.
 */
export interface JobKind<P = unknown, R extends Json = Json> {
  /** Unique among the kinds, e.g. `transcode`. */
  readonly name: string;
  /** Queue class, each with its own BullMQ queue and worker slots, e.g. `transcode`, `encode`, `notebook`, `train`. */
  readonly queueClass: string;
  /** Per-attempt limit in ms. */
  readonly timeoutMs: number;
  /** How often a platform failure (lost worker, UNAVAILABLE, INTERNAL …) is tried again; user failures never are. */
  readonly maxRetries: number;
  /** Checks stored parameters; throws AppError INVALID_ARGUMENT with field paths. Called at CreateJob and in the worker. */
  parseParams(value: Json): P;
  /**
   * Does the work of one attempt and gives the job's result, at most 256 KiB as JSON. An AppError of a permanent code
   * (see `isPermanent`) is the user's failure and ends the job; anything else thrown is the platform's and is retried.
   */
  /**
   * Why this worker cannot do a job that another might, e.g. for want of an encoder; undefined = it can. Asked before
   * each attempt: the job is then left to the other workers of its class, and runs only where none of them can, to
   * end with its own error. Absent = every worker can.
   */
  whyUnfit?(params: P): Promise<AppError | undefined>;
  run(context: JobContext, params: P): Promise<R>;
}

/** What one attempt of a job works with. */
export interface JobContext {
  /** Bare id, unique for ever. */
  readonly jobId: string;
  /** 1 for the first run; grows by one on every start, also after a lost worker. */
  readonly attempt: number;
  /** Fencing token: grows with every start of this job on any worker; a lower one cannot report or finish. */
  readonly fence: bigint;
  /** Aborted on cancel, timeout, lost lease and shutdown. Pass it to every wait and child process. */
  readonly signal: AbortSignal;
  /** Adds job, kind and attempt to every line; the lines are also kept for the job's readers. */
  readonly log: Logger;
  readonly clock: Clock;
  /** Private empty folder, removed after the attempt. */
  readonly workDir: string;
  /** Takes a report: at most a few times a second are forwarded; the last report of each stage always is. */
  progress(report: JobProgress): void;
  /**
   * Runs `work` once per job: its result is stored with the job and given back on later attempts. What it throws is not
   * stored. Names are 1-64 characters of [A-Za-z0-9_-] (JOB_NAME_INVALID); a job has at most 1,000 steps, a result at
   * most 256 KiB as JSON, all together 4 MiB (JOB_VALUE_TOO_LARGE).
   */
  step<T extends Json>(name: string, work: () => Promise<T>): Promise<T>;
  /**
   * Runs child jobs on any workers of their class and gives their results in order. The first call parks this job and
   * frees its worker slot; the job runs again from the start when all children ended. A failed child fails this call
   * with the child's error after the others were cancelled. Throws JOB_NAME_INVALID for a name or key that is bad or
   * used twice, JOB_KIND_UNKNOWN, JOB_VALUE_TOO_LARGE for a child's parameters above 256 KiB as JSON.
   */
  children<R extends Json>(name: string, children: readonly ChildJob[]): Promise<R[]>;
}

/** A part of a job that runs as a job of its own, with its parent's priority and owner. */
export interface ChildJob {
  /** Name of its kind. */
  readonly kind: string;
  readonly params: Json;
  /**
   * Unique within its group, e.g. `chunk-3`: 1-64 characters of [A-Za-z0-9_-]. Part of the child's id, so that it is
   * queued once.
   */
  readonly key: string;
  /** Shown to people, e.g. `encode frames 48-95`; cut to 200 characters. */
  readonly label: string;
}

/**
 * How far a job is. Long texts are cut: 100 characters of stage, 500 of message; a detail of more than 2,000 characters
 * as JSON is left out.
 */
export interface JobProgress {
  /** 0..1 of the whole job. */
  readonly fraction: number;
  /** e.g. `encode`. */
  readonly stage: string;
  readonly message?: string;
  /** Small facts for the progress stream, e.g. `{ frames: 96, fps: 58.2 }`. */
  readonly detail?: Readonly<Record<string, number | string>>;
}
