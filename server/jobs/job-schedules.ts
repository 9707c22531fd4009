import { nextSlot } from '../../workers/queue/cron-schedules.ts';
import type { JobQueue } from '../../workers/queue/job-queue.ts';
import { jsonDigest } from '../core/canonical-json.ts';
import type { Clock } from '../core/clock.ts';
import { invalidField, messageOf, notFound } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { RecordsStore } from '../stores/records/records-store.ts';
import { checkJob, type JobKindInfo, type JobSpec } from './check-job.ts';
import { scheduleExists } from './job-errors.ts';
import { decode, encode, isConflict } from './job-store.ts';

/** What a caller says of a schedule. */
export interface ScheduleSpec {
  readonly id: string;
  readonly cron: string;
  /** IANA zone; empty = UTC. */
  readonly timeZone: string;
  readonly template: JobSpec;
  readonly paused: boolean;
  /** How late a job may start before its slot is skipped, in ms; absent = no limit. */
  readonly startWithinMs?: number;
}

export interface ScheduleRecord extends ScheduleSpec {
  readonly createMs: number;
  /** Id of the job made last. */
  readonly lastJob?: string;
}

/** Makes the job of a slot; the same slot gives the same job. */
export type MakeSlotJob = (schedule: ScheduleRecord, slotMs: number) => Promise<{ readonly id: string }>;

export interface JobSchedulesDeps {
  readonly records: RecordsStore;
  readonly queue: JobQueue;
  readonly kinds: ReadonlyMap<string, JobKindInfo>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly makeJob: MakeSlotJob;
}

export interface JobSchedules {
  /** Creates a schedule; the same one again gives the stored one. Throws SCHEDULE_EXISTS, CRON_INVALID, INVALID_FIELDS. */
  create(spec: ScheduleSpec): Promise<ScheduleRecord>;
  /** Throws SCHEDULE_NOT_FOUND. */
  get(id: string): Promise<ScheduleRecord>;
  /** By id, after the given one. */
  list(after: string | undefined, limit: number): Promise<ScheduleRecord[]>;
  /** Throws SCHEDULE_NOT_FOUND. Jobs that it made stay. */
  delete(id: string): Promise<void>;
  /** Unix ms of the next slot; undefined while paused. */
  nextMs(schedule: ScheduleRecord): number | undefined;
  /** Begins to serve slots and sets what the queue has lost, now and whenever Redis comes back. */
  start(): void;
}

const partition = 'jobs/schedules';
const pageSize = 500;

export function createJobSchedules(deps: JobSchedulesDeps): JobSchedules {
  const { records, queue, kinds, clock, log } = deps;
  const find = async (id: string) => {
    const row = await records.get(partition, id);
    return row === undefined ? undefined : { schedule: decode<ScheduleRecord>(row.value), version: row.version };
  };
  const list = async (after: string | undefined, limit: number) => {
    const range = { limit, ...(after === undefined ? {} : { from: `${after}\0` }) };
    return (await records.scan(partition, range)).map((row) => decode<ScheduleRecord>(row.value));
  };
  /** The record is the truth; while Redis is away the queue learns of it later. */
  const tellQueue = async (schedule: ScheduleRecord) => {
    const { id, cron, timeZone } = schedule;
    try {
      await (schedule.paused ? queue.removeSchedule(id) : queue.setSchedule({ id, cron, timeZone: zoneOf(timeZone) }));
    } catch (error) {
      log.warn('schedule is set when the queue is back', { schedule: id, error: messageOf(error) });
    }
  };
  const setAll = async () => {
    for (let after: string | undefined; ; ) {
      const page = await list(after, pageSize);
      for (const schedule of page) await tellQueue(schedule);
      after = page.at(-1)?.id;
      if (page.length < pageSize) return;
    }
  };
  const fire = async (id: string, slotMs: number) => {
    const found = await find(id);
    if (found === undefined) {
      await queue.removeSchedule(id);
      return;
    }
    if (found.schedule.paused) return;
    const job = await deps.makeJob(found.schedule, slotMs);
    await records
      .put(partition, id, encode({ ...found.schedule, lastJob: job.id }), { ifVersion: found.version })
      .catch((error: unknown) => {
        // Deleted or fired meanwhile: the newer row stands.
        if (!isConflict(error)) throw error;
      });
  };

  return {
    create: async (spec) => {
      const spoken = zoneOf(spec.timeZone);
      if (!Intl.supportedValuesOf('timeZone').includes(spoken) && !isTimeZone(spoken)) {
        throw invalidField('schedule.time_zone', `must be an IANA time zone, got "${spec.timeZone.slice(0, 64)}"`);
      }
      nextSlot({ cron: spec.cron, timeZone: spoken }, clock.now());
      if (spec.startWithinMs !== undefined && spec.startWithinMs < 0) {
        throw invalidField('schedule.start_within', 'must not be negative');
      }
      checkJob(spec.template, kinds, 'schedule.template');
      const schedule: ScheduleRecord = { ...spec, createMs: clock.now() };
      try {
        await records.put(partition, spec.id, encode(schedule), { ifVersion: 'absent' });
      } catch (error) {
        if (!isConflict(error)) throw error;
        const there = await find(spec.id);
        if (there === undefined || digestOf(there.schedule) !== digestOf(schedule)) {
          throw scheduleExists(`schedules/${spec.id}`);
        }
        return there.schedule;
      }
      await tellQueue(schedule);
      return schedule;
    },
    get: async (id) => {
      const found = await find(id);
      if (found === undefined) throw notFound('schedule', `schedules/${id}`);
      return found.schedule;
    },
    list,
    delete: async (id) => {
      if (!(await records.delete(partition, id))) throw notFound('schedule', `schedules/${id}`);
      // A slot that fires for a schedule without a record removes it from the queue.
      await queue.removeSchedule(id).catch((error: unknown) => {
        log.warn('schedule is removed when it fires next', { schedule: id, error: messageOf(error) });
      });
    },
    nextMs: ({ paused, cron, timeZone }) =>
      paused ? undefined : nextSlot({ cron, timeZone: zoneOf(timeZone) }, clock.now()),
    start: () => {
      const set = () =>
        void setAll().catch((error: unknown) => log.error('schedules could not be set', { error: messageOf(error) }));
      queue.onSlot(fire);
      queue.onReconnect(set);
      set();
    },
  };
}

function zoneOf(timeZone: string): string {
  return timeZone === '' ? 'UTC' : timeZone;
}

/** Aliases (e.g. `UTC`, `Asia/Calcutta`) are known to Intl without being listed. */
function isTimeZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: zone }).resolvedOptions().timeZone !== '' && !/^[+-]/.test(zone);
  } catch {
    return false;
  }
}

function digestOf({ id, cron, timeZone, template, paused, startWithinMs }: ScheduleSpec): string {
  return jsonDigest({ id, cron, timeZone: zoneOf(timeZone), template, paused, startWithinMs });
}
