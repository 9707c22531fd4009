import type { Json } from '../../../workers/queue/job-kind.ts';
import type { JobSpec } from '../check-job.ts';
import type { Sla } from '../create-job-options.ts';
import type { RunStrategy } from '../gate/run-strategy.ts';

/** What happens to slots that were missed. */
export type CatchUp = 'skip' | 'latest' | 'all';

/** When the slots of a schedule are. */
export type Timing =
  /** Five fields, or six with seconds first; IANA zone, empty = UTC. */
  CronTiming | { readonly intervalMs: number };

/** Slots by the fields of cron. */
export interface CronTiming {
  readonly cron: string;
  readonly timeZone: string;
}

/** The run of a template that a schedule makes. */
export interface ScheduledRun {
  readonly template: string;
  readonly params: Json;
  readonly labels: JobSpec['labels'];
}

/** What a caller says of a schedule. */
export interface ScheduleSpec {
  readonly id: string;
  readonly timing: Timing;
  /** No slot before this; of an interval the first slot. */
  readonly startMs?: number;
  /** No slot after this. */
  readonly endMs?: number;
  /** Jobs that it makes at most. */
  readonly limit?: number;
  readonly catchUp: CatchUp;
  readonly make: { readonly job: JobSpec } | { readonly run: ScheduledRun };
  readonly strategy?: RunStrategy;
  readonly sla?: Sla;
  readonly paused: boolean;
  /** How late a job may start before its slot is skipped, in ms; absent = no limit. */
  readonly startWithinMs?: number;
}

/** A schedule as it is stored. */
export interface ScheduleRecord extends ScheduleSpec {
  readonly createMs: number;
  /** Intervals without a start are counted from here. */
  readonly anchorMs: number;
  /** All slots up to this are dealt with. */
  readonly watermarkMs: number;
  /** First slot after the watermark; absent when there is none any more. */
  readonly nextMs?: number;
  readonly runs: number;
  readonly owner?: string;
  /** Id of the job made last. */
  readonly lastJob?: string;
  /** Why the last slot made no job. */
  readonly lastError?: string;
}
