import { messageOf } from '../core/errors.ts';
import { systemRandom } from '../core/random.ts';
import { createJobGate } from './gate/job-gate.ts';
import { createJobLimitsStore } from './gate/job-limits-store.ts';
import { gatherInsight } from './insight/gather-insight.ts';
import { createJobLogs } from './insight/job-logs.ts';
import { createJobEnds, type JobEnds } from './job-ends.ts';
import { jobNotEnded } from './job-errors.ts';
import { createJobOutbox } from './job-outbox.ts';
import { createJobPublisher } from './job-publisher.ts';
import { runJobPump } from './job-pump.ts';
import { isTerminal, type JobRecord } from './job-record.ts';
import { createJobStore } from './job-store.ts';
import type { JobAdmission, Jobs, JobsOptions } from './jobs.ts';
import { listJobs } from './list-jobs.ts';
import { createNewJobs } from './new-jobs.ts';
import { createNextChange } from './next-change.ts';
import { createJobSchedules } from './schedules/job-schedules.ts';
import { createSlotJobs } from './schedules/slot-jobs.ts';
import { createSlaWatch } from './sla/sla-watch.ts';
import { createJobTemplates } from './templates/job-templates.ts';
import { createWatchJob } from './watch-job.ts';
import { endNotice, missNotice } from './webhooks/job-notice.ts';
import { createNotices } from './webhooks/notices.ts';
import { createWebhooks } from './webhooks/webhooks.ts';
import { createForEachRunner } from './workflows/for-each-runner.ts';
import { createNodeJobs } from './workflows/node-jobs.ts';
import { createRunObjects } from './workflows/run-objects.ts';
import { createRunRows } from './workflows/run-rows.ts';
import { createRunViews } from './workflows/watch-run.ts';
import { workflowKind } from './workflows/workflow.ts';
import { createWorkflowEngine } from './workflows/workflow-engine.ts';
import { createWorkflows, workflowKindInfo } from './workflows/workflows.ts';

const defaultRetentionMs = 30 * 24 * 3_600_000;

/** Puts the parts of the jobs area together. Nothing runs before `start`. */
export function createJobs(options: JobsOptions): Jobs {
  const { records, queue, clock, log, maxOpenJobs = 10_000, retentionMs = defaultRetentionMs } = options;
  const kinds = new Map([...options.kinds, workflowKindInfo].map((kind) => [kind.name, kind]));
  const store = createJobStore(records, { maxEvents: options.maxEvents ?? 1_000, retentionMs });
  const stopping = new AbortController();
  let running: Promise<unknown> = Promise.resolve();

  const onEnded = (job: JobRecord) => {
    outbox.settle(job).catch((error: unknown) => {
      log.debug('ended job is settled by the next sweep', { job_id: job.id, error: messageOf(error) });
    });
  };
  const launch = (job: JobRecord) =>
    outbox.send(job).catch((error: unknown) => {
      log.warn('job is stored, and queued when the queue is back', { job_id: job.id, error: messageOf(error) });
    });
  // Gate and engine come before what makes and ends jobs, which need them.
  const create: Jobs['create'] = (spec, createOptions) => newJobs.create(spec, createOptions);
  const cancel: JobEnds['cancel'] = (id) => ends.cancel(id);
  const publisher = createJobPublisher({ store, clock, log, onEnded });
  const limits = createJobLimitsStore(records);
  const gate = createJobGate({ records, store, limits, clock, launch, drop: (id, reason) => ends.drop(id, reason) });
  const logs = createJobLogs({ records, store, queue, clock, log, retentionMs });
  const templates = createJobTemplates(records, kinds, clock);
  const workflows = createWorkflows(records, kinds, clock);
  const createJob = createNodeJobs({ templates, create });
  const rows = createRunRows(records);
  const nextChange = createNextChange(store, clock);
  const { objects, cleanIntervalMs: everyMs } = options;
  const cleaning = { clock, log, ...(everyMs === undefined ? {} : { everyMs }) };
  const runObjects = createRunObjects({ records, store, objects, ...cleaning });
  const engine = createWorkflowEngine({
    store,
    rows,
    items: createForEachRunner({ store, objects, createJob, cancel }),
    runObjects,
    createJob,
    getWorkflow: (id) => workflows.get(id),
    cancel,
    endRun: (id, outcome) => ends.endFromHere(id, outcome),
    clock,
    log,
    retentionMs,
  });
  const webhooks = createWebhooks({
    records,
    clock,
    random: options.random ?? systemRandom,
    log,
    origins: options.webhookOrigins ?? [],
    ...options.webhooks,
  });
  const notices = createNotices(webhooks, log);
  // Parts and nodes of workflows are the business of what they belong to.
  const isTold = (job: JobRecord) => job.parent === undefined;
  const sla = createSlaWatch({
    store,
    clock,
    log,
    onMiss: async (job, promise) => {
      if (isTold(job)) await notices.tell(missNotice(job, promise));
    },
  });
  const outbox = createJobOutbox({
    store,
    onSettled: async (job) => {
      await sla.settle(job);
      if (isTold(job)) await notices.tell(endNotice(job));
    },
    onOpen: (job) => sla.add(job),
    queue,
    publisher,
    gate,
    limits,
    workflows: engine,
    clock,
    log,
    sweepIntervalMs: options.sweepIntervalMs ?? 15_000,
  });
  const ends = createJobEnds({ store, publisher, clock, onEnded });
  const admissions = new Map<string, JobAdmission>();
  const newJobs = createNewJobs({
    store,
    kinds,
    admissions,
    gate,
    limits,
    workflows,
    clock,
    maxOpenJobs,
    signal: stopping.signal,
    onStored: (job) => {
      sla.add(job);
      return launch(job);
    },
  });
  const schedules = createJobSchedules({
    ...(options.onScheduleLag === undefined ? {} : { onLag: options.onScheduleLag }),
    records,
    kinds,
    templates,
    clock,
    log,
    ...createSlotJobs({ create, store, clock }),
  });

  return {
    create,
    get: (id) => store.get(id),
    list: (query) => listJobs(store, query),
    cancel,
    delete: async (id) => {
      const job = await store.get(id);
      if (!isTerminal(job.state)) throw jobNotEnded(`jobs/${id}`);
      // What is still to be told of its end is told before.
      if (await store.isOpen(id)) await outbox.settle(job);
      await logs.delete(id);
      await store.delete(job);
      if (job.kind !== workflowKind) return;
      await runObjects.remove(id).catch((error: unknown) => {
        log.warn('results of items are removed by the next sweep', { job_id: id, error: messageOf(error) });
      });
    },
    logs,
    insight: (query) => gatherInsight(store, clock, query),
    restart: (id, restartOptions) => newJobs.restart(id, restartOptions),
    runTemplate: async (id, { params, labels, requestId, owner }) => {
      const requestContent = { template: id, params, labels };
      // Before the template, which may have changed since or be gone.
      const earlier = await newJobs.findEarlier(requestContent, { requestId, owner });
      if (earlier !== undefined) return earlier;
      const { spec, policy } = templates.instantiate(await templates.get(id), params, labels, 'params');
      return create(spec, { requestId, owner, policy, requestContent });
    },
    templates,
    workflows,
    runs: createRunViews(store, rows, nextChange),
    onEvent: (event) => engine.onEvent(event),
    webhooks,
    onNotice: (listener) => notices.on(listener),
    limits,
    gate,
    watch: createWatchJob(store, nextChange),
    schedules,
    onJobCreate: (kind, admission) => admissions.set(kind, admission),
    onJobSucceeded: (kind, hook) => publisher.on(kind, hook),
    start: async () => {
      await store.countOpen();
      await limits.load();
      await webhooks.start();
      await logs.start();
      sla.start();
      await schedules.start();
      runObjects.start();
      const pump = runJobPump({ store, queue, publisher, clock, log, onEnded }, stopping.signal);
      running = Promise.allSettled([pump, outbox.run(stopping.signal)]);
    },
    close: async () => {
      await schedules.close();
      stopping.abort();
      await running;
      await engine.close();
      await runObjects.close();
      await logs.close();
      await sla.close();
      await webhooks.close();
      await publisher.close();
    },
  };
}
