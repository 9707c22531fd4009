import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Job } from 'bullmq';
import type { Redis } from 'ioredis';
import { messageOf } from '../../server/core/errors.ts';
import type { Logger } from '../../server/core/log.ts';
import { renewLease } from './renew-lease.ts';

/** A lock of BullMQ that this process holds. */
export interface HeldLease {
  readonly lockKey: string;
  readonly stalledKey: string;
  readonly activeKey: string;
  readonly jobId: string;
  readonly token: string;
}

/** What the thread is started with. `beat` counts turns of the main thread's event loop. */
export interface LeaseKeeperData {
  readonly url: string;
  readonly leaseMs: number;
  readonly maxBlockMs: number;
  readonly beat: Int32Array;
}

/** Keeps leases of the jobs that run on this process. */
export interface LeaseKeeper {
  /** Keeps the job's lease until the returned function is called. */
  hold(job: Job): () => void;
  /** Renews the lease of a held job at once, also one that has just run out; false when the job is another's by now. */
  renew(jobId: string): Promise<boolean>;
  /** Ends the thread; leases then run out. */
  close(): Promise<void>;
}

interface LeaseKeeperOptions {
  readonly url: string;
  readonly redis: Redis;
  readonly log: Logger;
  readonly leaseMs: number;
  /** A main thread that has been busy for longer than this counts as hung, in ms. */
  readonly maxBlockMs: number;
}

const beatIntervalMs = 200;

/**
 * Renews leases from a thread of its own. BullMQ renews them on the main thread, where a few seconds of computing
 * or of parsing a large file would cost the job its short lease. A killed or stopped process still loses them at
 * once, and a main thread that hangs loses them after `maxBlockMs`.
 */
export function createLeaseKeeper({ url, redis, log, leaseMs, maxBlockMs }: LeaseKeeperOptions): LeaseKeeper {
  const beat = new Int32Array(new SharedArrayBuffer(4));
  const data: LeaseKeeperData = { url, leaseMs, maxBlockMs, beat };
  const file = fileURLToPath(new URL('lease-keeper-thread.ts', import.meta.url));
  // No options of the process: its telemetry preload would be loaded a second time.
  const thread = new Worker(file, { workerData: data, execArgv: ['--disable-warning=ExperimentalWarning'] });
  thread.on('error', (error) => log.error('lease keeper failed', { error: messageOf(error) }));
  thread.unref();
  const timer = setInterval(() => Atomics.add(beat, 0, 1), beatIntervalMs);
  timer.unref();
  const held = new Map<string, HeldLease>();

  return {
    hold: (job) => {
      const base = `${job.queueQualifiedName}:`;
      const jobId = job.id ?? '';
      const lease: HeldLease = {
        lockKey: `${base}${jobId}:lock`,
        stalledKey: `${base}stalled`,
        activeKey: `${base}active`,
        jobId,
        token: job.token ?? '',
      };
      held.set(jobId, lease);
      thread.postMessage({ hold: lease });
      return () => {
        if (held.get(jobId) === lease) held.delete(jobId);
        thread.postMessage({ drop: lease });
      };
    },
    renew: async (jobId) => {
      const lease = held.get(jobId);
      return lease !== undefined && renewLease(redis, lease, leaseMs);
    },
    close: async () => {
      clearInterval(timer);
      await thread.terminate();
    },
  };
}
