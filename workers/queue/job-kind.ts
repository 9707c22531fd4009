import type { Clock } from '../../server/core/clock.ts';
import type { Logger } from '../../server/core/log.ts';

/** JSON value: what parameters, results and step memos are made of. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/**
 * What a worker process can do: one entry per job kind, all listed in workers/main.ts.
 * A kind must be re-entrant: it runs again from the start after a lost worker, and its steps,
 * children and content-addressed objects make the second run give the same bytes.
 */
export interface JobKind<P = unknown, R extends Json = Json> {
  /** e.g. `transcode`. */
  readonly name: string;
  /** Queue class, each with its own BullMQ queue and worker slots, e.g. `transcode`, `encode`, `notebook`, `train`. */
  readonly queueClass: string;
  /** Per-attempt limit in ms. */
  readonly timeoutMs: number;
  /** How often a platform failure (lost worker, UNAVAILABLE, INTERNAL …) is tried again; user failures never are. */
  readonly maxRetries: number;
  /** Checks stored parameters; throws AppError INVALID_ARGUMENT with field paths. Called at CreateJob and in the worker. */
  parseParams(value: Json): P;
  run(context: JobContext, params: P): Promise<R>;
}

export interface JobContext {
  /** Bare id, unique for ever. */
  readonly jobId: string;
  /** 1 for the first run; grows by one on every start, also after a lost worker. */
  readonly attempt: number;
  /** Fencing token: grows with every start of this job on any worker; a lower one cannot report or finish. */
  readonly fence: bigint;
  /** Aborted on cancel, timeout, lost lease and shutdown. Pass it to every wait and child process. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  readonly clock: Clock;
  /** Private empty folder, removed after the attempt. */
  readonly workDir: string;
  /** Reports progress, at most a few times a second are forwarded; the last report of each stage always is. */
  progress(report: JobProgress): void;
  /** Runs `work` once per job: its result is stored with the job and given back on later attempts. */
  step<T extends Json>(name: string, work: () => Promise<T>): Promise<T>;
  /**
   * Runs child jobs on any workers of their class and gives their results in order.
   * The first call parks this job and frees its worker slot; the job runs again from the start when all
   * children ended. A failed child fails this call with the child's error after the others were cancelled.
   */
  children<R extends Json>(name: string, children: readonly ChildJob[]): Promise<R[]>;
}

export interface ChildJob {
  readonly kind: string;
  readonly params: Json;
  /** Unique within the parent, e.g. `chunk-3`; part of the child's idempotency key. */
  readonly key: string;
  /** Shown to people, e.g. `encode frames 48-95`. */
  readonly label: string;
}

export interface JobProgress {
  /** 0..1 of the whole job. */
  readonly fraction: number;
  /** e.g. `encode`. */
  readonly stage: string;
  readonly message?: string;
  /** Small facts for the progress stream, e.g. `{ frames: 96, fps: 58.2 }`. */
  readonly detail?: Readonly<Record<string, number | string>>;
}
