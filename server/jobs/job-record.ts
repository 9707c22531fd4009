import type { JobProgress, Json } from '../../workers/queue/job-kind.ts';
import type { JobLimits } from '../../workers/queue/job-limits.ts';
import type { JobFailure } from '../../workers/queue/job-outcome.ts';
import type { Usage } from '../../workers/queue/usage-meter.ts';
import type { RunStrategy } from './gate/run-strategy.ts';

/** States of a job; the last five are terminal and never change again. */
export type JobState = 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled' | 'timed_out' | 'skipped';

/** What was promised of a job: that it begins, or ends, in time. */
export type SlaPromise = 'start' | 'finish';

/** One start of a job on a worker. */
export interface AttemptRecord {
  readonly number: number;
  /** `host/pid/class#slot`. */
  readonly worker: string;
  readonly startMs: number;
  /** Absent while it runs and when its worker was lost. */
  readonly endMs?: number;
  readonly endReason?: string;
  readonly fence: string;
  /** Absent while it runs and when its worker was lost. */
  readonly usage?: Usage;
}

/** A stage of a job's work. */
export interface StageRecord {
  readonly stage: string;
  readonly startMs: number;
  /** Absent while it goes on. */
  readonly endMs?: number;
}

/** A job as it is stored. */
export interface JobRecord {
  readonly id: string;
  readonly kind: string;
  readonly queueClass: string;
  readonly params: Json;
  readonly labels: Readonly<Record<string, string>>;
  /** 0 to 9, 9 soonest. */
  readonly priority: number;
  readonly state: JobState;
  readonly result?: Json;
  readonly error?: JobFailure;
  readonly progress?: JobProgress;
  /** Oldest first, the last 20. */
  readonly attempts: readonly AttemptRecord[];
  readonly createMs: number;
  readonly startMs?: number;
  readonly endMs?: number;
  /** Id of the schedule that made it. */
  readonly schedule?: string;
  /** Unix ms after which a first attempt is skipped. */
  readonly startByMs?: number;
  /** Id of the job whose part this is. */
  readonly parent?: string;
  /** What a part does, for people. */
  readonly label?: string;
  readonly traceparent: string;
  /** Key of its row in the requests partition. */
  readonly requestKey?: string;
  /** Highest fence and attempt seen: Redis starts above them should it have lost its data. */
  readonly fence: string;
  readonly attempt: number;
  /** Sequence of its newest event. */
  readonly sequence: number;
  /** Position of the newest queue event that was applied. */
  readonly applied: string;
  /** The work is done and its result stands in `result`; hooks have yet to publish it. */
  readonly publishing?: { readonly failures: number };
  /** Principal that it belongs to. */
  readonly owner?: string;
  /** Id of the template that it was made from. */
  readonly template?: string;
  /** Of its template. */
  readonly tags?: readonly string[];
  /** What replaces the limits of its kind. */
  readonly limits?: JobLimits;
  /** Runs of one scope start as the strategy says. */
  readonly gate?: { readonly scope: string; readonly strategy: RunStrategy };
  /** Set while the gate holds it back. */
  readonly heldBy?: 'RUN_STRATEGY' | 'CONCURRENCY_LIMIT';
  /** Id of the job that this one runs again. */
  readonly restartOf?: string;
  /** Unix ms until which the first attempt must have begun, and until which it must have ended. */
  readonly mustStartMs?: number;
  readonly mustFinishMs?: number;
  /** Promises that it has missed. */
  readonly slaMissed?: readonly SlaPromise[];
  /** The node of a workflow run (`parent` too) whose work it is; `index` of an item of foreach. */
  readonly node?: { readonly run: string; readonly id: string; readonly depth: number; readonly index?: number };
  /** How long it is kept after its end, in ms, when not as long as others; `keepFailedMs` when it did not succeed. */
  readonly keepMs?: number;
  readonly keepFailedMs?: number;
  /** What its attempts have used together; the memory is the most of any. */
  readonly usage?: Usage;
  /** Stages that it reported, the last 32. */
  readonly stages?: readonly StageRecord[];
  /** Parts that were queued and that have ended. */
  readonly parts?: {
    readonly total: number;
    readonly done: number;
    readonly baseFraction: number;
    /** Position of the newest queue event that told of one. */
    readonly upTo?: string;
    /** Queue classes of parts that no worker took jobs of when the job began to wait for them; absent = none. */
    readonly unserved?: readonly string[];
  };
}

/** What happened, as a watcher sees it. */
export type JobEventBody =
  | { readonly state: JobState }
  | { readonly progress: JobProgress }
  | { readonly attempt: AttemptRecord }
  | { readonly slaMissed: SlaPromise; readonly untilMs: number };

/** One event of a job, numbered from 1 within it. */
export interface JobEventRecord {
  readonly sequence: number;
  readonly atMs: number;
  readonly body: JobEventBody;
}

const terminalStates: ReadonlySet<JobState> = new Set(['succeeded', 'failed', 'cancelled', 'timed_out', 'skipped']);

/** True of states that a job never leaves. */
export function isTerminal(state: JobState): boolean {
  return terminalStates.has(state);
}
