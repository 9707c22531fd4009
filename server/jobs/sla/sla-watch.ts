import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import { isTerminal, type JobRecord, type SlaPromise } from '../job-record.ts';
import type { JobStore } from '../job-store.ts';
import { createScheduleClock } from '../schedules/schedule-clock.ts';

interface SlaWatchDeps {
  readonly store: Pick<JobStore, 'find' | 'update'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Told of each missed promise, at least once. */
  readonly onMiss: (job: JobRecord, promise: SlaPromise) => Promise<void>;
}

/** Notices missed promises at the moment at which they are missed, while the job still waits or runs. */
export interface SlaWatch {
  /** Watches a job that has promises; the same one again changes nothing. */
  add(job: JobRecord): void;
  /** Tells what a job that has ended missed unseen, e.g. while no server was there. Repeating it is harmless. */
  settle(job: JobRecord): Promise<void>;
  start(): void;
  close(): Promise<void>;
}

const retryMs = 1_000;

/**
 * A miss is told first and noted in the job after, so that a crash in between tells it again. Where telling fails it is
 * tried again every second.
 */
export function createSlaWatch({ store, clock, log, onMiss }: SlaWatchDeps): SlaWatch {
  const tell = async (job: JobRecord, promise: SlaPromise) => {
    const untilMs = untilOf(job, promise);
    await onMiss(job, promise);
    await store.update(job.id, (record) => {
      // What ended in time, as its worker tells late, was no miss.
      const isKept = isTerminal(record.state) && !lateAtEnd(record).includes(promise);
      if (isKept || record.slaMissed?.includes(promise)) return undefined;
      const slaMissed = [...(record.slaMissed ?? []), promise];
      return { record: { ...record, slaMissed }, events: [{ slaMissed: promise, untilMs }], atMs: clock.now() };
    });
    log.warn('job has missed a promise', { job_id: job.id, job_kind: job.kind, promise });
  };
  const look = async (id: string): Promise<number | undefined> => {
    const job = await store.find(id);
    if (job === undefined || isTerminal(job.state)) return undefined;
    const now = clock.now();
    for (const promise of openPromises(job)) {
      if (untilOf(job, promise) <= now) await tell(job, promise);
    }
    const after = await store.find(id);
    return after === undefined ? undefined : nextOf(after);
  };
  const due = createScheduleClock({
    clock,
    onDue: async (id) => {
      try {
        return await look(id);
      } catch (error) {
        log.warn('promises of a job are looked at again', { job_id: id, error: messageOf(error) });
        return clock.now() + retryMs;
      }
    },
  });
  return {
    add: (job) => due.set(job.id, nextOf(job)),
    settle: async (job) => {
      due.set(job.id, undefined);
      for (const promise of lateAtEnd(job)) if (!job.slaMissed?.includes(promise)) await tell(job, promise);
    },
    start: due.start,
    close: due.close,
  };
}

/** Promises that can still be missed. */
function openPromises(job: JobRecord): SlaPromise[] {
  const open: SlaPromise[] = [];
  if (job.mustStartMs !== undefined && job.startMs === undefined) open.push('start');
  if (job.mustFinishMs !== undefined) open.push('finish');
  return open.filter((promise) => !job.slaMissed?.includes(promise));
}

/** Promises that a job which has ended did not keep. */
function lateAtEnd(job: JobRecord): SlaPromise[] {
  const { startMs, endMs = 0 } = job;
  const late: SlaPromise[] = [];
  if ((startMs ?? endMs) > untilOf(job, 'start')) late.push('start');
  if (endMs > untilOf(job, 'finish')) late.push('finish');
  return late;
}

/** When the promise is missed, in Unix ms; infinity when it was not made. */
export function untilOf(job: JobRecord, promise: SlaPromise): number {
  return (promise === 'start' ? job.mustStartMs : job.mustFinishMs) ?? Number.POSITIVE_INFINITY;
}

function nextOf(job: JobRecord): number | undefined {
  if (isTerminal(job.state)) return undefined;
  const times = openPromises(job).map((promise) => untilOf(job, promise));
  return times.length === 0 ? undefined : Math.min(...times);
}
