import { toJsonString } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { JobScheduleSchema } from '../../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import { BackfillScheduleRequest_Order } from '../../../proto/gen/showrunner/jobs/v1/job_service_pb.ts';
import { formatTable } from '../terminal/table.ts';
import { showMade } from './job-commands.ts';
import { formatSchedules, timeText } from './job-views.ts';
import { putResource, scanPages } from './resources.ts';
import { nameIn, print, readCount, readResource, readTime, type Subcommand, type Turn } from './turn.ts';

async function setPaused({ client, call, args }: Turn, paused: boolean): Promise<void> {
  const { schedule } = await client.getSchedule({ name: nameIn('schedules', args[0]) }, call);
  if (schedule === undefined) throw new Error('the server gave no schedule');
  const { schedule: stored } = await client.updateSchedule({ schedule: { ...schedule, paused } }, call);
  if (stored) print(formatSchedules([stored]));
}

async function backfill({ client, call, args, values }: Turn): Promise<void> {
  const { slots, totalSlots } = await client.backfillSchedule(
    {
      name: nameIn('schedules', args[0]),
      fromTime: timestampFromDate(readTime('FROM', args[1])),
      ...(args[2] === undefined ? {} : { toTime: timestampFromDate(readTime('TO', args[2])) }),
      limit: readCount('--limit', values.limit ?? '0'),
      order: values['newest-first']
        ? BackfillScheduleRequest_Order.NEWEST_FIRST
        : BackfillScheduleRequest_Order.OLDEST_FIRST,
      dryRun: values['dry-run'],
    },
    call,
  );
  const rows = slots.map(({ time, job, existed }) => {
    const what = values['dry-run'] ? 'would be made' : 'made';
    return [timeText(time), job, existed ? 'was there' : what];
  });
  print(`${formatTable([['slot', 'job', ''], ...rows])}\n${slots.length} of ${totalSlots} slots`);
}

/** Of schedules. */
export const scheduleCommands: Readonly<Record<string, Subcommand>> = {
  list: {
    usage: 'list',
    doc: 'all schedules by name, with their next slots',
    run: async ({ client, call }) => {
      print(
        formatSchedules(
          await scanPages(
            (page) => client.listSchedules(page, call),
            ({ schedules }) => schedules,
          ),
        ),
      );
    },
  },
  get: {
    usage: 'get SCHEDULE',
    doc: 'a schedule as JSON',
    run: async ({ client, call, args }) => {
      const { schedule } = await client.getSchedule({ name: nameIn('schedules', args[0]) }, call);
      if (schedule) print(toJsonString(JobScheduleSchema, schedule, { prettySpaces: 2 }));
    },
  },
  put: {
    usage: 'put SCHEDULE JSON|@FILE',
    doc: 'create a schedule or replace it',
    run: async ({ client, call, args }) => {
      const given = readResource(JobScheduleSchema, nameIn('schedules', args[0]), args[1]);
      const { schedule } = await putResource(
        () => client.updateSchedule({ schedule: given }, call),
        () => client.createSchedule({ schedule: given }, call),
      );
      if (schedule) print(formatSchedules([schedule]));
    },
  },
  run: {
    usage: 'run SCHEDULE [--request-id ID] [--watch]',
    doc: 'make a job of it now, besides its slots',
    run: async (turn) => {
      const { client, call, args, values } = turn;
      const request = { name: nameIn('schedules', args[0]), requestId: values['request-id'] };
      const { job, existed } = await client.runSchedule(request, call);
      await showMade(turn, job, existed);
    },
  },
  pause: { usage: 'pause SCHEDULE', doc: 'make no jobs until resumed', run: (turn) => setPaused(turn, true) },
  resume: { usage: 'resume SCHEDULE', doc: 'begin again now', run: (turn) => setPaused(turn, false) },
  backfill: {
    usage: 'backfill SCHEDULE FROM [TO] [--limit N] [--newest-first] [--dry-run]',
    doc: 'make the jobs of slots of the past that have none; --dry-run only tells which',
    run: backfill,
  },
  unblock: {
    usage: 'unblock SCHEDULE',
    doc: 'let a strictly sequential schedule go on after a failed run',
    run: async ({ client, call, args }) =>
      void (await client.unblockSchedule({ name: nameIn('schedules', args[0]) }, call)),
  },
  delete: {
    usage: 'delete SCHEDULE',
    doc: 'delete a schedule; its jobs stay',
    run: async ({ client, call, args }) =>
      void (await client.deleteSchedule({ name: nameIn('schedules', args[0]) }, call)),
  },
};
