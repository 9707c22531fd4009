import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { SpanStatusCode, trace } from '@opentelemetry/api';
import { DelayedError, type Job, UnrecoverableError, WaitingChildrenError, WaitingError } from 'bullmq';
import type { Clock } from '../../server/core/clock.ts';
import { messageOf } from '../../server/core/errors.ts';
import type { Logger } from '../../server/core/log.ts';
import type { Random } from '../../server/core/random.ts';
import { type AttemptEnd, runAttempt } from './attempt-end.ts';
import { type AttemptLogLine, createAttemptLog } from './attempt-log.ts';
import { cancelSiblings } from './cancel-tree.ts';
import { toTurn } from './fair-turns.ts';
import type { JobContext, JobKind } from './job-kind.ts';
import type { ChildNote, StartResult } from './job-ledger.ts';
import { retryLimitOf } from './job-limits.ts';
import { failedOutcome, failureOf, type JobOutcome } from './job-outcome.ts';
import { createSteps } from './job-steps.ts';
import { createProgressThrottle } from './progress-throttle.ts';
import { jobKindUnknown, startedTooLate, workerLost, workerStopping } from './queue-errors.ts';
import { nameJobSpan } from './queue-telemetry.ts';
import type { QueuedJob } from './queued-job.ts';
import { type ChildrenDeps, runChildren } from './run-children.ts';
import { createRunningAttempt, type RunningAttempt, verifyAttempts } from './running-attempt.ts';
import { leaveToFitter, type UnfitDeps } from './unfit-worker.ts';
import type { Usage, UsageMeter } from './usage-meter.ts';

interface AttemptDeps extends ChildrenDeps, UnfitDeps {
  readonly kinds: ReadonlyMap<string, JobKind>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Keeps the lease of a job until the returned function is called. */
  readonly holdLease: (job: Job<QueuedJob>) => () => void;
  /** Private folders of attempts are made in here. */
  readonly workDir: string;
  /** `host/pid`. */
  readonly worker: string;
  /** How long an aborted attempt may take to stop before its slot is taken from it, in ms. */
  readonly abortGraceMs: number;
  readonly meter: UsageMeter;
  /** Takes log lines of attempts; never waits. */
  readonly sendLog: (line: AttemptLogLine) => void;
  readonly retryBackoff: { readonly baseMs: number; readonly maxMs: number };
}

/** Everything that runs on this worker process. */
export interface JobAttempts {
  /** The processor given to BullMQ. */
  process(job: Job<QueuedJob>): Promise<null>;
  /** Attempts that run now. */
  running(): readonly RunningAttempt[];
  /** From now on new jobs are handed back. */
  stopIntake(): void;
}

/**
 * Runs each job that BullMQ hands over as one attempt: the ledger has its start and end, BullMQ only learns whether to
 * keep it. Where the ledger itself fails the job rejects, and BullMQ hands it out again a second later.
 */
export function createJobAttempts(deps: AttemptDeps): JobAttempts {
  const running = new Map<string, RunningAttempt>();
  const slots = new Map<string, Set<number>>();
  let stopping = false;

  const process = async (job: Job<QueuedJob>): Promise<null> => {
    const { data } = job;
    if (stopping) return handBack(deps, job);
    const slot = takeSlot(slots, data.queueClass);
    const dropLease = deps.holdLease(job);
    try {
      await leaveToFitter(deps, job);
      const worker = `${deps.worker}/${data.queueClass}#${slot}`;
      const child = data.parent === undefined ? {} : { child: childNoteOf(data, data.parent.jobId) };
      const start = await deps.ledger.start(
        data.jobId,
        { worker, ...child },
        {
          queueClass: data.queueClass,
          priority: data.priority,
          // Not of its options: the turn of a part may have changed since it was queued.
          turn: toTurn(Number(job.priority) || 1),
          least: { fence: BigInt(data.least?.fence ?? 0), attempt: data.least?.attempt ?? 0 },
        },
      );
      if (start.ended !== undefined) return await conclude(deps, data, start.ended);
      return await hold(job, start);
    } finally {
      dropLease();
      slots.get(data.queueClass)?.delete(slot);
    }
  };

  const hold = async (job: Job<QueuedJob>, start: Exclude<StartResult, { ended: JobOutcome }>): Promise<null> => {
    const { data } = job;
    const attempt = createRunningAttempt(start.holder);
    const { attempt: number, fence } = start.holder;
    const plain = deps.log.child({ job_id: data.jobId, job_kind: data.kind, attempt: number });
    const log = createAttemptLog(plain, { jobId: data.jobId, attempt: number }, deps.clock, deps.sendLog);
    const stopMeter = deps.meter.begin();
    nameJobSpan(data.kind, { 'job.id': data.jobId, 'job.attempt': number, 'job.fence': Number(fence) });
    running.set(data.jobId, attempt);
    try {
      const end = await runKind(deps, job, attempt, start, log);
      return await settle(deps, job, attempt, { ...end, usage: await stopMeter() }, log);
    } finally {
      if (running.get(data.jobId) === attempt) running.delete(data.jobId);
    }
  };

  return {
    process,
    running: () => [...running.values()],
    stopIntake: () => {
      stopping = true;
    },
  };
}

/** Builds the attempt's surroundings, runs it, takes them down again. */
async function runKind(
  deps: AttemptDeps,
  job: Job<QueuedJob>,
  attempt: RunningAttempt,
  start: Exclude<StartResult, { ended: JobOutcome }>,
  log: Logger,
): Promise<AttemptEnd> {
  const { data } = job;
  const kind = deps.kinds.get(data.kind);
  if (kind === undefined) return failed(jobKindUnknown(data.kind, [...deps.kinds.keys()]));
  const { failures } = start;
  const rules = { maxRetries: kind.maxRetries, limits: data.limits, backoff: deps.retryBackoff };
  const lost = retryLimitOf('killed', failures, rules);
  if (failures.killed > 0 && lost.failures > lost.limit.maxRetries) {
    return { outcome: failedOutcome({ ...failureOf(workerLost(failures.killed)), class: 'killed' }) };
  }
  if (data.startByMs !== undefined && attempt.holder.attempt === 1 && deps.clock.now() > data.startByMs) {
    return { outcome: { state: 'skipped', error: failureOf(startedTooLate()) } };
  }

  const workDir = join(deps.workDir, `${data.jobId}-${attempt.holder.fence}`);
  const progress = createProgressThrottle({
    clock: deps.clock,
    send: async (report) => {
      if (!(await deps.ledger.report(attempt.holder, report))) await verifyAttempts(deps.ledger, [attempt]);
    },
  });
  const context: JobContext = {
    jobId: data.jobId,
    attempt: attempt.holder.attempt,
    fence: attempt.holder.fence,
    signal: attempt.signal,
    log,
    clock: deps.clock,
    workDir,
    progress: (report) => {
      if (!attempt.signal.aborted) progress.push(report);
    },
    step: createSteps(deps.ledger, attempt),
    children: async <R>(name: string, children: Parameters<JobContext['children']>[1]) => {
      await progress.flush();
      return (await runChildren(deps, attempt, job, name, children)) as R[];
    },
  };
  try {
    const end = await runAttempt(deps, {
      kind: {
        ...kind,
        run: async (given, params) => {
          await mkdir(workDir, { recursive: true });
          return kind.run(given, params);
        },
      },
      params: data.params,
      context,
      attempt,
      timeoutMs: data.limits?.timeoutMs ?? kind.timeoutMs,
      failures,
      rules,
    });
    if (!attempt.signal.aborted) await progress.flush();
    return end;
  } finally {
    await rm(workDir, { recursive: true, force: true, maxRetries: 3 }).catch((error: unknown) => {
      // What the job has done stands; the folder goes when the worker ends, or with the next one.
      log.warn('folder of the attempt not removed', { error: messageOf(error) });
    });
  }
}

/** Writes the end of an attempt to the ledger, then tells BullMQ in the way it wants to be told. */
async function settle(
  deps: AttemptDeps,
  job: Job<QueuedJob>,
  attempt: RunningAttempt,
  end: AttemptEnd & { readonly usage: Usage },
  log: Logger,
): Promise<null> {
  const { holder } = attempt;
  const { usage } = end;
  if ('outcome' in end) {
    const written = await deps.ledger.finish(holder, { ...end.outcome, usage });
    log.info('job ended', { state: written ? end.outcome.state : 'stale', ...reasonOf(end.outcome) });
    if (written) return conclude(deps, job.data, end.outcome);
    // Cancelled in the last moment, or another attempt has the job: BullMQ is told by whoever ended it.
    const [state] = await deps.ledger.inspect([holder.jobId]);
    if (state?.outcome !== undefined) return conclude(deps, job.data, state.outcome);
    throw new WaitingError();
  }
  switch (end.leave) {
    case 'parked':
      throw new WaitingChildrenError();
    case 'cancelled': {
      log.info('job cancelled');
      const [state] = await deps.ledger.inspect([holder.jobId]);
      if (state?.outcome !== undefined) return conclude(deps, job.data, state.outcome);
      throw new WaitingError();
    }
    case 'lost':
      log.warn('job lost its lease');
      // Refused when a newer attempt runs; else the job was only late, and that is no lost worker.
      await deps.ledger.leave(holder, { why: 'released', usage });
      throw new WaitingError();
    case 'released':
      log.info('job handed back');
      await deps.ledger.leave(holder, { why: 'released', usage });
      return handBack(deps, job);
    case 'retry': {
      const { failure, delayMs } = end;
      const { reason, message } = failure;
      if (!(await deps.ledger.leave(holder, { why: 'retry', class: failure.class, reason, message, delayMs, usage }))) {
        throw new WaitingError();
      }
      await job.moveToDelayed(deps.clock.now() + end.delayMs, job.token);
      throw new DelayedError();
    }
  }
}

/**
 * Ends the job in BullMQ. A part of another job always completes there, whatever its outcome: BullMQ then
 * releases the parent, which reads the outcomes from the ledger.
 */
async function conclude(deps: AttemptDeps, job: QueuedJob, outcome: JobOutcome): Promise<null> {
  if (outcome.state === 'succeeded') return null;
  const { reason, message } = outcome.error;
  trace.getActiveSpan()?.setStatus({ code: SpanStatusCode.ERROR, message: `${reason}: ${message}` });
  if (job.parent === undefined) throw new UnrecoverableError(`${reason}: ${message}`);
  if (reason !== 'SIBLING_FAILED' && reason !== 'PARENT_ENDED') await cancelSiblings(deps, job.parent.jobId);
  return null;
}

async function handBack(deps: AttemptDeps, job: Job<QueuedJob>): Promise<never> {
  try {
    await job.moveToWait(job.token);
  } catch (error) {
    // The lock was lost: the stall check of another worker hands the job on.
    deps.log.debug('job could not be handed back', { job_id: job.data.jobId, error, reason: workerStopping().reason });
  }
  throw new WaitingError();
}

function takeSlot(slots: Map<string, Set<number>>, queueClass: string): number {
  const taken = slots.get(queueClass) ?? new Set<number>();
  slots.set(queueClass, taken);
  let slot = 0;
  while (taken.has(slot)) slot++;
  taken.add(slot);
  return slot;
}

function childNoteOf(job: QueuedJob, parent: string): ChildNote {
  return { parent, kind: job.kind, queueClass: job.queueClass, label: job.label ?? '', priority: job.priority };
}

function failed(error: unknown): AttemptEnd {
  return { outcome: failedOutcome(failureOf(error)) };
}

function reasonOf(outcome: JobOutcome): { reason?: string } {
  return outcome.state === 'succeeded' ? {} : { reason: outcome.error.reason };
}
