import type { MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { JobSchedule_CatchUp, type JobScheduleSchema } from '../../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import {
  BackfillScheduleRequest_Order,
  type JobService,
} from '../../../proto/gen/showrunner/jobs/v1/job_service_pb.ts';
import type { Json } from '../../../workers/queue/job-kind.ts';
import { invalidField } from '../../core/errors.ts';
import { readPageSize } from '../../rpc/edge/page-size.ts';
import { encodePageToken, readPageToken } from '../../rpc/edge/page-token.ts';
import { readResourceName, slugId } from '../../rpc/edge/resource-name.ts';
import { readDuration, readTimestamp, toDuration, toTimestamp } from '../../rpc/edge/wkt-time.ts';
import type { ServiceImplementation } from '../../rpc/handler.ts';
import { toJobMessage } from '../job-message.ts';
import type { Jobs } from '../jobs.ts';
import type { CatchUp, ScheduleRecord, ScheduleSpec, Timing } from '../schedules/schedule-record.ts';
import { pageSizes } from './page-sizes.ts';
import { readJobSpec } from './read-job-spec.ts';
import { readStrategy, toStrategyMessage } from './read-limits.ts';
import { readSla, toSlaMessage } from './sla-message.ts';

type ScheduleHandlers = Pick<
  ServiceImplementation<typeof JobService>,
  | 'createSchedule'
  | 'getSchedule'
  | 'listSchedules'
  | 'updateSchedule'
  | 'deleteSchedule'
  | 'runSchedule'
  | 'backfillSchedule'
  | 'unblockSchedule'
>;

type ScheduleMessage = MessageShape<typeof JobScheduleSchema>;

const maxBackfill = 1_000;
const defaultBackfill = 100;

/** The methods of JobService about schedules. */
export function scheduleHandlers({ schedules, gate }: Jobs): ScheduleHandlers {
  const show = async (schedule: ScheduleRecord) =>
    toScheduleMessage(schedule, await gate.blockedBy(`schedule/${schedule.id}`));
  return {
    createSchedule: async ({ schedule }, { principal }) => ({
      schedule: await show(await schedules.create(readSchedule(schedule), principal?.id ?? '')),
    }),
    getSchedule: async ({ name }) => ({ schedule: await show(await schedules.get(idOf(name))) }),
    listSchedules: async (request) => {
      const size = readPageSize(request.pageSize, pageSizes);
      const found = await schedules.list(readPageToken('schedules', request.pageToken), size + 1);
      const page = found.slice(0, size);
      return {
        schedules: await Promise.all(page.map(show)),
        nextPageToken: found.length > size ? encodePageToken('schedules', page.at(-1)?.id ?? '') : '',
      };
    },
    updateSchedule: async ({ schedule }) => ({
      schedule: await show(await schedules.update(readSchedule(schedule))),
    }),
    deleteSchedule: async ({ name }) => {
      await schedules.delete(idOf(name));
      return {};
    },
    runSchedule: async ({ name, requestId }) => {
      const { job, existed } = await schedules.run(idOf(name), requestId);
      return { job: toJobMessage(job), existed };
    },
    backfillSchedule: async (request) => {
      const fromMs = readTimestamp('from_time', request.fromTime);
      const toMs = readTimestamp('to_time', request.toTime);
      if (fromMs === undefined) throw invalidField('from_time', 'must be set');
      if (toMs !== undefined && toMs < fromMs) throw invalidField('to_time', 'must not be before from_time');
      if (request.limit < 0 || request.limit > maxBackfill) throw invalidField('limit', `must be 0 to ${maxBackfill}`);
      if (!Object.values<number>(BackfillScheduleRequest_Order).includes(request.order)) {
        throw invalidField('order', 'must be an order');
      }
      const { slots, total } = await schedules.backfill(idOf(request.name), {
        fromMs,
        ...(toMs === undefined ? {} : { toMs }),
        limit: request.limit || defaultBackfill,
        newestFirst: request.order === BackfillScheduleRequest_Order.NEWEST_FIRST,
        dryRun: request.dryRun,
      });
      return {
        slots: slots.map(({ slotMs, job, existed }) => ({
          time: toTimestamp(slotMs),
          job: job === undefined ? '' : `jobs/${job}`,
          existed,
        })),
        totalSlots: total,
      };
    },
    unblockSchedule: async ({ name }) => {
      const schedule = await schedules.get(idOf(name));
      await gate.unblock(`schedule/${schedule.id}`);
      return { schedule: await show(schedule) };
    },
  };
}

function idOf(name: string, field = 'name'): string {
  return readResourceName(field, name, ['schedules'], slugId)[0];
}

function readSchedule(schedule: ScheduleMessage | undefined): ScheduleSpec {
  if (schedule === undefined) throw invalidField('schedule', 'must be set');
  const startWithinMs = readDuration('schedule.start_within', schedule.startWithin);
  const startMs = readTimestamp('schedule.start_time', schedule.startTime);
  const endMs = readTimestamp('schedule.end_time', schedule.endTime);
  const strategy = readStrategy(schedule.strategy, 'schedule.strategy');
  const sla = readSla(schedule.sla, 'schedule.sla');
  return {
    id: idOf(schedule.name, 'schedule.name'),
    timing: readTiming(schedule),
    catchUp: readCatchUp(schedule.catchUp),
    make: readMake(schedule),
    paused: schedule.paused,
    ...(startMs === undefined ? {} : { startMs }),
    ...(endMs === undefined ? {} : { endMs }),
    ...(schedule.limit === 0 ? {} : { limit: schedule.limit }),
    ...(strategy === undefined ? {} : { strategy }),
    ...(sla === undefined ? {} : { sla }),
    ...(startWithinMs === undefined ? {} : { startWithinMs }),
  };
}

function readTiming({ cron, timeZone, interval }: ScheduleMessage): Timing {
  const intervalMs = readDuration('schedule.interval', interval);
  if (intervalMs === undefined) return { cron, timeZone };
  if (cron !== '') throw invalidField('schedule.interval', 'must not be set beside cron');
  if (timeZone !== '') throw invalidField('schedule.time_zone', 'must not be set beside interval');
  return { intervalMs };
}

function readMake({ template, run }: ScheduleMessage): ScheduleSpec['make'] {
  if (run === undefined) {
    if (template === undefined) throw invalidField('schedule.template', 'must be set, or run');
    return { job: readJobSpec(template) };
  }
  if (template !== undefined) throw invalidField('schedule.run', 'must not be set beside template');
  const [id] = readResourceName('schedule.run.template', run.template, ['templates'], slugId);
  return { run: { template: id, params: (run.params ?? {}) as Json, labels: { ...run.labels } } };
}

const catchUps: Readonly<Record<CatchUp, JobSchedule_CatchUp>> = {
  skip: JobSchedule_CatchUp.SKIP,
  latest: JobSchedule_CatchUp.LATEST,
  all: JobSchedule_CatchUp.ALL,
};

function readCatchUp(value: JobSchedule_CatchUp): CatchUp {
  if (value === JobSchedule_CatchUp.UNSPECIFIED) return 'latest';
  const found = (Object.keys(catchUps) as CatchUp[]).find((name) => catchUps[name] === value);
  if (found === undefined) throw invalidField('schedule.catch_up', 'must be a way to catch up');
  return found;
}

function toScheduleMessage(
  schedule: ScheduleRecord,
  blockedBy: string | undefined,
): MessageInitShape<typeof JobScheduleSchema> {
  const { timing, make, startWithinMs, startMs, endMs, strategy, nextMs, lastJob } = schedule;
  const shown = {
    name: `schedules/${schedule.id}`,
    ...('cron' in timing ? timing : { interval: toDuration(timing.intervalMs) }),
    ...('job' in make
      ? { template: { ...make.job, labels: { ...make.job.labels }, params: make.job.params as object } }
      : { run: { ...make.run, template: `templates/${make.run.template}`, params: make.run.params as object } }),
    paused: schedule.paused,
    limit: schedule.limit ?? 0,
    runs: schedule.runs,
    catchUp: catchUps[schedule.catchUp],
    owner: schedule.owner ?? '',
    lastError: schedule.lastError ?? '',
    lastJob: lastJob === undefined ? '' : `jobs/${lastJob}`,
    blockedBy: blockedBy === undefined ? '' : `jobs/${blockedBy}`,
    createTime: toTimestamp(schedule.createMs),
    watermarkTime: toTimestamp(schedule.watermarkMs),
    ...(nextMs === undefined || schedule.paused ? {} : { nextTime: toTimestamp(nextMs) }),
    ...(startMs === undefined ? {} : { startTime: toTimestamp(startMs) }),
    ...(endMs === undefined ? {} : { endTime: toTimestamp(endMs) }),
    ...(strategy === undefined ? {} : { strategy: toStrategyMessage(strategy) }),
    ...(schedule.sla === undefined ? {} : { sla: toSlaMessage(schedule.sla) }),
    ...(startWithinMs === undefined ? {} : { startWithin: toDuration(startWithinMs) }),
  };
  return shown as MessageInitShape<typeof JobScheduleSchema>;
}
