import type { MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import type { Duration } from '@bufbuild/protobuf/wkt';
import type { JobRetentionSchema, JobTemplateSchema } from '../../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import type { JobService } from '../../../proto/gen/showrunner/jobs/v1/job_service_pb.ts';
import type { Json } from '../../../workers/queue/job-kind.ts';
import { invalidField } from '../../core/errors.ts';
import { readPageSize } from '../../rpc/edge/page-size.ts';
import { encodePageToken, readPageToken } from '../../rpc/edge/page-token.ts';
import { readResourceName, slugId } from '../../rpc/edge/resource-name.ts';
import { readDuration, toDuration, toTimestamp } from '../../rpc/edge/wkt-time.ts';
import type { ServiceImplementation } from '../../rpc/handler.ts';
import { toJobMessage } from '../job-message.ts';
import type { Jobs } from '../jobs.ts';
import type { TemplateRecord, TemplateSpec } from '../templates/job-template.ts';
import type { ParameterSchema } from '../templates/parameter-schema.ts';
import { pageSizes } from './page-sizes.ts';
import { readLimits, readStrategy, toLimitsMessage, toStrategyMessage } from './read-limits.ts';
import { readSla, toSlaMessage } from './sla-message.ts';

type TemplateHandlers = Pick<
  ServiceImplementation<typeof JobService>,
  | 'createTemplate'
  | 'getTemplate'
  | 'listTemplates'
  | 'updateTemplate'
  | 'deleteTemplate'
  | 'runTemplate'
  | 'unblockTemplate'
>;

/** The methods of JobService about templates. */
export function templateHandlers(jobs: Jobs): TemplateHandlers {
  const { templates, gate } = jobs;
  const idOf = (name: string, field = 'name') => readResourceName(field, name, ['templates'], slugId)[0];
  const show = async (template: TemplateRecord) =>
    toTemplateMessage(template, await gate.blockedBy(`template/${template.id}`));
  const readSpec = (template: MessageShape<typeof JobTemplateSchema> | undefined): TemplateSpec => {
    if (template === undefined) throw invalidField('template', 'must be set');
    const limits = readLimits(template.limits, 'template.limits');
    const strategy = readStrategy(template.strategy, 'template.strategy');
    const sla = readSla(template.sla, 'template.sla');
    const keepMs = readKeep(template.retention?.succeeded, 'template.retention.succeeded');
    const keepFailedMs = readKeep(template.retention?.failed, 'template.retention.failed');
    return {
      id: idOf(template.name, 'template.name'),
      kind: template.kind,
      description: template.description,
      tags: template.tags,
      labels: { ...template.labels },
      priority: template.priority,
      ...(template.parameterSchema === undefined ? {} : { schema: template.parameterSchema as ParameterSchema }),
      ...(template.params === undefined ? {} : { params: template.params as Json }),
      ...(limits === undefined ? {} : { limits }),
      ...(strategy === undefined ? {} : { strategy }),
      ...(sla === undefined ? {} : { sla }),
      ...(keepMs === undefined ? {} : { keepMs }),
      ...(keepFailedMs === undefined ? {} : { keepFailedMs }),
    };
  };
  return {
    createTemplate: async ({ template }) => ({ template: await show(await templates.create(readSpec(template))) }),
    getTemplate: async ({ name }) => ({ template: await show(await templates.get(idOf(name))) }),
    listTemplates: async (request) => {
      const size = readPageSize(request.pageSize, pageSizes);
      const found = await templates.list(readPageToken('templates', request.pageToken), size + 1);
      const page = found.slice(0, size);
      return {
        templates: await Promise.all(page.map(show)),
        nextPageToken: found.length > size ? encodePageToken('templates', page.at(-1)?.id ?? '') : '',
      };
    },
    updateTemplate: async ({ template }) => {
      const updated = await templates.update(readSpec(template), template?.revision ?? 0);
      return { template: await show(updated) };
    },
    deleteTemplate: async ({ name }) => {
      await templates.delete(idOf(name));
      return {};
    },
    runTemplate: async ({ name, params, requestId, labels }, { principal }) => {
      const { job, existed } = await jobs.runTemplate(idOf(name), {
        params: (params ?? {}) as Json,
        labels: { ...labels },
        requestId,
        owner: principal?.id ?? '',
      });
      return { job: toJobMessage(job), existed };
    },
    unblockTemplate: async ({ name }) => {
      const template = await templates.get(idOf(name));
      await gate.unblock(`template/${template.id}`);
      return { template: await show(template) };
    },
  };
}

const leastKeepMs = 60_000;
const mostKeepMs = 30 * 86_400_000;

function readKeep(duration: Duration | undefined, field: string): number | undefined {
  const ms = readDuration(field, duration);
  if (ms !== undefined && (ms < leastKeepMs || ms > mostKeepMs))
    throw invalidField(field, 'must be 1 minute to 30 days');
  return ms;
}

function toRetentionMessage({ keepMs, keepFailedMs }: TemplateRecord): MessageInitShape<typeof JobRetentionSchema> {
  return {
    ...(keepMs === undefined ? {} : { succeeded: toDuration(keepMs) }),
    ...(keepFailedMs === undefined ? {} : { failed: toDuration(keepFailedMs) }),
  };
}

function toTemplateMessage(
  template: TemplateRecord,
  blockedBy: string | undefined,
): MessageInitShape<typeof JobTemplateSchema> {
  const { id, kind, description, tags, labels, priority, schema, params, limits, strategy, revision } = template;
  return {
    name: `templates/${id}`,
    kind,
    description,
    tags: [...tags],
    labels: { ...labels },
    priority,
    revision,
    createTime: toTimestamp(template.createMs),
    updateTime: toTimestamp(template.updateMs),
    blockedBy: blockedBy === undefined ? '' : `jobs/${blockedBy}`,
    ...(schema === undefined ? {} : { parameterSchema: schema as object }),
    ...(params === undefined ? {} : { params: params as object }),
    ...(limits === undefined ? {} : { limits: toLimitsMessage(limits) }),
    ...(strategy === undefined ? {} : { strategy: toStrategyMessage(strategy) }),
    ...(template.sla === undefined ? {} : { sla: toSlaMessage(template.sla) }),
    ...(template.keepMs === undefined && template.keepFailedMs === undefined
      ? {}
      : { retention: toRetentionMessage(template) }),
  } as MessageInitShape<typeof JobTemplateSchema>;
}
