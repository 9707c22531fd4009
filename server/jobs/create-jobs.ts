import { cancelledOutcome } from '../../workers/queue/cancel-tree.ts';
import type { Json } from '../../workers/queue/job-kind.ts';
import { failureOf, type JobOutcome } from '../../workers/queue/job-outcome.ts';
import type { JobQueue } from '../../workers/queue/job-queue.ts';
import { jsonDigest } from '../core/canonical-json.ts';
import type { Clock } from '../core/clock.ts';
import { isPermanent } from '../core/codes.ts';
import { AppError, invalidField, messageOf } from '../core/errors.ts';
import { leastIdAt, newId } from '../core/ids.ts';
import type { Logger } from '../core/log.ts';
import { type Random, systemRandom } from '../core/random.ts';
import { activeTraceparent } from '../core/telemetry/trace-parent.ts';
import type { ObjectStore } from '../stores/objects/object-store.ts';
import type { RecordsStore } from '../stores/records/records-store.ts';
import { applyOutcome, end } from './apply-event.ts';
import { checkJob, type JobKindInfo, type JobSpec } from './check-job.ts';
import type { Created, CreateOptions, Sla } from './create-job-options.ts';
import { createJobGate, type JobGate, maxWaiting } from './gate/job-gate.ts';
import { createJobLimitsStore, type JobLimitsStore } from './gate/job-limits-store.ts';
import type { DroppedReason } from './gate/run-strategy.ts';
import { createInsightBuilder, type JobInsight } from './insight/job-insight.ts';
import { createJobLogs, type JobLogs } from './insight/job-logs.ts';
import { jobNotEnded, requestIdReused, runDropped, tooManyJobs, tooManyRunsWait } from './job-errors.ts';
import { createJobOutbox } from './job-outbox.ts';
import { createJobPublisher, type JobHook } from './job-publisher.ts';
import { runJobPump } from './job-pump.ts';
import { isTerminal, type JobRecord, type JobState } from './job-record.ts';
import { createJobStore } from './job-store.ts';
import { createNextChange } from './next-change.ts';
import { createJobSchedules, type JobSchedules } from './schedules/job-schedules.ts';
import { createSlaWatch } from './sla/sla-watch.ts';
import { createJobTemplates, type JobTemplates } from './templates/job-templates.ts';
import { createWatchJob, type WatchJob } from './watch-job.ts';
import { endNotice, missNotice } from './webhooks/job-notice.ts';
import type { JobNotice } from './webhooks/webhook.ts';
import { createWebhooks, type Webhooks, type WebhooksDeps } from './webhooks/webhooks.ts';
import { createForEachRunner } from './workflows/for-each-runner.ts';
import { createNodeJobs } from './workflows/node-jobs.ts';
import { createRunRows } from './workflows/run-rows.ts';
import { createRunViews, type RunViews } from './workflows/watch-run.ts';
import { workflowKind } from './workflows/workflow.ts';
import { createWorkflowEngine, type WorkflowEvent } from './workflows/workflow-engine.ts';
import { createWorkflows, type Workflows, workflowKindInfo } from './workflows/workflows.ts';

export interface JobsOptions {
  readonly records: RecordsStore;
  readonly queue: JobQueue;
  readonly kinds: readonly JobKindInfo[];
  /** Keeps the results of workflow nodes that run once per item. */
  readonly objects: Pick<ObjectStore, 'put' | 'read'>;
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
  /** Origins that webhooks may call. Default: none. */
  readonly webhookOrigins?: readonly string[];
  /** Times and bounds of webhooks, see {@link WebhooksDeps}. */
  readonly webhooks?: Pick<WebhooksDeps, 'baseBackoffMs' | 'maxPending' | 'timeoutMs'>;
  /** Told how late each slot of a schedule was begun with, in ms. */
  readonly onScheduleLag?: (lagMs: number) => void;
  /** Jitter of retries. Default: the system's. */
  readonly random?: Random;
}

export interface ListQuery {
  readonly kinds: ReadonlySet<string>;
  readonly states: ReadonlySet<JobState>;
  readonly labels: Readonly<Record<string, string>>;
  readonly includeParts: boolean;
  readonly owner?: string;
  readonly template?: string;
  readonly schedule?: string;
  readonly parent?: string;
  /** Created at or after, and before, in Unix ms. */
  readonly fromMs?: number;
  readonly toMs?: number;
  /** Stands in parameters, labels, error or result, in small or capital letters. */
  readonly text?: string;
  /** Id after which the page begins; undefined = the newest job. */
  readonly after: string | undefined;
  readonly pageSize: number;
}

export interface JobsPage {
  readonly jobs: readonly JobRecord[];
  /** Where the next page begins; undefined at the end. */
  readonly next: string | undefined;
}

export interface InsightQuery {
  /** Created at or after, and before, in Unix ms. */
  readonly fromMs: number;
  readonly toMs: number;
  /** Empty = all. */
  readonly kinds: ReadonlySet<string>;
  readonly template?: string;
}

export interface TemplateRun {
  readonly params: Json;
  /** On top of the template's. */
  readonly labels: JobSpec['labels'];
  readonly requestId: string;
  readonly owner: string;
}

/** Long work: stored first, then queued; events of workers come back into the records. */
export interface Jobs {
  /** Throws JOB_KIND_UNKNOWN, INVALID_FIELDS, REQUEST_ID_REUSED, TOO_MANY_JOBS. */
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
  /** Runs the hook before a job of the kind is told to have succeeded. Register all before `start`. */
  onJobSucceeded(kind: string, hook: JobHook): void;
  /** Begins to carry events, to send what is unsent and to serve schedules. */
  start(): Promise<void>;
  close(): Promise<void>;
}

const maxRequestIdChars = 128;
/** Rows looked at for one page of a list. */
const maxScannedRows = 5_000;
const scanRows = 100;
const requestPollMs = 10;
const maxInsightJobs = 20_000;

export function createJobs(options: JobsOptions): Jobs {
  const { records, queue, clock, log, maxOpenJobs = 10_000 } = options;
  const kinds = new Map([...options.kinds, workflowKindInfo].map((kind) => [kind.name, kind]));
  const retentionMs = options.retentionMs ?? 30 * 24 * 3_600_000;
  const store = createJobStore(records, {
    maxEvents: options.maxEvents ?? 1_000,
    retentionMs,
  });
  const random = options.random ?? systemRandom;
  const listeners: ((notice: JobNotice) => Promise<void>)[] = [];
  const stopping = new AbortController();
  let running: Promise<unknown> = Promise.resolve();

  const onEnded = (job: JobRecord) => {
    outbox.settle(job).catch((error: unknown) => {
      log.debug('ended job is settled by the next sweep', { job_id: job.id, error: messageOf(error) });
    });
  };
  const publisher = createJobPublisher({ store, clock, log, onEnded });
  const sweepIntervalMs = options.sweepIntervalMs ?? 15_000;
  const limits = createJobLimitsStore(records);
  const launch = (job: JobRecord) =>
    outbox.send(job).catch((error: unknown) => {
      log.warn('job is stored, and queued when the queue is back', { job_id: job.id, error: messageOf(error) });
    });
  const gate = createJobGate({ records, store, limits, clock, launch, drop: (id, reason) => drop(id, reason) });
  const logs = createJobLogs({ records, store, queue, clock, log, retentionMs });
  const templates = createJobTemplates(records, kinds, clock);
  const workflows = createWorkflows(records, kinds, clock);
  const createJob = createNodeJobs({ templates, create: (spec, nodeOptions) => create(spec, nodeOptions) });
  const cancelNode = (id: string) => cancel(id);
  const runRows = createRunRows(records);
  const nextChange = createNextChange(store, clock);
  const engine = createWorkflowEngine({
    store,
    rows: runRows,
    items: createForEachRunner({ store, objects: options.objects, createJob, cancel: cancelNode }),
    createJob,
    getWorkflow: (id) => workflows.get(id),
    cancel: cancelNode,
    endRun: (id, outcome) => endFromHere(id, outcome),
    clock,
    log,
    retentionMs,
  });
  const webhooks = createWebhooks({
    records,
    clock,
    random,
    log,
    origins: options.webhookOrigins ?? [],
    ...options.webhooks,
  });
  const tell = async (notice: JobNotice) => {
    await webhooks.tell(notice);
    for (const listener of listeners) {
      try {
        await listener(notice);
      } catch (error) {
        if (!(error instanceof AppError) || !isPermanent(error.code)) throw error;
        log.error('notice of a job was refused', { notice: notice.id, error: error.message });
      }
    }
  };
  const sla = createSlaWatch({ store, clock, log, onMiss: (job, promise) => tell(missNotice(job, promise)) });
  const outbox = createJobOutbox({
    store,
    onSettled: (job) => (job.parent === undefined ? tell(endNotice(job)) : Promise.resolve()),
    onOpen: (job) => sla.add(job),
    queue,
    publisher,
    gate,
    limits,
    workflows: engine,
    clock,
    log,
    sweepIntervalMs,
  });

  const create: Jobs['create'] = async (given, createOptions = {}) => {
    const { requestId = '', owner = '', requestScope = owner, requestContent = given } = createOptions;
    const { queueClass } = checkJob(given, kinds, 'job');
    if (requestId.length > maxRequestIdChars || !requestId.isWellFormed()) {
      throw invalidField('request_id', `must be at most ${maxRequestIdChars} characters`);
    }
    const request =
      requestId === '' ? undefined : { key: `${requestScope}/${requestId}`, digest: jsonDigest(requestContent) };
    const earlier = request && (await findEarlier(request, requestId));
    if (earlier !== undefined) return { job: earlier, existed: true };
    if (store.openCount() >= maxOpenJobs && createOptions.node === undefined) throw tooManyJobs(maxOpenJobs);
    const asked = { spec: given, policy: createOptions.policy ?? {} };
    const isNewRun = given.kind === workflowKind && createOptions.restartOf === undefined;
    const { spec, policy } = isNewRun ? await workflows.prepare(given, asked.policy) : asked;
    const held = await heldOf({ ...createOptions, policy });
    const createMs = clock.now();
    const record: JobRecord = {
      id: newId(createMs),
      ...spec,
      queueClass,
      state: 'queued',
      attempts: [],
      createMs,
      traceparent: activeTraceparent(),
      fence: '0',
      attempt: 0,
      sequence: 0,
      applied: '0-0',
      ...(request === undefined ? {} : { requestKey: request.key }),
      ...settingsOf({ ...createOptions, policy }),
      ...promisesOf(policy.sla, createOptions.slotMs ?? createMs),
      ...held,
    };
    if (!(await store.create({ record, events: [{ state: 'queued' }], atMs: createMs }, request))) {
      // Another create with the same request id was faster.
      const job = request && (await findEarlier(request, requestId));
      if (job !== undefined) return { job, existed: true };
      return create(given, createOptions);
    }
    sla.add(record);
    await launch(record);
    // The gate may have let it through or dropped it.
    const job = held.gate === undefined ? { ...record, sequence: 1 } : await store.get(record.id);
    return { job, existed: false };
  };

  /** What holds a new job back until the gate lets it through; nothing for most. Throws TOO_MANY_RUNS_WAIT. */
  const heldOf = async ({ owner, policy = {} }: CreateOptions): Promise<Pick<JobRecord, 'gate' | 'heldBy'>> => {
    const isLimited = limits.applied(owner || undefined, policy.tags ?? []).length > 0;
    const open = { scope: `owner/${owner}`, strategy: { kind: 'unlimited' as const } };
    const scope = policy.gate ?? (isLimited ? open : undefined);
    if (scope === undefined) return {};
    if ((await gate.waitingOf(scope.scope)) >= maxWaiting) throw tooManyRunsWait(scope.scope, maxWaiting);
    return { gate: scope, heldBy: 'RUN_STRATEGY' };
  };

  /** The job that a request id stands for; waits for a create in progress. Throws REQUEST_ID_REUSED. */
  const findEarlier = async (request: { key: string; digest: string }, requestId: string) => {
    const row = await store.findRequest(request.key);
    if (row === undefined) return undefined;
    if (row.digest !== request.digest) throw requestIdReused(requestId, `jobs/${row.id}`);
    const job = await store.find(row.id);
    if (job === undefined) await clock.sleep(requestPollMs, stopping.signal);
    return job;
  };

  const cancel = async (id: string): Promise<JobRecord> => {
    let ends = false;
    const job = await store.update(id, (record) => {
      // Work that is done and only waits to be published counts as ended.
      ends = !isTerminal(record.state) && record.publishing === undefined;
      return ends ? applyOutcome(record, cancelledOutcome('JOB_CANCELLED'), clock.now(), false) : undefined;
    });
    if (job === undefined) return store.get(id);
    if (ends) onEnded(job);
    return job;
  };

  const restart: Jobs['restart'] = async (id, { requestId = '', owner = '' }) => {
    const job = await store.get(id);
    if (!isTerminal(job.state)) throw jobNotEnded(`jobs/${id}`);
    const { kind, params, labels, priority, template, tags, limits: own, gate: scope } = job;
    return create(
      { kind, params, labels, priority },
      {
        requestId,
        requestContent: { restart: id },
        ...(job.owner === undefined ? {} : { owner: job.owner }),
        requestScope: owner,
        restartOf: id,
        policy: {
          ...(template === undefined ? {} : { template }),
          ...(tags === undefined ? {} : { tags }),
          ...(own === undefined ? {} : { limits: own }),
          ...(scope === undefined ? {} : { gate: scope }),
        },
      },
    );
  };

  /** Ends a job that this server itself runs. */
  const endFromHere = async (id: string, outcome: JobOutcome): Promise<void> => {
    let ends = false;
    const job = await store.update(id, (record) => {
      ends = !isTerminal(record.state) && record.publishing === undefined;
      return ends ? applyOutcome(record, outcome, clock.now(), publisher.has(record.kind)) : undefined;
    });
    if (!ends || job === undefined) return;
    if (job.publishing !== undefined) publisher.push(id);
    else onEnded(job);
  };

  /** Ends a run that its strategy does not let run, or not any longer. */
  const drop = async (id: string, reason: DroppedReason): Promise<void> => {
    let ends = false;
    const job = await store.update(id, (record) => {
      ends = !isTerminal(record.state) && record.publishing === undefined;
      if (!ends) return undefined;
      if (record.heldBy === undefined)
        return applyOutcome(record, cancelledOutcome('RUN_SUPERSEDED'), clock.now(), false);
      return end({ ...record, error: failureOf(runDropped(reason)) }, 'skipped', [], clock.now());
    });
    if (ends && job !== undefined) onEnded(job);
  };

  const list = async ({ after, pageSize, ...filter }: ListQuery): Promise<JobsPage> => {
    const jobs: JobRecord[] = [];
    let before = after ?? (filter.toMs === undefined ? undefined : leastIdAt(filter.toMs));
    for (let scanned = 0; scanned < maxScannedRows; scanned += scanRows) {
      const rows = await store.scan(before, scanRows);
      for (const row of rows) {
        if (filter.fromMs !== undefined && row.createMs < filter.fromMs) return { jobs, next: undefined };
        if (matches(row, filter)) jobs.push(row);
        before = row.id;
        if (jobs.length === pageSize) {
          const isLast = rows.length < scanRows && row === rows.at(-1);
          return { jobs, next: isLast ? undefined : before };
        }
      }
      if (rows.length < scanRows) return { jobs, next: undefined };
    }
    return { jobs, next: before };
  };

  const schedules = createJobSchedules({
    ...(options.onScheduleLag === undefined ? {} : { onLag: options.onScheduleLag }),
    records,
    kinds,
    templates,
    clock,
    log,
    makeJob: ({ id, owner, startWithinMs }, { spec, policy }, key, slotMs) =>
      create(spec, {
        requestId: key === '' ? '' : `${id}/${key}`,
        requestScope: 'schedules',
        requestContent: { schedule: id, key },
        schedule: id,
        policy,
        ...(owner === undefined ? {} : { owner }),
        ...(startWithinMs === undefined ? {} : { startByMs: (slotMs ?? clock.now()) + startWithinMs }),
        ...(slotMs === undefined ? {} : { slotMs }),
      }),
    findJob: async ({ id }, key) => (await store.findRequest(`schedules/${id}/${key}`))?.id,
  });

  return {
    create,
    get: (id) => store.get(id),
    list,
    cancel,
    delete: async (id) => {
      const job = await store.get(id);
      if (!isTerminal(job.state)) throw jobNotEnded(`jobs/${id}`);
      // What is still to be told of its end is told before.
      if (await store.isOpen(id)) await outbox.settle(job);
      await logs.delete(id);
      await store.delete(job);
    },
    logs,
    insight: async ({ fromMs, toMs, kinds: only, template }) => {
      const builder = createInsightBuilder();
      let before: string | undefined = leastIdAt(toMs);
      for (let scanned = 0; scanned < maxInsightJobs; scanned += scanRows) {
        const rows = await store.scan(before, scanRows);
        for (const job of rows) {
          before = job.id;
          if (job.createMs < fromMs) return builder.build(false);
          const isMeant = only.size === 0 || only.has(job.kind);
          if (isMeant && (template === undefined || job.template === template)) builder.add(job);
        }
        if (rows.length < scanRows) return builder.build(false);
      }
      return builder.build(true);
    },
    restart,
    runTemplate: async (id, { params, labels, requestId, owner }) => {
      const { spec, policy } = templates.instantiate(await templates.get(id), params, labels, 'params');
      return create(spec, { requestId, owner, policy, requestContent: { template: id, params, labels } });
    },
    templates,
    workflows,
    runs: createRunViews(store, runRows, nextChange),
    onEvent: (event) => engine.onEvent(event),
    webhooks,
    onNotice: (listener) => void listeners.push(listener),
    limits,
    gate,
    watch: createWatchJob(store, nextChange),
    schedules,
    onJobSucceeded: (kind, hook) => publisher.on(kind, hook),
    start: async () => {
      await store.countOpen();
      await limits.load();
      await webhooks.start();
      await logs.start();
      sla.start();
      await schedules.start();
      const pump = runJobPump({ store, queue, publisher, clock, log, onEnded }, stopping.signal);
      running = Promise.allSettled([pump, outbox.run(stopping.signal)]);
    },
    close: async () => {
      await schedules.close();
      stopping.abort();
      await running;
      await engine.close();
      await logs.close();
      await sla.close();
      await webhooks.close();
      await publisher.close();
    },
  };
}

function promisesOf({ startWithinMs, finishWithinMs }: Sla = {}, fromMs: number): Partial<JobRecord> {
  return {
    ...(startWithinMs === undefined ? {} : { mustStartMs: fromMs + startWithinMs }),
    ...(finishWithinMs === undefined ? {} : { mustFinishMs: fromMs + finishWithinMs }),
  };
}

/** All of a job that a text is looked for in. */
function textOf({ params, labels, error, result = null }: JobRecord): string {
  return JSON.stringify([params, labels, error?.reason ?? '', error?.message ?? '', result]).toLowerCase();
}

/** What the options add to a record. */
function settingsOf(options: CreateOptions): Partial<JobRecord> {
  const { owner = '', schedule, startByMs, restartOf, policy, node, keepMs } = options;
  const { gate: _held, sla: _promises, ...settings } = policy ?? {};
  return {
    ...settings,
    ...(owner === '' ? {} : { owner }),
    ...(schedule === undefined ? {} : { schedule }),
    ...(startByMs === undefined ? {} : { startByMs }),
    ...(restartOf === undefined ? {} : { restartOf }),
    ...(node === undefined ? {} : { node, parent: node.run }),
    ...(keepMs === undefined ? {} : { keepMs }),
  };
}

function matches(job: JobRecord, filter: Omit<ListQuery, 'after' | 'pageSize'>): boolean {
  const { owner, template, schedule, parent, toMs, text } = filter;
  if (owner !== undefined && job.owner !== owner) return false;
  if (template !== undefined && job.template !== template) return false;
  if (schedule !== undefined && job.schedule !== schedule) return false;
  if (parent !== undefined && job.parent !== parent) return false;
  if (toMs !== undefined && job.createMs >= toMs) return false;
  if (text !== undefined && !textOf(job).includes(text.toLowerCase())) return false;
  if (job.parent !== undefined && !filter.includeParts) return false;
  if (filter.kinds.size > 0 && !filter.kinds.has(job.kind)) return false;
  if (filter.states.size > 0 && !filter.states.has(job.state)) return false;
  return Object.entries(filter.labels).every(([key, value]) => job.labels[key] === value);
}
