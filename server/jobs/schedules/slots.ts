import { nextCronSlot } from './cron-slots.ts';
import type { ScheduleRecord } from './schedule-record.ts';

/** What decides about the slots of a schedule. */
export type SlotRule = Pick<ScheduleRecord, 'id' | 'timing' | 'startMs' | 'endMs' | 'anchorMs'>;

/** Unix ms of the first slot after `afterMs`; undefined when there is none any more. Throws CRON_INVALID. */
export function nextSlot(rule: SlotRule, afterMs: number): number | undefined {
  const { startMs, endMs } = rule;
  const after = startMs === undefined ? afterMs : Math.max(afterMs, startMs - 1);
  const slot = 'cron' in rule.timing ? nextCronSlot(rule.timing, rule.id, after) : nextInterval(rule, after);
  return slot === undefined || (endMs !== undefined && slot > endMs) ? undefined : slot;
}

/** Slots after `afterMs` up to and with `toMs`, oldest first; stops before the `most + 1`st. */
export function* slotsBetween(rule: SlotRule, afterMs: number, toMs: number, most: number): Generator<number> {
  let slot = nextSlot(rule, afterMs);
  for (let i = 0; i < most && slot !== undefined && slot <= toMs; i++) {
    yield slot;
    slot = nextSlot(rule, slot);
  }
}

const firstWindowMs = 60_000;

/** The newest slot after `afterMs` up to and with `toMs`; found without a walk over all those in between. */
export function latestSlot(rule: SlotRule, afterMs: number, toMs: number): number | undefined {
  for (let windowMs = firstWindowMs; ; windowMs *= 4) {
    const from = Math.max(afterMs, toMs - windowMs);
    let latest: number | undefined;
    for (const slot of slotsBetween(rule, from, toMs, Number.POSITIVE_INFINITY)) latest = slot;
    if (latest !== undefined || from === afterMs) return latest;
  }
}

function nextInterval({ timing, startMs, anchorMs }: SlotRule, afterMs: number): number {
  const intervalMs = 'intervalMs' in timing ? timing.intervalMs : 1;
  const first = startMs ?? anchorMs + intervalMs;
  const passed = Math.floor((afterMs - first) / intervalMs) + 1;
  return first + Math.max(0, passed) * intervalMs;
}
