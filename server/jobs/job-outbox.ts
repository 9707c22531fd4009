import { cancelledOutcome } from '../../workers/queue/cancel-tree.ts';
import type { JobQueue } from '../../workers/queue/job-queue.ts';
import type { Clock } from '../core/clock.ts';
import { AppError, messageOf } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { applyOutcome } from './apply-event.ts';
import type { JobGate } from './gate/job-gate.ts';
import type { JobLimitsStore } from './gate/job-limits-store.ts';
import type { JobPublisher } from './job-publisher.ts';
import { isTerminal, type JobRecord } from './job-record.ts';
import { isPartId, type JobStore } from './job-store.ts';
import { workflowKind } from './workflows/workflow.ts';
import type { WorkflowEngine } from './workflows/workflow-engine.ts';

/** What the outbox brings together. */
export interface JobOutboxDeps {
  readonly store: JobStore;
  readonly queue: JobQueue;
  readonly publisher: JobPublisher;
  readonly gate: Pick<JobGate, 'admit' | 'leave' | 'recheck'>;
  readonly limits: Pick<JobLimitsStore, 'weightOf' | 'load'>;
  readonly workflows: Pick<WorkflowEngine, 'note' | 'launch' | 'nodeEnded' | 'stop'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Told of each job that has ended, at least once. */
  readonly onSettled: (job: JobRecord) => Promise<void>;
  /** Told of each job that has not ended, with each sweep. */
  readonly onOpen: (job: JobRecord) => void;
  /** Pause between two sweeps, in ms. */
  readonly sweepIntervalMs: number;
}

interface JobOutbox {
  /** Queues a stored job, or gives it to the gate. Rejects while Redis is away: the next sweep does it. */
  send(job: JobRecord): Promise<void>;
  /** Tells the queue of a job's end and forgets the job there. Rejects while Redis is away: a sweep does it. */
  settle(job: JobRecord): Promise<void>;
  /** Brings records and queue together: queues what is missing, takes over outcomes, settles ends, publishes. */
  sweep(): Promise<void>;
  /** Sweeps now, periodically and whenever Redis comes back, until the signal. */
  run(signal: AbortSignal): Promise<void>;
}

/** Jobs that a sweep could not deal with: how many, and the first of them with its error. */
interface Refused {
  jobs: number;
  first?: { readonly job_id: string; readonly error: string };
}

const pageSize = 500;
/** Reasons of an end that the server has decided, so that the queue must be told. */
const endedFromOutside: ReadonlySet<string> = new Set(['JOB_CANCELLED', 'RUN_SUPERSEDED']);

/** The guarantee that no acknowledged job is lost: a record is stored first, and this sees to the rest. */
export function createJobOutbox(deps: JobOutboxDeps): JobOutbox {
  const { store, queue, publisher, gate, limits, workflows, clock, log } = deps;
  /** Jobs whose outcome was in Redis at the last sweep, though no event has told of it yet. */
  let untold = new Set<string>();

  const send = async (job: JobRecord) => {
    if (job.heldBy !== undefined) {
      if (job.kind === workflowKind) await workflows.note(job);
      return gate.admit(job);
    }
    return job.kind === workflowKind ? workflows.launch(job) : enqueue(job);
  };
  const enqueue = (job: JobRecord) =>
    queue.enqueue(
      {
        jobId: job.id,
        kind: job.kind,
        queueClass: job.queueClass,
        params: job.params,
        priority: job.priority,
        least: { fence: job.fence, attempt: job.attempt },
        ...(job.startByMs === undefined ? {} : { startByMs: job.startByMs }),
        ...(job.limits === undefined ? {} : { limits: job.limits }),
        ...(job.owner === undefined ? {} : { owner: job.owner, weight: limits.weightOf(job.owner) }),
      },
      job.traceparent,
    );
  const settle = async (job: JobRecord) => {
    // Other cancelled ones are parts that the queue itself ended together with their job.
    const isPart = isPartId(job.id);
    if (job.kind === workflowKind) await workflows.stop(job);
    else {
      const reason = job.error?.reason ?? '';
      if (endedFromOutside.has(reason)) await queue.cancel(job.id, job.queueClass, isPart ? job.parent : undefined);
      // Parts are released with the job that they belong to, which still reads their outcomes.
      if (!isPart) await queue.release(job.id);
    }
    await workflows.nodeEnded(job);
    // Others may start before the end is told, which may have to wait for whoever is told.
    await gate.leave(job);
    await deps.onSettled(job);
    await store.closeOpen(job.id);
  };

  const sweepPage = async (jobs: readonly JobRecord[], found: Set<string>, refused: Refused) => {
    /** One job that cannot be dealt with must not hold up all those behind it; without the queue none can be. */
    const attempt = async (job: JobRecord, work: Promise<unknown>) => {
      try {
        await work;
      } catch (error) {
        if (error instanceof AppError && error.reason === 'QUEUE_UNAVAILABLE') throw error;
        refused.jobs++;
        refused.first ??= { job_id: job.id, error: messageOf(error) };
      }
    };
    const running = jobs.filter((job) => !isTerminal(job.state) && job.publishing === undefined);
    for (const job of jobs) {
      if (job.publishing !== undefined) publisher.push(job.id);
      if (isTerminal(job.state)) await attempt(job, settle(job));
    }
    const onQueue = running.filter((job) => job.kind !== workflowKind && job.heldBy === undefined);
    for (const job of running) if (!onQueue.includes(job)) await attempt(job, send(job));
    const states = await queue.inspect(onQueue.map(({ id, queueClass }) => ({ jobId: id, queueClass })));
    for (const [index, job] of onQueue.entries()) {
      const state = states[index];
      if (state?.ended !== undefined) {
        // Its event is most likely on the way and knows more (the time, the attempts): wait for it one sweep.
        if (untold.has(job.id)) await attempt(job, takeOver(job, state.ended));
        else found.add(job.id);
      } else if (state?.missing) await attempt(job, replace(job));
    }
  };
  const takeOver = async (job: JobRecord, outcome: Parameters<typeof applyOutcome>[1]) => {
    const updated = await store.update(job.id, (record) =>
      isTerminal(record.state) || record.publishing !== undefined
        ? undefined
        : applyOutcome(record, outcome, clock.now(), publisher.has(record.kind)),
    );
    if (updated?.publishing !== undefined) publisher.push(updated.id);
    else if (updated !== undefined) await settle(updated);
  };
  /** A job that the queue does not know is queued again; a part is queued by its parent, or ends with it. */
  const replace = async (job: JobRecord) => {
    if (job.parent === undefined || !isPartId(job.id)) {
      await send(job);
      log.info('job queued from its record', { job_id: job.id, job_kind: job.kind });
      return;
    }
    const parent = await store.find(job.parent);
    if (parent === undefined || isTerminal(parent.state)) await takeOver(job, cancelledOutcome('PARENT_ENDED'));
  };

  const sweep = async () => {
    const found = new Set<string>();
    const refused: Refused = { jobs: 0 };
    let away: unknown;
    await limits.load();
    // What other servers have made and ended.
    await store.countOpen();
    for (let after: string | undefined; ; ) {
      const ids = await store.openIds(after, pageSize);
      after = ids.at(-1);
      const jobs = await Promise.all(ids.map((id) => store.find(id)));
      for (const [index, job] of jobs.entries()) {
        // Its record has expired.
        if (job === undefined) await store.closeOpen(ids[index] ?? '');
      }
      const there = jobs.filter((job) => job !== undefined);
      // Also while the queue is away: then promises are missed most.
      for (const job of there) if (!isTerminal(job.state)) deps.onOpen(job);
      if (away === undefined) {
        await sweepPage(there, found, refused).catch((error: unknown) => {
          away = error;
        });
      }
      if (ids.length < pageSize || after === undefined) break;
    }
    if (away !== undefined) throw away;
    untold = found;
    if (refused.jobs > 0) log.warn('jobs wait for the next sweep', { jobs: refused.jobs, ...refused.first });
    await gate.recheck();
  };

  return {
    send,
    settle,
    sweep,
    run: async (signal) => {
      let wake = Promise.withResolvers<void>();
      queue.onReconnect(() => wake.resolve());
      while (!signal.aborted) {
        wake = Promise.withResolvers<void>();
        try {
          await sweep();
        } catch (error) {
          log.debug('job sweep stopped', { error: messageOf(error) });
        }
        const slept = new AbortController();
        const either = AbortSignal.any([signal, slept.signal]);
        await Promise.race([wake.promise, clock.sleep(deps.sweepIntervalMs, either).catch(() => {})]);
        slept.abort();
      }
    },
  };
}
