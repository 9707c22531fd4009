import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { Queue, Worker } from 'bullmq';
import { type Clock, systemClock } from '../../server/core/clock.ts';
import { messageOf } from '../../server/core/errors.ts';
import type { Logger } from '../../server/core/log.ts';
import { type Random, systemRandom } from '../../server/core/random.ts';
import { settlesWithin } from '../../server/core/settles-within.ts';
import { createClockGuard } from './clock-guard.ts';
import { openConnection, redisOptions } from './connection.ts';
import { createJobAttempts, type JobAttempts } from './job-attempts.ts';
import type { JobKind } from './job-kind.ts';
import { createJobLedger } from './job-ledger.ts';
import { createLeaseKeeper, type LeaseKeeper } from './lease-keeper.ts';
import { jobCancelled, leaseLost, workerStopping } from './queue-errors.ts';
import { defaultPrefix, queueKeys } from './queue-keys.ts';
import { createQueueTelemetry } from './queue-telemetry.ts';
import type { QueuedJob } from './queued-job.ts';
import { checkRedisOwner, type RedisOwner } from './redis-claim.ts';
import { createRelayWriter } from './relay.ts';
import { verifyAttempts } from './running-attempt.ts';
import { createUsageMeter } from './usage-meter.ts';
import { createWorkerRegister } from './worker-register.ts';

/** What a worker runs, and where. */
export interface WorkerRunnerOptions {
  /** redis:, rediss: or unix: URL. */
  readonly url: string;
  readonly kinds: readonly JobKind[];
  /** Jobs run at once per queue class; a class that is absent or 0 is not served. */
  readonly slots: Readonly<Record<string, number>>;
  /** Folder for private folders of attempts. */
  readonly workDir: string;
  readonly log: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly prefix?: string;
  /** Whose the Redis must be; absent = anybody's. */
  readonly owner?: RedisOwner;
  /** A job whose worker gives no sign for this long runs elsewhere, in ms. Default 2,500. */
  readonly leaseMs?: number;
  /** How often every worker of a class looks for such jobs, in ms. Default 1,000. */
  readonly stallCheckMs?: number;
  /** A process that computes for longer than this without a pause counts as hung, in ms. Default 30,000. */
  readonly maxBlockMs?: number;
  /** How long an aborted attempt may take to stop, in ms. Default 5,000. */
  readonly abortGraceMs?: number;
  /** Wait before a retry: base doubles per failure up to max, jittered, in ms. Default 500 and 30,000. */
  readonly retryBackoff?: { readonly baseMs: number; readonly maxMs: number };
}

/** A worker at work. */
export interface WorkerRunner {
  /** Jobs that run at this moment. */
  running(): number;
  /** Takes no more jobs, waits up to `deadlineMs` for running ones to end, hands the rest back to the queue. */
  close(deadlineMs: number): Promise<void>;
}

/**
 * Fence and outcome of running jobs are looked at this often, should a cancel message get lost; and so often the worker
 * tells that it takes jobs, in ms.
 */
const verifyIntervalMs = 1_000;
const defaultLeaseMs = 2_500;
const defaultStallCheckMs = 1_000;
const closeTimeoutMs = 5_000;
const leaveTimeoutMs = 1_000;

/**
 * Runs jobs of the given kinds until closed. After kill -9 of a worker its jobs begin again on another one within
 * `leaseMs` + `stallCheckMs`. An outage of Redis is waited out: what a job has finished is told when Redis is back.
 * Throws REDIS_IN_USE.
 */
export async function createWorkerRunner(options: WorkerRunnerOptions): Promise<WorkerRunner> {
  const { url, log, clock = systemClock, prefix = defaultPrefix } = options;
  const keys = queueKeys(prefix);
  const commands = openConnection(url, 'worker', log);
  const { owner } = options;
  if (owner !== undefined) {
    await checkRedisOwner(commands, keys.owner, owner).catch((error: unknown) => {
      commands.disconnect();
      throw error;
    });
  }
  const ledger = createJobLedger(commands, keys, clock);
  const telemetry = createQueueTelemetry();
  const workDir = await claimWorkDir(options.workDir);

  const queues = new Map<string, Queue>();
  const queueOf = (queueClass: string): Queue => {
    const known = queues.get(queueClass);
    if (known !== undefined) return known;
    const queue = new Queue(queueClass, { connection: commands, prefix, telemetry });
    queue.on('error', (error) => log.debug('queue error', { queue: queueClass, error: messageOf(error) }));
    queues.set(queueClass, queue);
    return queue;
  };
  const logs = createRelayWriter({ url, log, clock, prefix, stream: 'logs' });
  const { leaseMs = defaultLeaseMs, stallCheckMs = defaultStallCheckMs, maxBlockMs = 30_000 } = options;
  const leases = createLeaseKeeper({ url, redis: commands, log, leaseMs, maxBlockMs });
  const register = createWorkerRegister(commands, keys);
  const workerId = `${hostname()}/${process.pid}/${randomUUID()}`;
  const attempts = createJobAttempts({
    ledger,
    register,
    workerId,
    queueOf,
    kinds: new Map(options.kinds.map((kind) => [kind.name, kind])),
    clock,
    random: options.random ?? systemRandom,
    log,
    holdLease: (job) => leases.hold(job),
    workDir,
    worker: `${hostname()}/${process.pid}`,
    abortGraceMs: options.abortGraceMs ?? 5_000,
    meter: createUsageMeter(clock),
    sendLog: (line) => logs.write([JSON.stringify(line)]),
    retryBackoff: options.retryBackoff ?? { baseMs: 500, maxMs: 30_000 },
  });
  const subscriber = openConnection(url, 'worker', log);
  subscriber.on('message', (_channel, jobId: string) => {
    for (const attempt of attempts.running()) if (attempt.holder.jobId === jobId) attempt.abort(jobCancelled());
  });
  await Promise.all([subscriber.subscribe(keys.cancelChannel), commands.ping()]);
  const served = Object.entries(options.slots).filter(([, slots]) => slots > 0);
  const classes = served.map(([queueClass]) => queueClass);
  await register.beat(workerId, classes);
  const guard = createClockGuard({ redis: commands, keys, queueOf, classes, clock, log, leaseMs, stallCheckMs });
  let takesJobs = true;
  const stopVerifying = startTurns(clock, async () => {
    try {
      await verifyAttempts(ledger, attempts.running());
      if (takesJobs) await register.beat(workerId, classes);
      await guard.look();
    } catch (error) {
      log.debug('running jobs could not be verified, or the worker not be told of', { error: messageOf(error) });
    }
  });
  const workers = served.map(([queueClass, slots]) =>
    openWorker(options, prefix, queueClass, slots, { attempts, leases }),
  );
  await Promise.all(workers.map((worker) => worker.waitUntilReady()));

  return {
    running: () => attempts.running().length,
    close: async (deadlineMs) => {
      attempts.stopIntake();
      takesJobs = false;
      const closed = Promise.all(workers.map((worker) => worker.close()));
      // While Redis is away nothing comes in and nothing can be handed back: only what runs is worth a wait.
      const isWorthIt = () => commands.status === 'ready' || attempts.running().length > 0;
      if (commands.status === 'ready') await settlesWithin(clock, leaveTimeoutMs, register.leave(workerId, classes));
      if (isWorthIt()) await settlesWithin(clock, deadlineMs, closed);
      const lastWait = isWorthIt() ? closeTimeoutMs + (options.abortGraceMs ?? 5_000) : 0;
      for (const attempt of attempts.running()) attempt.abort(workerStopping());
      await settlesWithin(clock, lastWait, closed);
      stopVerifying();
      await leases.close();
      await settlesWithin(clock, closeTimeoutMs, logs.close());
      await settlesWithin(clock, closeTimeoutMs, Promise.all([...queues.values()].map((queue) => queue.close())));
      subscriber.disconnect();
      commands.disconnect();
      await rm(workDir, { recursive: true, force: true });
    },
  };
}

function openWorker(
  { url, log, leaseMs = defaultLeaseMs, stallCheckMs = defaultStallCheckMs }: WorkerRunnerOptions,
  prefix: string,
  queueClass: string,
  slots: number,
  { attempts, leases }: { readonly attempts: JobAttempts; readonly leases: LeaseKeeper },
): Worker<QueuedJob, null> {
  const worker = new Worker<QueuedJob, null>(queueClass, (job) => attempts.process(job), {
    connection: redisOptions(url, 'worker'),
    prefix,
    concurrency: slots,
    telemetry: createQueueTelemetry(),
    lockDuration: leaseMs,
    stalledInterval: stallCheckMs,
    // Lost workers are counted by the ledger, which knows the kind's limit.
    maxStalledCount: 1_000_000,
    runRetryDelay: 500,
  });
  worker.on('error', (error) => log.debug('worker error', { queue: queueClass, error: messageOf(error) }));
  worker.on('stalled', (jobId) => log.warn('job of a lost worker is queued again', { job_id: jobId }));
  worker.on('lockRenewalFailed', (jobIds) => {
    for (const attempt of attempts.running()) {
      const { jobId } = attempt.holder;
      if (!jobIds.includes(jobId)) continue;
      leases.renew(jobId).then(
        (isOurs) => {
          if (!isOurs && !attempt.parked) attempt.abort(leaseLost());
        },
        (error: unknown) => log.debug('lease could not be renewed', { job_id: jobId, error: messageOf(error) }),
      );
    }
  });
  return worker;
}

/** Does the work again and again, never twice at once. Gives the function that ends it. */
function startTurns(clock: Clock, work: () => Promise<void>): () => void {
  let cancelNext: () => void;
  let stopped = false;
  const turn = async () => {
    await work();
    if (!stopped) cancelNext = clock.schedule(verifyIntervalMs, () => void turn());
  };
  cancelNext = clock.schedule(verifyIntervalMs, () => void turn());
  return () => {
    stopped = true;
    cancelNext();
  };
}

/** This process's own folder; those of processes that are gone are removed. */
async function claimWorkDir(root: string): Promise<string> {
  await mkdir(root, { recursive: true });
  for (const name of await readdir(root)) {
    const pid = /^(\d+)-/.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) await rm(join(root, name), { recursive: true, force: true });
  }
  return await mkdtemp(join(root, `${process.pid}-`));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
