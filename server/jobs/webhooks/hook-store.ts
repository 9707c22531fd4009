import { randomBytes } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import { notFound } from '../../core/errors.ts';
import type { RecordsStore } from '../../stores/records/records-store.ts';
import { jobBusy, resourceChanged, tooManyWebhooks, webhookExists, webhookUrlRefused } from '../job-errors.ts';
import { decode, encode, isConflict } from '../job-store.ts';
import type { WebhookRecord, WebhookSpec } from './webhook.ts';

interface HookStoreDeps {
  readonly records: RecordsStore;
  readonly clock: Clock;
  /** Origins that webhooks may call. */
  readonly origins: readonly string[];
}

/** What callers say of webhooks. */
export interface HookStore {
  /** An empty secret is made. Throws WEBHOOK_EXISTS, WEBHOOK_URL_REFUSED, TOO_MANY_WEBHOOKS. */
  create(webhook: WebhookSpec): Promise<WebhookRecord>;
  /**
   * Changes what `change` names; an empty secret is made. `revision` 0 = any. Throws WEBHOOK_NOT_FOUND, WEBHOOK_CHANGED,
   * WEBHOOK_URL_REFUSED.
   */
  update(id: string, change: WebhookChange, revision: number): Promise<WebhookRecord>;
  find(id: string): Promise<WebhookRecord | undefined>;
  /** By id, all of them: 100 at most. */
  list(): Promise<WebhookRecord[]>;
  /** Throws WEBHOOK_NOT_FOUND. */
  delete(id: string): Promise<void>;
}

/** What is to change; what is absent stays. */
export type WebhookChange = Partial<Omit<WebhookSpec, 'id'>>;

const hooks = 'jobs/webhooks';
const maxWebhooks = 100;
const maxTries = 20;

/** Webhooks over the records store, which keeps their secrets as they are. */
export function createHookStore({ records, clock, origins }: HookStoreDeps): HookStore {
  const load = async (id: string) => {
    const row = await records.get(hooks, id);
    return row === undefined ? undefined : { webhook: read(row.value), version: row.version };
  };
  const list = async () => (await records.scan(hooks, { limit: maxWebhooks })).map((row) => read(row.value));
  const checkUrl = (url: string) => {
    if (!isAllowed(url, origins)) throw webhookUrlRefused(url.slice(0, 300), origins);
  };
  return {
    create: async (given) => {
      checkUrl(given.url);
      if ((await list()).length >= maxWebhooks) throw tooManyWebhooks(maxWebhooks);
      const now = clock.now();
      const webhook = { ...given, secret: given.secret || newSecret(), createMs: now, updateMs: now, revision: 1 };
      try {
        await records.put(hooks, webhook.id, encode(webhook), { ifVersion: 'absent' });
      } catch (error) {
        throw isConflict(error) ? webhookExists(`webhooks/${webhook.id}`) : error;
      }
      return webhook;
    },
    update: async (id, change, revision) => {
      // One that only has its secret changed keeps a URL whose origin was taken off the list since.
      if (change.url !== undefined) checkUrl(change.url);
      const secret = change.secret === undefined ? {} : { secret: change.secret || newSecret() };
      for (let tries = 0; tries < maxTries; tries++) {
        const loaded = await load(id);
        if (loaded === undefined) throw notFound('webhook', `webhooks/${id}`);
        const { webhook, version } = loaded;
        if (revision !== 0 && revision !== webhook.revision) {
          throw resourceChanged('webhook', `webhooks/${id}`, webhook.revision);
        }
        const stamp = { updateMs: clock.now(), revision: webhook.revision + 1 };
        const updated: WebhookRecord = { ...webhook, ...change, ...secret, ...stamp };
        try {
          await records.put(hooks, id, encode(updated), { ifVersion: version });
          return updated;
        } catch (error) {
          if (!isConflict(error)) throw error;
        }
      }
      throw jobBusy(`webhooks/${id}`);
    },
    find: async (id) => (await load(id))?.webhook,
    list,
    delete: async (id) => {
      if (!(await records.delete(hooks, id))) throw notFound('webhook', `webhooks/${id}`);
    },
  };
}

/** Only exact origins of the list, and of these only https or this machine. */
export function isAllowed(url: string, origins: readonly string[]): boolean {
  const parsed = URL.parse(url);
  if (parsed === null || parsed.username !== '' || parsed.password !== '') return false;
  const isLocal = ['127.0.0.1', '[::1]', 'localhost'].includes(parsed.hostname);
  return (parsed.protocol === 'https:' || (parsed.protocol === 'http:' && isLocal)) && origins.includes(parsed.origin);
}

function newSecret(): string {
  return randomBytes(24).toString('base64url');
}

/** Rows of before there were changes tell neither their time nor a revision. */
function read(value: Uint8Array): WebhookRecord {
  const stored = decode<Omit<WebhookRecord, 'updateMs' | 'revision'> & Partial<WebhookRecord>>(value);
  return { updateMs: stored.createMs, revision: 1, ...stored };
}
