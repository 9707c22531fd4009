import type { Events } from '../events/create-events.ts';
import type { Jobs } from '../jobs/jobs.ts';

/** Puts ends of jobs and missed promises on the bus. Told at least once: ids are derived from the job. */
export function announceJobs(jobs: Pick<Jobs, 'onNotice'>, events: Pick<Events, 'publish'>): void {
  jobs.onNotice(async (notice) => {
    const { job, kind, state, owner, labels, template, schedule } = notice;
    // What a repetition tells must be the same: the state of a job that goes on is not.
    const more =
      notice.event === 'ended'
        ? { state, reason: notice.reason }
        : { promise: notice.promise, until: new Date(notice.untilMs).toISOString() };
    await events.publish({
      eventId: `job-${notice.id.replaceAll('/', '-')}`,
      kind: notice.event === 'ended' ? 'job.ended' : 'job.sla-missed',
      subject: job,
      occurredMs: notice.atMs,
      data: { kind, owner, labels: { ...labels }, template, schedule, ...more },
    });
  });
}
