import { jsonDigest } from '../../core/canonical-json.ts';
import type { ScheduleRecord, ScheduleSpec } from './schedule-record.ts';
import { nextSlot } from './slots.ts';

/** A schedule that begins now: slots up to now do not count, but what it has made counts against its limit. */
export function beginSchedule(
  schedule: Omit<ScheduleRecord, 'watermarkMs' | 'anchorMs' | 'nextMs'>,
  now: number,
): ScheduleRecord {
  const begun = { ...schedule, anchorMs: now, watermarkMs: now };
  const nextMs = isUsedUp(schedule) ? undefined : nextSlot(begun, now);
  return { ...begun, ...(nextMs === undefined ? {} : { nextMs }) };
}

/**
 * A schedule with what a caller now says of it. With other times, or after a pause, it begins now; else it keeps its
 * watermark and its rhythm. One that had come to its end goes on from now.
 */
export function changeSchedule(old: ScheduleRecord, spec: ScheduleSpec, now: number): ScheduleRecord {
  const { createMs, runs, owner, lastJob, watermarkMs, anchorMs } = old;
  const kept = {
    createMs,
    runs,
    ...(owner === undefined ? {} : { owner }),
    ...(lastJob === undefined ? {} : { lastJob }),
  };
  // Never before the watermark: the clock may have been set back.
  const from = Math.max(now, watermarkMs);
  const rhythmOf = ({ timing, startMs }: ScheduleSpec) => jsonDigest({ timing, startMs });
  if (old.paused || rhythmOf(old) !== rhythmOf(spec)) return beginSchedule({ ...spec, ...kept }, from);
  const changed = { ...spec, ...kept, watermarkMs, anchorMs };
  const nextMs = isUsedUp(changed) ? undefined : (old.nextMs ?? nextSlot(changed, from));
  const isOver = nextMs === undefined || (spec.endMs !== undefined && nextMs > spec.endMs);
  return { ...changed, ...(isOver ? {} : { nextMs }) };
}

/** True when it has made all the jobs that it may. */
export function isUsedUp({ limit, runs }: Pick<ScheduleRecord, 'limit' | 'runs'>): boolean {
  return limit !== undefined && runs >= limit;
}

/** Whether a caller says the same of both. */
export function isSameSpec(a: ScheduleSpec, b: ScheduleSpec): boolean {
  return digestOf(a) === digestOf(b);
}

function digestOf(spec: ScheduleSpec): string {
  const { id, timing, startMs, endMs, limit, catchUp, make, strategy, sla, paused, startWithinMs } = spec;
  return jsonDigest({ id, timing, startMs, endMs, limit, catchUp, make, strategy, sla, paused, startWithinMs });
}
