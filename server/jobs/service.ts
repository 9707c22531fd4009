import { JobService } from '../../proto/gen/showrunner/jobs/v1/job_service_pb.ts';
import { jsonDigest } from '../core/canonical-json.ts';
import { invalidField } from '../core/errors.ts';
import { readPageSize } from '../rpc/edge/page-size.ts';
import { encodePageToken, readPageToken } from '../rpc/edge/page-token.ts';
import { readResourceName } from '../rpc/edge/resource-name.ts';
import { type ServiceRegistration, serviceOf } from '../rpc/handler.ts';
import { insightHandlers } from './edge/insight-handlers.ts';
import { jobId } from './edge/job-id.ts';
import { limitHandlers } from './edge/limit-handlers.ts';
import { pageSizes } from './edge/page-sizes.ts';
import { readJobFilter } from './edge/read-job-filter.ts';
import { readJobSpec } from './edge/read-job-spec.ts';
import { scheduleHandlers } from './edge/schedule-handlers.ts';
import { templateHandlers } from './edge/template-handlers.ts';
import { webhookHandlers } from './edge/webhook-handlers.ts';
import { workflowHandlers } from './edge/workflow-handlers.ts';
import { toEventMessage, toJobMessage } from './job-message.ts';
import type { Jobs } from './jobs.ts';

/** JobService of showrunner.jobs.v1 on the jobs domain. */
export function createJobService(jobs: Jobs): ServiceRegistration {
  const idOf = (name: string) => readResourceName('name', name, ['jobs'], jobId)[0];
  return serviceOf(JobService, {
    createJob: async ({ job, requestId }, { principal }) => {
      if (job === undefined) throw invalidField('job', 'must be set');
      const owner = principal?.id ?? '';
      const created = await jobs.create(readJobSpec(job), { requestId, owner });
      return { job: toJobMessage(created.job), existed: created.existed };
    },
    getJob: async ({ name }) => ({ job: toJobMessage(await jobs.get(idOf(name))) }),
    listJobs: async (request) => {
      const filter = readJobFilter(request);
      const digest = jsonDigest({
        ...filter,
        kinds: [...filter.kinds].toSorted(),
        states: [...filter.states].toSorted(),
      });
      const scope = `jobs:${digest}`;
      const page = await jobs.list({
        ...filter,
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
    ...workflowHandlers(jobs),
    ...webhookHandlers(jobs),
    ...insightHandlers(jobs),
    cancelJob: async ({ name }) => ({ job: toJobMessage(await jobs.cancel(idOf(name))) }),
    watchJob: async function* ({ name, afterSequence }, { signal }) {
      const after = Number(afterSequence);
      if (!Number.isSafeInteger(after)) throw invalidField('after_sequence', 'is out of range');
      for await (const event of jobs.watch(idOf(name), after, signal)) yield { event: toEventMessage(event) };
    },
    ...scheduleHandlers(jobs),
  });
}
