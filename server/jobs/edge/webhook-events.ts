import { JobWebhook_Event } from '../../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import { invalidField } from '../../core/errors.ts';
import type { WebhookEvent } from '../webhooks/webhook.ts';

/** What is told, as the contract calls it. */
export const webhookEvents: Readonly<Record<WebhookEvent, JobWebhook_Event>> = {
  ended: JobWebhook_Event.ENDED,
  sla_missed: JobWebhook_Event.SLA_MISSED,
};

/** Throws INVALID_FIELDS for what is none; `index` is its place in `webhook.events`. */
export function readWebhookEvent(event: JobWebhook_Event, index: number): WebhookEvent {
  const found = (Object.keys(webhookEvents) as WebhookEvent[]).find((name) => webhookEvents[name] === event);
  if (found === undefined) throw invalidField(`webhook.events[${index}]`, 'must be an event');
  return found;
}
