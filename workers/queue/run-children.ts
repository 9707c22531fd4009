import type { Job } from 'bullmq';
import type { Logger } from '../../server/core/log.ts';
import { type CancelDeps, cancelSiblings } from './cancel-tree.ts';
import type { ChildJob, JobKind, Json } from './job-kind.ts';
import type { JobOutcome } from './job-outcome.ts';
import { childError } from './job-outcome.ts';
import { jobKindUnknown, jobNameInvalid, jobParked, jobValueTooLarge, leaseLost } from './queue-errors.ts';
import { bullOptions, checkName, childId, maxParamsBytes, type QueuedJob } from './queued-job.ts';
import type { RunningAttempt } from './running-attempt.ts';
import type { WorkerRegister } from './worker-register.ts';

/** What children are queued and waited for with. */
export interface ChildrenDeps extends CancelDeps {
  readonly kinds: ReadonlyMap<string, JobKind>;
  readonly register: WorkerRegister;
  readonly log: Logger;
}

const bulkSize = 500;
/** Larger parameters are left out of the child's note, and so of its record; the child itself gets them. */
const maxNotedParamsChars = 8_192;

/**
 * The `children` of a JobContext: gives the results when all children have ended, else queues those that
 * are missing and parks the job. Parking rejects with JOB_PARKED; the runner lets the attempt end there.
 */
export async function runChildren(
  deps: ChildrenDeps,
  attempt: RunningAttempt,
  job: Job<QueuedJob>,
  group: string,
  children: readonly ChildJob[],
): Promise<Json[]> {
  checkName('children group', group);
  const queued = toQueuedJobs(deps, job.data, group, children);
  for (;;) {
    const states = await deps.ledger.inspect(queued.map((child) => child.jobId));
    const outcomes = states.map((state) => state.outcome);
    await failOnFailedChild(deps, job.data.jobId, queued, outcomes);
    const pending = queued.filter((_, index) => outcomes[index] === undefined);
    if (pending.length === 0) {
      return outcomes.map((outcome) => (outcome?.state === 'succeeded' ? outcome.result : null));
    }
    await addChildren(deps, attempt, job, pending);
    const counts = { group, children: queued.length, done: queued.length - pending.length };
    await park(deps, attempt, job, { ...counts, ...(await findUnserved(deps, job.data, pending)) });
  }
}

function toQueuedJobs(
  deps: ChildrenDeps,
  parent: QueuedJob,
  group: string,
  children: readonly ChildJob[],
): QueuedJob[] {
  const seen = new Set<string>();
  return children.map((child) => {
    checkName('child key', child.key);
    if (seen.has(child.key)) throw jobNameInvalid('child key', child.key);
    seen.add(child.key);
    const kind = deps.kinds.get(child.kind);
    if (kind === undefined) throw jobKindUnknown(child.kind, [...deps.kinds.keys()]);
    const bytes = Buffer.byteLength(JSON.stringify(child.params));
    if (bytes > maxParamsBytes) throw jobValueTooLarge(`params of child "${child.key}"`, bytes, maxParamsBytes);
    return {
      jobId: childId(parent.jobId, group, child.key),
      kind: child.kind,
      queueClass: kind.queueClass,
      params: child.params,
      priority: parent.priority,
      ...(parent.owner === undefined ? {} : { owner: parent.owner }),
      ...(parent.weight === undefined ? {} : { weight: parent.weight }),
      parent: { jobId: parent.jobId, queueClass: parent.queueClass },
      label: child.label.slice(0, 200),
    };
  });
}

async function failOnFailedChild(
  deps: ChildrenDeps,
  parentId: string,
  queued: readonly QueuedJob[],
  outcomes: readonly (JobOutcome | undefined)[],
): Promise<void> {
  // The part that failed by itself, not those that were cancelled because of it.
  const failed = outcomes.flatMap((outcome, index) => {
    const child = queued[index];
    return child === undefined || outcome === undefined || outcome.state === 'succeeded' ? [] : [{ child, outcome }];
  });
  const first = failed.find(({ outcome }) => outcome.error.reason !== 'SIBLING_FAILED') ?? failed[0];
  if (first === undefined) return;
  await cancelSiblings(deps, parentId);
  throw childError(first.child.jobId, first.outcome);
}

async function addChildren(
  deps: ChildrenDeps,
  attempt: RunningAttempt,
  job: Job<QueuedJob>,
  pending: readonly QueuedJob[],
): Promise<void> {
  const parent = { id: job.data.jobId, queue: job.queueQualifiedName };
  for (let from = 0; from < pending.length; from += bulkSize) {
    const part = pending.slice(from, from + bulkSize);
    const notes = part.map((child) => ({ id: child.jobId, note: noteOf(child) }));
    if (!(await deps.ledger.addChildren(attempt.holder, notes))) throw lose(attempt);
    for (const [queueClass, jobs] of Map.groupBy(part, (child) => child.queueClass)) {
      const turns = await deps.ledger.takeTurns({ ...job.data, queueClass, parentId: job.data.jobId }, jobs.length);
      await deps.queueOf(queueClass).addBulk(
        jobs.map((child, index) => ({
          name: child.kind,
          data: child,
          opts: { ...bullOptions(child, turns[index] ?? 1), parent, ignoreDependencyOnFailure: true },
        })),
      );
    }
  }
}

function noteOf({ jobId, params, ...child }: QueuedJob) {
  const { kind, queueClass, label = '', priority, parent } = child;
  const small = JSON.stringify(params).length <= maxNotedParamsChars;
  return { parent: parent?.jobId ?? jobId, kind, queueClass, label, priority, ...(small ? { params } : {}) };
}

/** Nothing is wrong with a job that no worker takes: one may come. But its owner must be able to know why it waits. */
async function findUnserved(
  { register, log }: ChildrenDeps,
  { jobId }: QueuedJob,
  pending: readonly QueuedJob[],
): Promise<{ unserved?: readonly string[] }> {
  const unserved = await register.unserved([...new Set(pending.map(({ queueClass }) => queueClass))]);
  if (unserved.length === 0) return {};
  log.warn('no worker takes parts of a job', { job_id: jobId, classes: unserved.join() });
  return { unserved };
}

async function park(
  deps: ChildrenDeps,
  attempt: RunningAttempt,
  job: Job<QueuedJob>,
  counts: { group: string; children: number; done: number; unserved?: readonly string[] },
): Promise<void> {
  // Left before it is parked: from then on another worker may start the job at any moment.
  attempt.parked = true;
  if (!(await deps.ledger.leave(attempt.holder, { why: 'parked', ...counts }))) throw lose(attempt);
  let parked: boolean;
  try {
    parked = Boolean(await job.moveToWaitingChildren(job.token ?? ''));
  } catch (error) {
    throw lose(attempt, error);
  }
  if (parked) {
    const reason = jobParked();
    attempt.abort(reason);
    throw reason;
  }
  // The last child ended between the look at the outcomes and the parking.
  attempt.parked = false;
  if (!(await deps.ledger.resume(attempt.holder))) throw lose(attempt);
}

function lose(attempt: RunningAttempt, cause?: unknown): Error {
  const reason = leaseLost();
  if (cause !== undefined) reason.cause = cause;
  attempt.parked = false;
  attempt.abort(reason);
  return reason;
}
