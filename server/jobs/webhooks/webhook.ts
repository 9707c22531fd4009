import type { JobState, SlaPromise } from '../job-record.ts';
import type { Stamp } from '../resource-store.ts';

/** What a webhook can be told of: the end of a job, or a promise that it has missed. */
export type WebhookEvent = 'ended' | 'sla_missed';

/** What a caller says of a webhook, with its secret. */
export interface WebhookSpec {
  readonly id: string;
  readonly url: string;
  /** Empty = all. */
  readonly events: readonly WebhookEvent[];
  readonly kinds: readonly string[];
  readonly states: readonly JobState[];
  readonly labels: Readonly<Record<string, string>>;
  readonly secret: string;
}

/** A webhook as it is stored. */
export interface WebhookRecord extends WebhookSpec, Stamp {}

/** Something about a job that others are told. */
export type JobNotice = {
  /** The same for the same thing, told once or twice. */
  readonly id: string;
  readonly atMs: number;
  readonly job: string;
  readonly kind: string;
  readonly state: JobState;
  readonly owner: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly template: string;
  readonly schedule: string;
} & (
  | { readonly event: 'ended'; readonly reason: string; readonly message: string }
  | { readonly event: 'sla_missed'; readonly promise: SlaPromise; readonly untilMs: number }
);

/** Whether a webhook wants to know of it. */
export function isWanted({ events, kinds, states, labels }: WebhookRecord, notice: JobNotice): boolean {
  if (events.length > 0 && !events.includes(notice.event)) return false;
  if (kinds.length > 0 && !kinds.includes(notice.kind)) return false;
  if (notice.event === 'ended' && states.length > 0 && !states.includes(notice.state)) return false;
  return Object.entries(labels).every(([key, value]) => notice.labels[key] === value);
}
