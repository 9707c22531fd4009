import { DelayedError, type Job } from 'bullmq';
import type { Clock } from '../../server/core/clock.ts';
import { type AppError, messageOf } from '../../server/core/errors.ts';
import type { Logger } from '../../server/core/log.ts';
import type { QueueOf } from './cancel-tree.ts';
import type { JobKind } from './job-kind.ts';
import type { QueuedJob } from './queued-job.ts';
import type { WorkerRegister } from './worker-register.ts';

/** What a worker leaves jobs with. */
export interface UnfitDeps {
  readonly kinds: ReadonlyMap<string, JobKind>;
  readonly register: WorkerRegister;
  readonly queueOf: QueueOf;
  /** Name of this process in the register. */
  readonly workerId: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A job that was left waits this long before it is offered again, doubled each time up to the longest, in ms. */
const shortestMs = 100;
const longestMs = 1_000;
/** And longer where many of its class wait so: looking at them again and again must not be all that a slot does, in ms. */
const perWaitingMs = 20;
const longestOfManyMs = 10_000;

/**
 * Leaves a job that this worker cannot do to the others of its class: throws DelayedError once it is queued again.
 * Comes back when it can be done here, and when no worker is left that might: the job then ends with its own error.
 */
export async function leaveToFitter(deps: UnfitDeps, job: Job<QueuedJob>): Promise<void> {
  const { register, workerId, queueOf, clock, log } = deps;
  const { jobId, kind, queueClass } = job.data;
  const why = await whyUnfit(deps, job.data);
  if (why === undefined) return;
  const { times, others } = await register.decline(workerId, jobId, queueClass);
  if (!others) return;
  const report = times === 1 ? log.info : log.debug;
  report('job is left to other workers', { job_id: jobId, job_kind: kind, reason: why.reason, error: messageOf(why) });
  const backoffMs = Math.min(longestMs, shortestMs * 2 ** Math.min(times - 1, 10));
  const waitMs = Math.max(backoffMs, perWaitingMs * (await queueOf(queueClass).getDelayedCount()));
  await job.moveToDelayed(clock.now() + Math.min(longestOfManyMs, waitMs), job.token);
  throw new DelayedError();
}

async function whyUnfit({ kinds }: UnfitDeps, { kind: name, params }: QueuedJob): Promise<AppError | undefined> {
  const kind = kinds.get(name);
  if (kind?.whyUnfit === undefined) return undefined;
  try {
    return await kind.whyUnfit(kind.parseParams(params));
  } catch {
    // Whatever is wrong with the job or its surroundings, its attempt meets it too and tells.
    return undefined;
  }
}
