import { cancelledOutcome } from '../../workers/queue/cancel-tree.ts';
import { failureOf, type JobOutcome } from '../../workers/queue/job-outcome.ts';
import type { Clock } from '../core/clock.ts';
import { applyOutcome, end } from './apply-event.ts';
import type { DroppedReason } from './gate/run-strategy.ts';
import { runDropped } from './job-errors.ts';
import type { JobPublisher } from './job-publisher.ts';
import { isTerminal, type JobRecord } from './job-record.ts';
import type { JobStore } from './job-store.ts';

interface JobEndsDeps {
  readonly store: Pick<JobStore, 'get' | 'update'>;
  readonly publisher: Pick<JobPublisher, 'has' | 'push'>;
  readonly clock: Clock;
  /** Called with a job that has ended. */
  readonly onEnded: (job: JobRecord) => void;
}

/** Ends that the server itself decides, not a worker. */
export interface JobEnds {
  /** The job after its end was stored; an ended one as it is. Throws JOB_NOT_FOUND. */
  cancel(id: string): Promise<JobRecord>;
  /** Ends a job that this server itself runs. */
  endFromHere(id: string, outcome: JobOutcome): Promise<void>;
  /** Ends a run that its strategy does not let run, or not any longer. */
  drop(id: string, reason: DroppedReason): Promise<void>;
}

/** The end is stored, then told to `onEnded`. A job whose result is being published counts as ended for all three. */
export function createJobEnds({ store, publisher, clock, onEnded }: JobEndsDeps): JobEnds {
  const cancel = async (id: string): Promise<JobRecord> => {
    let ends = false;
    const job = await store.update(id, (record) => {
      // Work that is done and only waits to be published counts as ended.
      ends = !isTerminal(record.state) && record.publishing === undefined;
      return ends ? applyOutcome(record, cancelledOutcome('JOB_CANCELLED'), clock.now(), false) : undefined;
    });
    if (job === undefined) return store.get(id);
    if (ends) onEnded(job);
    return job;
  };

  const endFromHere = async (id: string, outcome: JobOutcome): Promise<void> => {
    let ends = false;
    const job = await store.update(id, (record) => {
      ends = !isTerminal(record.state) && record.publishing === undefined;
      return ends ? applyOutcome(record, outcome, clock.now(), publisher.has(record.kind)) : undefined;
    });
    if (!ends || job === undefined) return;
    if (job.publishing !== undefined) publisher.push(id);
    else onEnded(job);
  };

  const drop = async (id: string, reason: DroppedReason): Promise<void> => {
    let ends = false;
    const job = await store.update(id, (record) => {
      ends = !isTerminal(record.state) && record.publishing === undefined;
      if (!ends) return undefined;
      if (record.heldBy === undefined)
        return applyOutcome(record, cancelledOutcome('RUN_SUPERSEDED'), clock.now(), false);
      return end({ ...record, error: failureOf(runDropped(reason)) }, 'skipped', [], clock.now());
    });
    if (ends && job !== undefined) onEnded(job);
  };

  return { cancel, endFromHere, drop };
}
