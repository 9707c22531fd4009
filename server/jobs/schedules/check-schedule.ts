import type { Json } from '../../../workers/queue/job-kind.ts';
import { type FieldViolation, invalidFields } from '../../core/errors.ts';
import { checkJob, type JobKindInfo } from '../check-job.ts';
import { resolveReferences } from '../expressions/resolve-references.ts';
import type { JobTemplates, TemplateJob } from '../templates/job-templates.ts';
import type { ScheduleSpec } from './schedule-record.ts';
import { nextSlot } from './slots.ts';

const minIntervalMs = 1_000;
const maxLimit = 1_000_000_000;

/**
 * Checks a schedule, also what it would make in a slot of now. Throws INVALID_FIELDS, CRON_INVALID, JOB_KIND_UNKNOWN,
 * TEMPLATE_NOT_FOUND, REFERENCE_INVALID, REFERENCE_UNKNOWN.
 */
export async function checkSchedule(
  spec: ScheduleSpec,
  kinds: ReadonlyMap<string, JobKindInfo>,
  templates: JobTemplates,
  nowMs: number,
): Promise<void> {
  const faults: FieldViolation[] = [];
  const fault = (field: string, description: string) => faults.push({ field: `schedule.${field}`, description });
  const { timing, startMs, endMs, limit, startWithinMs } = spec;
  if ('cron' in timing && !isTimeZone(timing.timeZone || 'UTC')) {
    fault('time_zone', `must be an IANA time zone, got "${timing.timeZone.slice(0, 64)}"`);
  }
  if ('intervalMs' in timing && !(timing.intervalMs >= minIntervalMs)) fault('interval', 'must be at least 1 s');
  if (startWithinMs !== undefined && startWithinMs < 0) fault('start_within', 'must not be negative');
  if (startMs !== undefined && endMs !== undefined && endMs < startMs)
    fault('end_time', 'must not be before start_time');
  if (limit !== undefined && !(limit >= 1 && limit <= maxLimit)) fault('limit', `must be 0 to ${maxLimit}`);
  if (faults.length > 0) throw invalidFields(faults);
  nextSlot({ ...spec, anchorMs: nowMs }, nowMs);
  const { spec: job } = await jobOfSlot(spec, templates, nowMs);
  checkJob(job, kinds, 'schedule.template');
}

/** The job that a schedule makes in a slot. Throws TEMPLATE_NOT_FOUND, INVALID_FIELDS, REFERENCE_UNKNOWN. */
export async function jobOfSlot(schedule: ScheduleSpec, templates: JobTemplates, slotMs: number): Promise<TemplateJob> {
  const { id, make, strategy, sla } = schedule;
  const scope = { slot: slotScope(schedule, slotMs) };
  const own = {
    ...(strategy === undefined ? {} : { gate: { scope: `schedule/${id}`, strategy } }),
    ...(sla === undefined ? {} : { sla }),
  };
  if ('job' in make) {
    const params = resolveReferences(make.job.params, scope, 'schedule.template.params');
    return { spec: { ...make.job, params }, policy: own };
  }
  const { template, params, labels } = make.run;
  const resolved = resolveReferences(params, scope, 'schedule.run.params');
  const { spec, policy } = templates.instantiate(
    await templates.get(template),
    resolved,
    labels,
    'schedule.run.params',
  );
  return { spec, policy: { ...policy, ...own } };
}

function slotScope({ timing }: ScheduleSpec, slotMs: number): Json {
  const timeZone = 'cron' in timing ? timing.timeZone || 'UTC' : 'UTC';
  return {
    time: new Date(slotMs).toISOString(),
    // The locale writes dates as ISO 8601 does.
    date: new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short' }).format(slotMs),
    unixMs: slotMs,
  };
}

/** Aliases (e.g. `UTC`, `Asia/Calcutta`) are known to Intl without being listed. */
function isTimeZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: zone }).resolvedOptions().timeZone !== '' && !/^[+-]/.test(zone);
  } catch {
    return false;
  }
}
