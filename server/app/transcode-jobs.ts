import type { Json } from '../../workers/queue/job-kind.ts';
import type { Jobs } from '../jobs/create-jobs.ts';
import { toEventMessage, toJobMessage } from '../jobs/job-message.ts';
import type { TranscodeJobs } from '../transcode/service.ts';

/** The jobs area as TranscodeService sees it. */
export function transcodeJobs(jobs: Jobs): TranscodeJobs {
  return {
    create: async ({ params, ...spec }, options) => {
      const { job, existed } = await jobs.create({ ...spec, params: params as Json }, options);
      return { job: toJobMessage(job), existed };
    },
    get: async (id) => toJobMessage(await jobs.get(id)),
    cancel: async (id) => toJobMessage(await jobs.cancel(id)),
    watch: async function* (id, after, signal) {
      for await (const event of jobs.watch(id, after, signal)) yield toEventMessage(event);
    },
  };
}
