import type { JobProgress } from '../../workers/queue/job-kind.ts';
import type { JobRecord } from './job-record.ts';

/** Share of the rest of a job's progress that its parts fill while it waits for them. */
const partsShare = 0.9;

/** While a job waits for its parts, their ends are its progress; and what keeps them from being taken, where it is known. */
export function partsProgress(parts: NonNullable<JobRecord['parts']>, progress: JobProgress | undefined): JobProgress {
  const { total, done, baseFraction, unserved = [] } = parts;
  const fraction = baseFraction + (1 - baseFraction) * partsShare * (total === 0 ? 0 : done / total);
  const waits = unserved.length === 0 ? '' : `; no worker took ${unserved.join(', ')} when they were queued`;
  return {
    fraction: Math.max(fraction, progress?.fraction ?? 0),
    stage: progress?.stage ?? 'parts',
    message: `${done} of ${total} parts done${waits}`,
    detail: { parts_done: done, parts_total: total },
  };
}
