import { defaultRepeatStrategy, type Queue, Worker } from 'bullmq';
import { Code } from '../../server/core/codes.ts';
import { AppError, messageOf } from '../../server/core/errors.ts';
import type { Logger } from '../../server/core/log.ts';
import { redisOptions } from './connection.ts';
import { createQueueTelemetry } from './queue-telemetry.ts';

/** A clock schedule as the queue knows it. */
export interface CronSchedule {
  /** [a-z0-9-]. */
  readonly id: string;
  /** Five fields, or six with seconds first. */
  readonly cron: string;
  /** IANA zone. */
  readonly timeZone: string;
}

/** The queue class on which slots fire. */
export const scheduleClass = 'schedules';

/**
 * Unix ms of the first slot after `afterMs`; undefined when there is none any more.
 * Throws INVALID_ARGUMENT/CRON_INVALID for an expression or zone that cannot be read.
 */
export function nextSlot({ cron, timeZone }: Omit<CronSchedule, 'id'>, afterMs: number): number | undefined {
  try {
    if (cron.trim().split(/\s+/).length < 5) throw new Error('expected five fields, or six with seconds first');
    const next: unknown = defaultRepeatStrategy(afterMs, { pattern: cron, tz: timeZone });
    return typeof next === 'number' ? next : undefined;
  } catch (error) {
    throw new AppError({
      code: Code.INVALID_ARGUMENT,
      reason: 'CRON_INVALID',
      message: `cron expression "${cron}" in zone "${timeZone}" cannot be read: ${messageOf(error)}`,
      metadata: { cron, time_zone: timeZone },
    });
  }
}

/** Sets or replaces a schedule; setting the same one again keeps its next slot. */
export async function setSchedule(queue: Queue, { id, cron, timeZone }: CronSchedule): Promise<void> {
  const there = await queue.getJobScheduler(id);
  if (there?.pattern === cron && there.tz === timeZone && there.next !== undefined) return;
  await queue.upsertJobScheduler(
    id,
    { pattern: cron, tz: timeZone },
    {
      name: 'slot',
      data: {},
      opts: {
        attempts: 20,
        backoff: { type: 'exponential', delay: 500, jitter: 0.5 },
        removeOnComplete: true,
        removeOnFail: { count: 100 },
      },
    },
  );
}

/** Calls `onSlot` for each slot, again after a failure; the same slot may come twice. Gives the way to end it. */
export function openScheduleWorker(
  { url, prefix, log }: { url: string; prefix: string; log: Logger },
  onSlot: (scheduleId: string, slotMs: number) => Promise<void>,
): { close(): Promise<void> } {
  const worker = new Worker<object, null>(
    scheduleClass,
    async (job) => {
      const slotMs = Number(job.id?.split(':').at(-1));
      if (job.repeatJobKey !== undefined && Number.isFinite(slotMs)) await onSlot(job.repeatJobKey, slotMs);
      return null;
    },
    {
      connection: redisOptions(url, 'worker'),
      prefix,
      concurrency: 4,
      telemetry: createQueueTelemetry(),
      lockDuration: 10_000,
      stalledInterval: 2_000,
      maxStalledCount: 1_000,
      runRetryDelay: 500,
    },
  );
  worker.on('error', (error) => log.debug('schedule worker error', { error: messageOf(error) }));
  worker.on('failed', (job, error) => log.error('scheduled slot failed', { schedule: job?.repeatJobKey, error }));
  return { close: () => worker.close(true) };
}
