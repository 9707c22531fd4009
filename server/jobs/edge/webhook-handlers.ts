import type { MessageInitShape } from '@bufbuild/protobuf';
import type { JobWebhookSchema } from '../../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import type { JobService } from '../../../proto/gen/showrunner/jobs/v1/job_service_pb.ts';
import { invalidField } from '../../core/errors.ts';
import { readResourceName, slugId } from '../../rpc/edge/resource-name.ts';
import { toTimestamp } from '../../rpc/edge/wkt-time.ts';
import type { ServiceImplementation } from '../../rpc/handler.ts';
import { toJobState } from '../job-message.ts';
import type { Jobs } from '../jobs.ts';
import type { WebhookRecord } from '../webhooks/webhook.ts';
import { readWebhookChange, readWebhookFields } from './webhook-change.ts';
import { webhookEvents } from './webhook-events.ts';

type WebhookHandlers = Pick<
  ServiceImplementation<typeof JobService>,
  'createWebhook' | 'listWebhooks' | 'updateWebhook' | 'deleteWebhook'
>;

/** The methods of JobService about webhooks. */
export function webhookHandlers({ webhooks }: Jobs): WebhookHandlers {
  const idOf = (name: string, field: string) => readResourceName(field, name, ['webhooks'], slugId)[0];
  const show = (webhook: WebhookRecord): MessageInitShape<typeof JobWebhookSchema> => ({
    name: `webhooks/${webhook.id}`,
    url: webhook.url,
    events: webhook.events.map((event) => webhookEvents[event]),
    kinds: [...webhook.kinds],
    states: webhook.states.map(toJobState),
    labels: { ...webhook.labels },
    createTime: toTimestamp(webhook.createMs),
    updateTime: toTimestamp(webhook.updateMs),
    revision: webhook.revision,
    ...webhooks.status(webhook.id),
  });
  return {
    createWebhook: async ({ webhook }) => {
      if (webhook === undefined) throw invalidField('webhook', 'must be set');
      const id = idOf(webhook.name, 'webhook.name');
      const created = await webhooks.create({ id, ...readWebhookFields(webhook) });
      return { webhook: show(created), secret: created.secret };
    },
    listWebhooks: async () => ({ webhooks: (await webhooks.list()).map(show) }),
    updateWebhook: async ({ webhook, updateMask }) => {
      if (webhook === undefined) throw invalidField('webhook', 'must be set');
      const id = idOf(webhook.name, 'webhook.name');
      const change = readWebhookChange(webhook, updateMask?.paths ?? []);
      const updated = await webhooks.update(id, change, webhook.revision);
      return { webhook: show(updated), secret: change.secret === undefined ? '' : updated.secret };
    },
    deleteWebhook: async ({ name }) => {
      await webhooks.delete(idOf(name, 'name'));
      return {};
    },
  };
}
