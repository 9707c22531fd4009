import type { Json } from '../../workers/queue/job-kind.ts';
import type { JobQueue } from '../../workers/queue/job-queue.ts';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import type { Random } from '../core/random.ts';
import type { ObjectStore } from '../stores/objects/object-store.ts';
import type { RecordsStore } from '../stores/records/records-store.ts';
import type { JobKindInfo, JobSpec } from './check-job.ts';
import type { Created, CreateOptions } from './create-job-options.ts';
import type { JobGate } from './gate/job-gate.ts';
import type { JobLimitsStore } from './gate/job-limits-store.ts';
import type { InsightQuery } from './insight/gather-insight.ts';
import type { JobInsight } from './insight/job-insight.ts';
import type { JobLogs } from './insight/job-logs.ts';
import type { JobHook } from './job-publisher.ts';
import type { JobRecord } from './job-record.ts';
import type { JobsPage, ListQuery } from './list-jobs.ts';
import type { JobSchedules } from './schedules/job-schedules.ts';
import type { JobTemplates } from './templates/job-templates.ts';
import type { WatchJob } from './watch-job.ts';
import type { JobNotice } from './webhooks/webhook.ts';
import type { Webhooks, WebhooksDeps } from './webhooks/webhooks.ts';
import type { WorkflowEvent } from './workflows/signals.ts';
import type { RunViews } from './workflows/watch-run.ts';
import type { Workflows } from './workflows/workflows.ts';

/** What jobs are kept, queued and run with. */
export interface JobsOptions {
  readonly records: RecordsStore;
  readonly queue: JobQueue;
  readonly kinds: readonly JobKindInfo[];
  /** Keeps the results of workflow nodes that run once per item. */
  readonly objects: Pick<ObjectStore, 'put' | 'read' | 'stat' | 'list' | 'delete'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Jobs that may wait or run at once, without their parts. Default 10,000. */
  readonly maxOpenJobs?: number;
  /** Events kept per job. Default 1,000. */
  readonly maxEvents?: number;
  /** How long a job is kept after its end, in ms. Default 30 days. */
  readonly retentionMs?: number;
  /** Pause between two sweeps of the outbox, in ms. Default 15,000. */
  readonly sweepIntervalMs?: number;
  /** Pause between two looks for results of items whose run is gone, in ms. Default 10 minutes. */
  readonly cleanIntervalMs?: number;
  /** Origins that webhooks may call. Default: none. */
  readonly webhookOrigins?: readonly string[];
  /** Times and bounds of webhooks, see {@link WebhooksDeps}. */
  readonly webhooks?: Pick<WebhooksDeps, 'baseBackoffMs' | 'maxPending' | 'timeoutMs' | 'takeOverIntervalMs'>;
  /** Told how late each slot of a schedule was begun with, in ms. */
  readonly onScheduleLag?: (lagMs: number) => void;
  /** Jitter of retries. Default: the system's. */
  readonly random?: Random;
}

/** Refuses a job of a kind by what its parameters name; its error goes to whoever creates it. */
export type JobAdmission = (params: Json) => Promise<void>;

interface TemplateRun {
  readonly params: Json;
  /** On top of the template's. */
  readonly labels: JobSpec['labels'];
  readonly requestId: string;
  readonly owner: string;
}

/** Long work: stored first, then queued; events of workers come back into the records. */
export interface Jobs {
  /** Throws JOB_KIND_UNKNOWN, INVALID_FIELDS, REQUEST_ID_REUSED, TOO_MANY_JOBS, and what `onJobCreate` refuses. */
  create(spec: JobSpec, options?: CreateOptions): Promise<Created>;
  /** Throws JOB_NOT_FOUND. */
  get(id: string): Promise<JobRecord>;
  /** Newest first. A page may be short though more follow, when few of many jobs match. */
  list(query: ListQuery): Promise<JobsPage>;
  /** The job after its end was stored; an ended one as it is. Throws JOB_NOT_FOUND. */
  cancel(id: string): Promise<JobRecord>;
  /** A new job with the inputs of one that has ended. Throws JOB_NOT_FOUND, JOB_NOT_ENDED. */
  restart(id: string, options: { readonly requestId?: string; readonly owner?: string }): Promise<Created>;
  /** Makes a job of a template. Throws TEMPLATE_NOT_FOUND, TOO_MANY_RUNS_WAIT, and what `create` does. */
  runTemplate(id: string, run: TemplateRun): Promise<Created>;
  readonly templates: JobTemplates;
  readonly workflows: Workflows;
  readonly runs: RunViews;
  readonly webhooks: Webhooks;
  readonly logs: Pick<JobLogs, 'read'>;
  /** Removes the record of an ended job. Throws JOB_NOT_FOUND, JOB_NOT_ENDED. */
  delete(id: string): Promise<void>;
  /** What the jobs of a time have cost, where it went and why they failed. */
  insight(query: InsightQuery): Promise<JobInsight>;
  /** Tells of ends of jobs and of missed promises, at least once each; a rejection is tried again. Before `start`. */
  onNotice(listener: (notice: JobNotice) => Promise<void>): void;
  /** An event of the bus, which workflow runs may wait for. The same one again changes nothing. */
  onEvent(event: WorkflowEvent): Promise<void>;
  /** What limits how many jobs run at once. */
  readonly limits: JobLimitsStore;
  readonly gate: Pick<JobGate, 'blockedBy' | 'unblock' | 'recheck' | 'permitsTaken'>;
  readonly watch: WatchJob;
  readonly schedules: JobSchedules;
  /** Asked before a job of the kind is stored, however it is made. Register all before `start`. */
  onJobCreate(kind: string, admission: JobAdmission): void;
  /** Runs the hook before a job of the kind is told to have succeeded. Register all before `start`. */
  onJobSucceeded(kind: string, hook: JobHook): void;
  /** Begins to carry events, to send what is unsent and to serve schedules. */
  start(): Promise<void>;
  close(): Promise<void>;
}
