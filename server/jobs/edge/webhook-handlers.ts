import type { MessageInitShape } from '@bufbuild/protobuf';
import { JobWebhook_Event, type JobWebhookSchema } from '../../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import type { JobService } from '../../../proto/gen/showrunner/jobs/v1/job_service_pb.ts';
import { invalidField, invalidFields } from '../../core/errors.ts';
import { readResourceName, slugId } from '../../rpc/edge/resource-name.ts';
import { toTimestamp } from '../../rpc/edge/wkt-time.ts';
import type { ServiceImplementation } from '../../rpc/handler.ts';
import { labelFaults } from '../check-job.ts';
import { toJobState } from '../job-message.ts';
import type { Jobs } from '../jobs.ts';
import type { WebhookEvent, WebhookRecord } from '../webhooks/webhook.ts';
import { readState } from './read-state.ts';

export type WebhookHandlers = Pick<
  ServiceImplementation<typeof JobService>,
  'createWebhook' | 'listWebhooks' | 'deleteWebhook'
>;

const secretText = /^[\x21-\x7e]{16,128}$/;
const maxFilters = 50;
const eventsByName: Readonly<Record<WebhookEvent, JobWebhook_Event>> = {
  ended: JobWebhook_Event.ENDED,
  sla_missed: JobWebhook_Event.SLA_MISSED,
};

/** The methods of JobService about webhooks. */
export function webhookHandlers({ webhooks }: Jobs): WebhookHandlers {
  const show = (webhook: WebhookRecord): MessageInitShape<typeof JobWebhookSchema> => ({
    name: `webhooks/${webhook.id}`,
    url: webhook.url,
    events: webhook.events.map((event) => eventsByName[event]),
    kinds: [...webhook.kinds],
    states: webhook.states.map(toJobState),
    labels: { ...webhook.labels },
    createTime: toTimestamp(webhook.createMs),
    ...webhooks.status(webhook.id),
  });
  return {
    createWebhook: async ({ webhook }) => {
      if (webhook === undefined) throw invalidField('webhook', 'must be set');
      const { url, kinds, labels, secret } = webhook;
      if (secret !== '' && !secretText.test(secret)) {
        throw invalidField('webhook.secret', 'must be 16 to 128 visible ASCII characters');
      }
      if (kinds.length > maxFilters) throw invalidField('webhook.kinds', `must be at most ${maxFilters}`);
      const faults = labelFaults(labels, 'webhook');
      if (faults.length > 0) throw invalidFields(faults);
      const created = await webhooks.create({
        id: readResourceName('webhook.name', webhook.name, ['webhooks'], slugId)[0],
        url,
        events: webhook.events.map(readEvent),
        kinds,
        states: webhook.states.map((state, index) => readState(state, `webhook.states[${index}]`)),
        labels: { ...labels },
        secret,
      });
      return { webhook: show(created), secret: created.secret };
    },
    listWebhooks: async () => ({ webhooks: (await webhooks.list()).map(show) }),
    deleteWebhook: async ({ name }) => {
      await webhooks.delete(readResourceName('name', name, ['webhooks'], slugId)[0]);
      return {};
    },
  };
}

function readEvent(event: JobWebhook_Event, index: number): WebhookEvent {
  const found = (Object.keys(eventsByName) as WebhookEvent[]).find((name) => eventsByName[name] === event);
  if (found === undefined) throw invalidField(`webhook.events[${index}]`, 'must be an event');
  return found;
}
