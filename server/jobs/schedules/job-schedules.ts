import { metrics } from '@opentelemetry/api';
import { jsonDigest } from '../../core/canonical-json.ts';
import type { Clock } from '../../core/clock.ts';
import { isPermanent } from '../../core/codes.ts';
import { AppError, invalidField, messageOf, notFound } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { RecordsStore } from '../../stores/records/records-store.ts';
import { checkJob, type JobKindInfo } from '../check-job.ts';
import type { Created } from '../create-job-options.ts';
import { jobBusy, scheduleExists } from '../job-errors.ts';
import { decode, encode, isConflict } from '../job-store.ts';
import type { JobTemplates, TemplateJob } from '../templates/job-templates.ts';
import { checkSchedule, jobOfSlot } from './check-schedule.ts';
import { beginSchedule, changeSchedule, isSameSpec, isUsedUp } from './schedule-changes.ts';
import { createScheduleClock } from './schedule-clock.ts';
import type { ScheduleRecord, ScheduleSpec } from './schedule-record.ts';
import { latestSlot, nextSlot, slotsBetween } from './slots.ts';

/** Makes a job of a schedule; the same key gives the same job. */
export type MakeScheduledJob = (
  schedule: ScheduleRecord,
  job: TemplateJob,
  key: string,
  /** When it was due; undefined when it is not made in time but by hand. */
  slotMs: number | undefined,
) => Promise<Created>;

/** What schedules are kept and served with. */
export interface JobSchedulesDeps {
  readonly records: RecordsStore;
  readonly kinds: ReadonlyMap<string, JobKindInfo>;
  readonly templates: JobTemplates;
  readonly clock: Clock;
  readonly log: Logger;
  readonly makeJob: MakeScheduledJob;
  /** The job of a key, when there is one. */
  readonly findJob: (schedule: ScheduleRecord, key: string) => Promise<string | undefined>;
  /** Told how late each slot was begun with, in ms. */
  readonly onLag?: (lagMs: number) => void;
  /** How often schedules of other servers are looked for, in ms. Default 30,000. */
  readonly reloadIntervalMs?: number;
}

interface BackfillRequest {
  readonly fromMs: number;
  readonly toMs?: number;
  readonly limit: number;
  readonly newestFirst: boolean;
  readonly dryRun: boolean;
}

interface BackfilledSlot {
  readonly slotMs: number;
  /** Id of its job; absent in a dry run where there is none. */
  readonly job?: string;
  readonly existed: boolean;
}

/** Schedules, and the jobs that their slots make. */
export interface JobSchedules {
  /** Creates a schedule; the same one again gives the stored one. Throws SCHEDULE_EXISTS, CRON_INVALID, INVALID_FIELDS. */
  create(spec: ScheduleSpec, owner: string): Promise<ScheduleRecord>;
  /** Throws SCHEDULE_NOT_FOUND. */
  get(id: string): Promise<ScheduleRecord>;
  /** By id, after the given one. */
  list(after: string | undefined, limit: number): Promise<ScheduleRecord[]>;
  /** Replaces what a caller says of a schedule. Throws SCHEDULE_NOT_FOUND and what `create` does. */
  update(spec: ScheduleSpec): Promise<ScheduleRecord>;
  /** Throws SCHEDULE_NOT_FOUND. Jobs that it made stay. */
  delete(id: string): Promise<void>;
  /** A job besides the slots. */
  run(id: string, requestId: string): Promise<Created>;
  /** Jobs of slots of the past. Throws INVALID_FIELDS when there are too many. */
  backfill(id: string, request: BackfillRequest): Promise<{ slots: readonly BackfilledSlot[]; total: number }>;
  /** Begins to serve slots. */
  start(): Promise<void>;
  close(): Promise<void>;
}

const partition = 'jobs/schedules';
/** Of the largest schedules, a hundred stay well below what one scan of the records gives. */
const pageSize = 100;
/** A slot that is later than this counts as missed. */
const missedAfterMs = 60_000;
const retryMs = 1_000;
const maxTries = 20;
const maxBackfillSlots = 10_000;

/**
 * Each slot makes at most one job, over crashes and several servers: its time is part of the job's request id. A slot
 * that cannot be dealt with now is tried again every second.
 */
export function createJobSchedules(deps: JobSchedulesDeps): JobSchedules {
  const { records, kinds, templates, clock, log, makeJob, reloadIntervalMs = 30_000 } = deps;
  const lag = metrics.getMeter('showrunner').createHistogram('jobs.schedule_lag', {
    description: 'How late a slot of a schedule was begun with.',
    unit: 'ms',
  });
  const onLag = (lagMs: number) => {
    lag.record(lagMs);
    deps.onLag?.(lagMs);
  };
  const due = createScheduleClock({ clock, onDue, onLag });
  let cancelReload: () => void = () => {};
  let reloading: Promise<void> = Promise.resolve();
  let closed = false;

  const find = async (id: string) => {
    const row = await records.get(partition, id);
    return row === undefined ? undefined : { schedule: decode<ScheduleRecord>(row.value), version: row.version };
  };
  const get = async (id: string) => {
    const found = await find(id);
    if (found === undefined) throw notFound('schedule', `schedules/${id}`);
    return found.schedule;
  };
  const list = async (after: string | undefined, limit: number) => {
    const range = { limit, ...(after === undefined ? {} : { from: `${after}\0` }) };
    return (await records.scan(partition, range)).map((row) => decode<ScheduleRecord>(row.value));
  };
  const serve = (schedule: ScheduleRecord) => due.set(schedule.id, schedule.paused ? undefined : schedule.nextMs);

  async function onDue(id: string): Promise<number | undefined> {
    try {
      return await fire(id);
    } catch (error) {
      // Most likely the store, or too many jobs wait: the slot is not lost, since the watermark stands before it.
      if (!closed) log.warn('slot is tried again', { schedule: id, error: messageOf(error) });
      return clock.now() + retryMs;
    }
  }

  /** Deals with the slot that is due, if one is; gives when the next one is. */
  const fire = async (id: string): Promise<number | undefined> => {
    const found = await find(id);
    if (found === undefined || found.schedule.paused) return undefined;
    const { schedule, version } = found;
    const now = clock.now();
    const first = schedule.nextMs;
    if (first === undefined || first > now) return first;
    const slotMs = schedule.catchUp === 'all' ? first : (latestSlot(schedule, first - 1, now) ?? first);
    const isMissed = schedule.catchUp === 'skip' && now - slotMs > missedAfterMs;
    const made = isMissed ? {} : await makeOf(schedule, slotMs);
    const { lastError: _earlier, nextMs: _due, ...rest } = schedule;
    const runs = schedule.runs + (made.lastJob === undefined ? 0 : 1);
    const nextMs = isUsedUp({ ...schedule, runs }) ? undefined : nextSlot(schedule, slotMs);
    const after = { ...rest, ...made, runs, watermarkMs: slotMs, ...(nextMs === undefined ? {} : { nextMs }) };
    try {
      await records.put(partition, id, encode(after), { ifVersion: version });
      return nextMs;
    } catch (error) {
      if (!isConflict(error)) throw error;
      // Changed meanwhile, or another server dealt with the slot: what is stored now decides.
      return now;
    }
  };
  /** The job of a slot, or why there is none and never will be. */
  const makeOf = async (
    schedule: ScheduleRecord,
    slotMs: number,
  ): Promise<Pick<ScheduleRecord, 'lastJob' | 'lastError'>> => {
    try {
      const job = await jobOfSlot(schedule, templates, slotMs);
      return { lastJob: (await makeJob(schedule, job, String(slotMs), slotMs)).job.id };
    } catch (error) {
      if (!(error instanceof AppError) || !isPermanent(error.code)) throw error;
      log.error('slot makes no job', { schedule: schedule.id, slot_ms: slotMs, error: error.message });
      return { lastError: `${error.reason}: ${error.message}`.slice(0, 1_000) };
    }
  };

  const loadAll = async () => {
    for (let after: string | undefined; !closed; ) {
      const page = await list(after, pageSize);
      for (const schedule of page) serve(schedule);
      after = page.at(-1)?.id;
      if (page.length < pageSize) return;
    }
  };
  const reloadLater = () => {
    cancelReload = clock.schedule(reloadIntervalMs, () => {
      reloading = loadAll()
        .catch((error: unknown) => log.warn('schedules could not be read', { error: messageOf(error) }))
        .finally(() => {
          if (!closed) reloadLater();
        });
    });
  };

  return {
    create: async (spec, owner) => {
      const now = clock.now();
      await checkSchedule(spec, kinds, templates, now);
      const schedule = beginSchedule({ ...spec, createMs: now, runs: 0, ...(owner === '' ? {} : { owner }) }, now);
      try {
        await records.put(partition, spec.id, encode(schedule), { ifVersion: 'absent' });
      } catch (error) {
        if (!isConflict(error)) throw error;
        const there = await find(spec.id);
        if (there === undefined || !isSameSpec(there.schedule, spec)) throw scheduleExists(`schedules/${spec.id}`);
        return there.schedule;
      }
      serve(schedule);
      return schedule;
    },
    get,
    list,
    update: async (spec) => {
      const now = clock.now();
      await get(spec.id);
      await checkSchedule(spec, kinds, templates, now);
      for (let tries = 0; tries < maxTries; tries++) {
        const found = await find(spec.id);
        if (found === undefined) throw notFound('schedule', `schedules/${spec.id}`);
        const schedule = changeSchedule(found.schedule, spec, now);
        try {
          await records.put(partition, spec.id, encode(schedule), { ifVersion: found.version });
          serve(schedule);
          return schedule;
        } catch (error) {
          if (!isConflict(error)) throw error;
        }
      }
      throw jobBusy(`schedules/${spec.id}`);
    },
    delete: async (id) => {
      if (!(await records.delete(partition, id))) throw notFound('schedule', `schedules/${id}`);
      due.set(id, undefined);
    },
    run: async (id, requestId) => {
      const schedule = await get(id);
      // A digest: the key must stay short whatever the length of the id.
      const key = requestId === '' ? '' : `run/${jsonDigest(requestId).slice(0, 32)}`;
      return makeJob(schedule, await jobOfSlot(schedule, templates, clock.now()), key, undefined);
    },
    backfill: async (id, { fromMs, toMs = Number.POSITIVE_INFINITY, limit, newestFirst, dryRun }) => {
      const schedule = await get(id);
      const to = Math.min(toMs, clock.now());
      const all = [...slotsBetween(schedule, fromMs - 1, to, maxBackfillSlots + 1)];
      if (all.length > maxBackfillSlots) {
        throw invalidField('to_time', `must be so near that at most ${maxBackfillSlots} slots lie between`);
      }
      const slots: BackfilledSlot[] = [];
      for (const slotMs of (newestFirst ? all.toReversed() : all).slice(0, limit)) {
        const key = String(slotMs);
        // Also in a dry run, which must tell what would keep the job from being made.
        const jobOfIt = await jobOfSlot(schedule, templates, slotMs);
        if (dryRun) {
          checkJob(jobOfIt.spec, kinds, 'schedule.template');
          const there = await deps.findJob(schedule, key);
          slots.push({ slotMs, existed: there !== undefined, ...(there === undefined ? {} : { job: there }) });
          continue;
        }
        const { job, existed } = await makeJob(schedule, jobOfIt, key, undefined);
        slots.push({ slotMs, job: job.id, existed });
      }
      return { slots, total: all.length };
    },
    start: async () => {
      await loadAll();
      due.start();
      reloadLater();
    },
    close: async () => {
      closed = true;
      cancelReload();
      await reloading;
      await due.close();
    },
  };
}
