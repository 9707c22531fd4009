import type { MessageShape } from '@bufbuild/protobuf';
import type { JobWebhookSchema } from '../../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import { invalidField, invalidFields } from '../../core/errors.ts';
import { labelFaults } from '../check-job.ts';
import type { WebhookChange } from '../webhooks/hook-store.ts';
import { readState } from './read-state.ts';
import { readWebhookEvent } from './webhook-events.ts';

type WebhookMessage = MessageShape<typeof JobWebhookSchema>;

const secretText = /^[\x21-\x7e]{16,128}$/;
const maxFilters = 50;
const maskPaths = ['url', 'events', 'kinds', 'states', 'labels', 'secret'] as const;

/** What may be set of a webhook, besides its name. Throws INVALID_FIELDS. */
export function readWebhookFields(webhook: WebhookMessage): Required<WebhookChange> {
  const { url, kinds, labels, secret } = webhook;
  if (secret !== '' && !secretText.test(secret)) {
    throw invalidField('webhook.secret', 'must be 16 to 128 visible ASCII characters');
  }
  if (kinds.length > maxFilters) throw invalidField('webhook.kinds', `must be at most ${maxFilters}`);
  const faults = labelFaults(labels, 'webhook');
  if (faults.length > 0) throw invalidFields(faults);
  return {
    url,
    events: webhook.events.map(readWebhookEvent),
    kinds,
    states: webhook.states.map((state, index) => readState(state, `webhook.states[${index}]`)),
    labels: { ...labels },
    secret,
  };
}

/**
 * What an update changes. Without a mask: what is populated; `*`: all that may be set. Throws INVALID_FIELDS, also for
 * a path that is none.
 */
export function readWebhookChange(webhook: WebhookMessage, mask: readonly string[]): WebhookChange {
  const fields = readWebhookFields(webhook);
  const unknown = mask.find((path) => !maskPaths.some((known) => known === path));
  const isAll = mask.length === 1 && mask[0] === '*';
  if (unknown !== undefined && !isAll) {
    throw invalidField('update_mask', `"${unknown.slice(0, 64)}" must be one of ${maskPaths.join(', ')}, or * alone`);
  }
  // Texts, lists and labels alike.
  const isNamed = (path: (typeof maskPaths)[number]) =>
    isAll || (mask.length === 0 ? Object.keys(fields[path]).length > 0 : mask.includes(path));
  return Object.fromEntries(maskPaths.filter(isNamed).map((path) => [path, fields[path]]));
}
