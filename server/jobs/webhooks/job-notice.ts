import type { JobRecord, SlaPromise } from '../job-record.ts';
import { untilOf } from '../sla/sla-watch.ts';
import type { JobNotice } from './webhook.ts';

/** The notice of a job's end. */
export function endNotice(job: JobRecord): JobNotice {
  const { reason = '', message = '' } = job.error ?? {};
  return { ...common(job, 'ended'), atMs: job.endMs ?? job.createMs, event: 'ended', reason, message };
}

/** The notice of a missed promise. */
export function missNotice(job: JobRecord, promise: SlaPromise): JobNotice {
  const untilMs = untilOf(job, promise);
  return { ...common(job, `sla-${promise}`), atMs: untilMs, event: 'sla_missed', promise, untilMs };
}

function common({ id, kind, state, owner = '', labels, template, schedule }: JobRecord, what: string) {
  return {
    id: `${id}/${what}`,
    job: `jobs/${id}`,
    kind,
    state,
    owner,
    labels,
    template: template === undefined ? '' : `templates/${template}`,
    schedule: schedule === undefined ? '' : `schedules/${schedule}`,
  };
}
