import { context } from '@opentelemetry/api';
import { Queue } from 'bullmq';
import type { Clock } from '../../server/core/clock.ts';
import { AppError, messageOf } from '../../server/core/errors.ts';
import type { Logger } from '../../server/core/log.ts';
import { contextOfTraceparent } from '../../server/core/telemetry/trace-parent.ts';
import { cancelSiblings, cancelTree } from './cancel-tree.ts';
import { openConnection } from './connection.ts';
import { createJobLedger } from './job-ledger.ts';
import type { JobOutcome } from './job-outcome.ts';
import { queueUnavailable } from './queue-errors.ts';
import { type QueueEvent, readQueueEvents } from './queue-events.ts';
import { defaultPrefix, queueKeys } from './queue-keys.ts';
import { createQueueTelemetry } from './queue-telemetry.ts';
import { bullOptions, type QueuedJob } from './queued-job.ts';
import { createRedisClaim, type RedisOwner } from './redis-claim.ts';
import { createRelayReader } from './relay.ts';

interface JobQueueOptions {
  /** redis:, rediss: or unix: URL. */
  readonly url: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly prefix?: string;
  /** Whose the Redis must be; absent = anybody's, for a Redis that only one server can know. */
  readonly owner?: RedisOwner;
}

/** What the queue knows of a job. `missing` = neither queued nor held nor ended: it must be enqueued (again). */
export type QueueState = { readonly ended: JobOutcome } | { readonly ended?: never; readonly missing: boolean };

/** Jobs of one queue class. */
export interface QueueCounts {
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  /** Parked until their children end. */
  readonly parked: number;
}

/** The server's side of the queue. Every method but `events` rejects with QUEUE_UNAVAILABLE while Redis is away. */
export interface JobQueue {
  /** Adds a job; adding the same id again changes nothing. The trace of `traceparent` continues on the worker. */
  enqueue(job: QueuedJob, traceparent?: string): Promise<void>;
  /**
   * Ends a job and its parts: queued ones never run, running ones are aborted within a second.
   * A job with a parent takes its siblings along: the parent fails with this part.
   */
  cancel(jobId: string, queueClass: string, parentId?: string): Promise<JobOutcome>;
  /** The state of each, in order. */
  inspect(jobs: readonly { readonly jobId: string; readonly queueClass: string }[]): Promise<QueueState[]>;
  /** Lets what Redis keeps of an ended job expire. */
  release(jobId: string): Promise<void>;
  /** Jobs of the class by where they stand. */
  counts(queueClass: string): Promise<QueueCounts>;
  /** Events of jobs after that position of the stream, in batches as they come. Outages are waited out. */
  events(after: string, signal: AbortSignal): AsyncGenerator<QueueEvent[]>;
  /** Calls back whenever Redis has come back after an outage. */
  onReconnect(listener: () => void): void;
  /** Hands over log lines of attempts after `from`, in batches as they come, until closed. */
  readLogs(
    from: string,
    onLines: (lines: readonly string[], position: string) => Promise<void>,
  ): { close(): Promise<void> };
  /** True while Redis can be reached. */
  isConnected(): boolean;
  /** Resolves once Redis is there and ours, or is away for `timeoutMs`. Throws REDIS_IN_USE; all else fails then. */
  ready(timeoutMs: number): Promise<void>;
  /** Ends waiting calls with QUEUE_UNAVAILABLE and disconnects. Jobs go on. */
  close(): Promise<void>;
}

const callTimeoutMs = 5_000;

/**
 * Connects in the background and returns at once: calls wait up to 5 s for the first connection, and fail at once
 * during later outages.
 */
export function createJobQueue(options: JobQueueOptions): JobQueue {
  const { url, clock, log, prefix = defaultPrefix, owner } = options;
  const keys = queueKeys(prefix);
  const commands = openConnection(url, 'producer', log);
  const reader = openConnection(url, 'worker', log);
  const ledger = createJobLedger(commands, keys, clock);
  const telemetry = createQueueTelemetry();
  const closing = new AbortController();
  const listeners: (() => void)[] = [];
  let readies = 0;
  const firstReady = Promise.withResolvers<void>();
  const claim = owner && createRedisClaim({ redis: commands, key: keys.owner, owner, clock, log });
  commands.on('ready', async () => {
    try {
      await claim?.renew();
    } catch (error) {
      // The claim goes on trying; when the connection is lost, the next one does too.
      log.debug('redis could not be claimed', { error: messageOf(error) });
      return;
    }
    firstReady.resolve();
    if (readies++ > 0) for (const listener of listeners) listener();
  });

  const queues = new Map<string, Queue>();
  const queueOf = (queueClass: string): Queue => {
    const known = queues.get(queueClass);
    if (known !== undefined) return known;
    const queue = new Queue(queueClass, { connection: commands, prefix, telemetry, skipMetasUpdate: true });
    queue.on('error', (error) => log.debug('queue error', { queue: queueClass, error: messageOf(error) }));
    queues.set(queueClass, queue);
    // A connection that broke during its first commands leaves a queue that never works: the next call makes another.
    queue.waitUntilReady().catch(() => queues.delete(queueClass));
    return queue;
  };

  /** Fails fast while Redis is away, and bounds the wait for it. */
  const call = async <T>(work: () => Promise<T>): Promise<T> => {
    if (closing.signal.aborted || (commands.status !== 'ready' && readies > 0)) throw queueUnavailable();
    const done = new AbortController();
    const late = clock.sleep(callTimeoutMs, AbortSignal.any([done.signal, closing.signal])).then(
      () => Promise.reject(queueUnavailable()),
      () => Promise.reject(queueUnavailable()),
    );
    late.catch(() => {});
    try {
      const ours = firstReady.promise.then(() => {
        const refusal = claim?.refusal();
        if (refusal !== undefined) throw queueUnavailable(refusal);
        return work();
      });
      return await Promise.race([ours, late]);
    } catch (error) {
      throw error instanceof AppError ? error : queueUnavailable(error);
    } finally {
      done.abort();
    }
  };

  return {
    enqueue: (job, traceparent = '') =>
      call(() =>
        context.with(contextOfTraceparent(traceparent), async () => {
          const [turn = 1] = await ledger.takeTurns(job, 1);
          await queueOf(job.queueClass).add(job.kind, job, bullOptions(job, turn));
        }),
      ),
    cancel: (jobId, queueClass, parentId) =>
      call(async () => {
        const outcome = await cancelTree({ ledger, queueOf }, jobId, queueClass, 'JOB_CANCELLED');
        if (parentId !== undefined) await cancelSiblings({ ledger, queueOf }, parentId);
        return outcome;
      }),
    inspect: (jobs) =>
      call(async () => {
        // States first: whoever ends a job writes the outcome before it leaves the queue.
        const states = await Promise.all(jobs.map(({ jobId, queueClass }) => queueOf(queueClass).getJobState(jobId)));
        const entries = await ledger.inspect(jobs.map(({ jobId }) => jobId));
        return entries.map(({ outcome }, index): QueueState => {
          if (outcome !== undefined) return { ended: outcome };
          return { missing: ['unknown', 'completed', 'failed'].includes(states[index] ?? 'unknown') };
        });
      }),
    release: (jobId) => call(() => ledger.release(jobId)),
    counts: (queueClass) =>
      call(async () => {
        const counts = await queueOf(queueClass).getJobCounts(
          'wait',
          'prioritized',
          'active',
          'delayed',
          'waiting-children',
        );
        const of = (name: string) => counts[name] ?? 0;
        return {
          waiting: of('wait') + of('prioritized'),
          active: of('active'),
          delayed: of('delayed'),
          parked: of('waiting-children'),
        };
      }),
    events: (after, signal) => {
      const either = AbortSignal.any([signal, closing.signal]);
      return readQueueEvents({ redis: reader, ledger, stream: keys.events, clock, log }, after, either);
    },
    onReconnect: (listener) => void listeners.push(listener),
    readLogs: (from, onLines) => createRelayReader({ url, clock, log, prefix, stream: 'logs', from }, onLines),
    isConnected: () => commands.status === 'ready',
    ready: async (timeoutMs) => {
      const enough = new AbortController();
      const late = clock.sleep(timeoutMs, AbortSignal.any([enough.signal, closing.signal])).catch(() => {});
      await Promise.race([firstReady.promise, late]);
      enough.abort();
      await claim?.confirm(closing.signal);
    },
    close: async () => {
      await claim?.close();
      closing.abort();
      reader.disconnect();
      for (const queue of queues.values()) await queue.close().catch(() => {});
      commands.disconnect();
    },
  };
}
