import type { MessageInitShape } from '@bufbuild/protobuf';
import type { JobInsightSchema } from '../../../proto/gen/showrunner/jobs/v1/job_insight_pb.ts';
import type { JobService } from '../../../proto/gen/showrunner/jobs/v1/job_service_pb.ts';
import { invalidField } from '../../core/errors.ts';
import { readResourceName, slugId } from '../../rpc/edge/resource-name.ts';
import { readTimestamp, toDuration, toTimestamp } from '../../rpc/edge/wkt-time.ts';
import type { ServiceImplementation } from '../../rpc/handler.ts';
import type { JobInsight } from '../insight/job-insight.ts';
import { toUsageMessage } from '../job-message.ts';
import type { Jobs } from '../jobs.ts';
import { jobId } from './job-id.ts';

type InsightHandlers = Pick<ServiceImplementation<typeof JobService>, 'deleteJob' | 'readJobLogs' | 'getJobInsight'>;

/** The methods of JobService about history: log lines, insight, deletion. */
export function insightHandlers(jobs: Jobs): InsightHandlers {
  const idOf = (name: string) => readResourceName('name', name, ['jobs'], jobId)[0];
  return {
    deleteJob: async ({ name }) => {
      await jobs.delete(idOf(name));
      return {};
    },
    readJobLogs: async function* ({ name, attempt, follow }, { signal }) {
      if (attempt < 0) throw invalidField('attempt', `must not be negative, got ${attempt}`);
      for await (const { atMs, fields, ...line } of jobs.logs.read(idOf(name), attempt, follow, signal)) {
        yield { line: { ...line, fields: { ...fields }, time: toTimestamp(atMs) } };
      }
    },
    getJobInsight: async ({ fromTime, toTime, kinds, template }) => {
      const fromMs = readTimestamp('from_time', fromTime);
      const toMs = readTimestamp('to_time', toTime);
      const only =
        template === '' ? {} : { template: readResourceName('template', template, ['templates'], slugId)[0] };
      return { insight: toInsightMessage(await jobs.insight({ fromMs, toMs, kinds: new Set(kinds), ...only })) };
    },
  };
}

function toInsightMessage(insight: JobInsight): MessageInitShape<typeof JobInsightSchema> {
  const { groups, stages, failures, jobs, truncated } = insight;
  return {
    jobs,
    truncated,
    groups: groups.map(({ template, kind, succeeded, failed, retries, ...group }) => ({
      template: template === '' ? '' : `templates/${template}`,
      kind,
      jobs: group.jobs,
      succeeded,
      failed,
      retries,
      usage: toUsageMessage(group),
      waitP50: toDuration(group.waitP50Ms),
      waitP95: toDuration(group.waitP95Ms),
      runP50: toDuration(group.runP50Ms),
      runP95: toDuration(group.runP95Ms),
    })),
    stages: stages.map(({ kind, stage, count, totalMs, p50Ms, maxMs }) => ({
      kind,
      stage,
      count,
      total: toDuration(totalMs),
      p50: toDuration(p50Ms),
      max: toDuration(maxMs),
    })),
    failures: failures.map(({ firstMs, lastMs, example, ...cluster }) => ({
      ...cluster,
      firstTime: toTimestamp(firstMs),
      lastTime: toTimestamp(lastMs),
      example: `jobs/${example}`,
    })),
  };
}
