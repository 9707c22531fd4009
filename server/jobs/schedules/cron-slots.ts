import { type CronExpression, CronExpressionParser } from 'cron-parser';
import { Code } from '../../core/codes.ts';
import { AppError, messageOf } from '../../core/errors.ts';
import type { CronTiming } from './schedule-record.ts';
import { findTransition, type OffsetAt, offsetOf } from './zone-offset.ts';

/** Looked back for a first pass of a local time that exists twice. */
const lookBackMs = 6 * 3_600_000;
const maxCached = 2_000;
const cache = new Map<string, CronExpression>();

/**
 * Unix ms of the first slot after `afterMs`; undefined when there is none any more. The expression is walked in local
 * time, one stretch of constant offset after the other (cron-parser's own walk of zones does not come through changes
 * by half an hour). As in Vixie cron, a fixed hour that falls into the gap of a change to summer time comes right after
 * it, and one that exists twice comes once; with an hour field that begins with `*` slots come as time passes.
 * Throws INVALID_ARGUMENT/CRON_INVALID. `seed` gives `H` its place.
 */
export function nextCronSlot(timing: CronTiming, seed: string, afterMs: number): number | undefined {
  const { expression, offsetAt } = read(timing, seed);
  const passes = timing.cron.trim().split(/\s+/).at(-4)?.startsWith('*') ?? false;
  let at = afterMs;
  let local = at + offsetAt(at);
  for (;;) {
    const offset = local - at;
    const nextLocal = nextUtc(expression, local);
    if (nextLocal === undefined) return undefined;
    const next = nextLocal - offset;
    if (offsetAt(next) === offset) {
      if (passes || !isSecondPass(offsetAt, next, nextLocal)) return next;
      at = next;
      local = nextLocal;
      continue;
    }
    const change = findTransition(offsetAt, at, next);
    const newOffset = offsetAt(change);
    if (!passes && nextLocal < change + newOffset) return change;
    // Goes on at the change itself: fixed hours after the local time that was reached, others as time passes.
    const from = passes ? change + newOffset : Math.max(change + offset, change + newOffset);
    local = from - 1;
    at = local - newOffset;
  }
}

function isSecondPass(offsetAt: OffsetAt, atMs: number, localMs: number): boolean {
  const earlierOffset = offsetAt(atMs - lookBackMs);
  const earlier = localMs - earlierOffset;
  return earlier < atMs && offsetAt(earlier) === earlierOffset;
}

function nextUtc(expression: CronExpression, afterMs: number): number | undefined {
  expression.reset(new Date(afterMs));
  try {
    return expression.next().getTime();
  } catch {
    // No further date within the reach of the calendar.
    return undefined;
  }
}

function read({ cron, timeZone }: CronTiming, seed: string): { expression: CronExpression; offsetAt: OffsetAt } {
  try {
    if (cron.trim().split(/\s+/).length < 5) throw new Error('expected five fields, or six with seconds first');
    const key = /h/i.test(cron) ? `${seed} ${cron}` : cron;
    const expression = cache.get(key) ?? CronExpressionParser.parse(cron, { tz: 'UTC', hashSeed: seed });
    if (cache.size >= maxCached) cache.clear();
    cache.set(key, expression);
    return { expression, offsetAt: offsetOf(timeZone || 'UTC') };
  } catch (error) {
    throw new AppError({
      code: Code.INVALID_ARGUMENT,
      reason: 'CRON_INVALID',
      message: `cron expression "${cron}" in zone "${timeZone}" cannot be read: ${messageOf(error)}`,
      metadata: { cron, time_zone: timeZone },
    });
  }
}
