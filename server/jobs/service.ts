import type { MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { durationFromMs, timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { JobScheduleSchema, JobSchema } from '../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import { JobService } from '../../proto/gen/showrunner/jobs/v1/job_service_pb.ts';
import type { Json } from '../../workers/queue/job-kind.ts';
import { jsonDigest } from '../core/canonical-json.ts';
import { invalidField } from '../core/errors.ts';
import { readPageSize } from '../rpc/edge/page-size.ts';
import { encodePageToken, readPageToken } from '../rpc/edge/page-token.ts';
import { readResourceName, slugId } from '../rpc/edge/resource-name.ts';
import { readDuration } from '../rpc/edge/wkt-time.ts';
import { type ServiceRegistration, serviceOf } from '../rpc/handler.ts';
import type { JobSpec } from './check-job.ts';
import type { Jobs } from './create-jobs.ts';
import { limitHandlers } from './edge/limit-handlers.ts';
import { pageSizes } from './edge/page-sizes.ts';
import { templateHandlers } from './edge/template-handlers.ts';
import { findState, toEventMessage, toJobMessage } from './job-message.ts';
import type { JobState } from './job-record.ts';
import type { ScheduleRecord } from './job-schedules.ts';

/** Ids given by the server; parts carry their group and key behind dots. */
const jobId = /^[a-z0-9]{1,63}(\.[A-Za-z0-9_-]{1,64}){0,20}$/;

/** JobService of showrunner.jobs.v1 on the jobs domain. */
export function createJobService(jobs: Jobs): ServiceRegistration {
  const idOf = (name: string) => readResourceName('name', name, ['jobs'], jobId)[0];
  const scheduleIdOf = (name: string, field = 'name') => readResourceName(field, name, ['schedules'], slugId)[0];
  const toScheduleMessage = (schedule: ScheduleRecord): MessageInitShape<typeof JobScheduleSchema> => {
    const nextMs = jobs.schedules.nextMs(schedule);
    const { template, startWithinMs, lastJob } = schedule;
    return {
      name: `schedules/${schedule.id}`,
      cron: schedule.cron,
      timeZone: schedule.timeZone,
      template: {
        kind: template.kind,
        params: template.params as object,
        labels: template.labels,
        priority: template.priority,
      },
      paused: schedule.paused,
      lastJob: lastJob === undefined ? '' : `jobs/${lastJob}`,
      createTime: timestampFromMs(schedule.createMs),
      ...(nextMs === undefined ? {} : { nextTime: timestampFromMs(nextMs) }),
      ...(startWithinMs === undefined ? {} : { startWithin: durationFromMs(startWithinMs) }),
    } as MessageInitShape<typeof JobScheduleSchema>;
  };

  return serviceOf(JobService, {
    createJob: async ({ job, requestId }, { principal }) => {
      if (job === undefined) throw invalidField('job', 'must be set');
      const owner = principal?.id ?? '';
      const created = await jobs.create(readSpec(job), { requestId, owner });
      return { job: toJobMessage(created.job), existed: created.existed };
    },
    getJob: async ({ name }) => ({ job: toJobMessage(await jobs.get(idOf(name))) }),
    listJobs: async (request) => {
      const { kinds, labels, includeChildren } = request;
      const states = new Set(request.states.map((state, index) => readState(state, index)));
      const scope = `jobs:${jsonDigest({ kinds: kinds.toSorted(), states: [...states].toSorted(), labels, includeChildren })}`;
      const page = await jobs.list({
        kinds: new Set(kinds),
        states,
        labels,
        includeParts: includeChildren,
        after: readPageToken(scope, request.pageToken),
        pageSize: readPageSize(request.pageSize, pageSizes),
      });
      const nextPageToken = page.next === undefined ? '' : encodePageToken(scope, page.next);
      return { jobs: page.jobs.map(toJobMessage), nextPageToken };
    },
    restartJob: async ({ name, requestId }, { principal }) => {
      const { job, existed } = await jobs.restart(idOf(name), { requestId, owner: principal?.id ?? '' });
      return { job: toJobMessage(job), existed };
    },
    ...templateHandlers(jobs),
    ...limitHandlers(jobs),
    cancelJob: async ({ name }) => ({ job: toJobMessage(await jobs.cancel(idOf(name))) }),
    watchJob: async function* ({ name, afterSequence }, { signal }) {
      const after = Number(afterSequence);
      if (!Number.isSafeInteger(after)) throw invalidField('after_sequence', 'is out of range');
      for await (const event of jobs.watch(idOf(name), after, signal)) yield { event: toEventMessage(event) };
    },
    createSchedule: async ({ schedule }) => {
      if (schedule === undefined) throw invalidField('schedule', 'must be set');
      if (schedule.template === undefined) throw invalidField('schedule.template', 'must be set');
      const startWithinMs = readDuration('schedule.start_within', schedule.startWithin);
      const created = await jobs.schedules.create({
        id: scheduleIdOf(schedule.name, 'schedule.name'),
        cron: schedule.cron,
        timeZone: schedule.timeZone,
        template: readSpec(schedule.template),
        paused: schedule.paused,
        ...(startWithinMs === undefined ? {} : { startWithinMs }),
      });
      return { schedule: toScheduleMessage(created) };
    },
    getSchedule: async ({ name }) => ({ schedule: toScheduleMessage(await jobs.schedules.get(scheduleIdOf(name))) }),
    listSchedules: async (request) => {
      const size = readPageSize(request.pageSize, pageSizes);
      const after = readPageToken('schedules', request.pageToken);
      const found = await jobs.schedules.list(after, size + 1);
      const page = found.slice(0, size);
      const last = page.at(-1)?.id ?? '';
      return {
        schedules: page.map(toScheduleMessage),
        nextPageToken: found.length > size ? encodePageToken('schedules', last) : '',
      };
    },
    deleteSchedule: async ({ name }) => {
      await jobs.schedules.delete(scheduleIdOf(name));
      return {};
    },
  });
}

function readSpec(job: MessageShape<typeof JobSchema>): JobSpec {
  return { kind: job.kind, params: (job.params ?? {}) as Json, labels: { ...job.labels }, priority: job.priority };
}

function readState(state: Parameters<typeof findState>[0], index: number): JobState {
  const found = findState(state);
  if (found === undefined) throw invalidField(`states[${index}]`, 'must be a state of a job');
  return found;
}
