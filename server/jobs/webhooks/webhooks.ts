import type { Clock } from '../../core/clock.ts';
import { createCounters } from '../../core/counters.ts';
import { messageOf } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { Random } from '../../core/random.ts';
import type { RecordsStore } from '../../stores/records/records-store.ts';
import { decode, encode, isConflict } from '../job-store.ts';
import { createScheduleClock, type ScheduleClock } from '../schedules/schedule-clock.ts';
import { type DeliveryEnd, deliver } from './deliver.ts';
import { createHookStore, type HookStore, isAllowed } from './hook-store.ts';
import { isWanted, type JobNotice } from './webhook.ts';

/** What webhooks are kept and called with. */
export interface WebhooksDeps {
  readonly records: RecordsStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Origins that webhooks may call, e.g. `https://hooks.example.com`. */
  readonly origins: readonly string[];
  /** Wait before the second try, doubled for each further one up to an hour, in ms. Default 1,000. */
  readonly baseBackoffMs?: number;
  /** Deliveries of one webhook that may wait. Default 10,000. */
  readonly maxPending?: number;
  /** Limit of one try, in ms. Default 5,000. */
  readonly timeoutMs?: number;
  /** How often deliveries of servers that are gone are looked for, in ms. Default 30,000. */
  readonly takeOverIntervalMs?: number;
}

interface WebhookStatus {
  readonly pending: number;
  readonly lastError: string;
}

/** Deleting one deletes what it had to deliver; what a changed one has to deliver goes to what is stored by then. */
export interface Webhooks extends Pick<HookStore, 'create' | 'update' | 'list' | 'delete'> {
  status(id: string): WebhookStatus;
  /** Stores a delivery for each webhook that wants the notice; the same notice again makes no second one. */
  tell(notice: JobNotice): Promise<void>;
  start(): Promise<void>;
  close(): Promise<void>;
  readonly counters: { snapshot(): Readonly<Record<'delivered' | 'retried' | 'dropped', number>> };
}

/** A delivery that waits. Of one that is done the key is kept for a while, so that its notice makes no second one. */
interface DeliveryRow {
  readonly webhook: string;
  readonly body: string;
  readonly failures: number;
  /** When the next try is, in Unix ms: long past = the server that had it is gone. */
  readonly nextMs: number;
}

const outbox = 'jobs/webhook-outbox';
const done = 'jobs/webhook-done';
const maxTries = 12;
const maxBackoffMs = 3_600_000;
const rememberMs = 86_400_000;
const scanRows = 1_000;
const retryMs = 1_000;
/** Deliveries of one webhook that are tried at once. */
const triesAtOnce = 4;
/** A delivery that is late by more is another server's no longer. */
const goneAfterMs = 60_000;

/**
 * Deliveries are stored first, then tried up to 12 times, four at once for each webhook. Several servers share them:
 * those of a server that is gone are taken on by another.
 */
export function createWebhooks(deps: WebhooksDeps): Webhooks {
  const { records, clock, random, log, origins, baseBackoffMs = 1_000, maxPending = 10_000, timeoutMs = 5_000 } = deps;
  const { takeOverIntervalMs = 30_000 } = deps;
  const hooks = createHookStore({ records, clock, origins });
  const counters = createCounters('jobs.webhooks', {
    delivered: 'Deliveries that were taken.',
    retried: 'Tries that failed and are repeated.',
    dropped: 'Deliveries given up: refused, failed too often, or one too many.',
  });
  const pending = new Map<string, Set<string>>();
  const lastErrors = new Map<string, string>();
  const dues = new Map<string, ScheduleClock>();
  /** Tries of webhooks that were deleted meanwhile. */
  let ending: Promise<unknown> = Promise.resolve();
  let started = false;
  let closed = false;
  let cancelTakeOver: () => void = () => {};
  let takingOver: Promise<void> = Promise.resolve();
  const isKept = (webhook: string, key: string) => pending.get(webhook)?.has(key) === true;
  const keep = (webhook: string, key: string) => {
    if (isKept(webhook, key)) return;
    const keys = pending.get(webhook) ?? new Set();
    pending.set(webhook, keys.add(key));
  };
  const forget = (webhook: string, key: string) => void pending.get(webhook)?.delete(key);

  const finish = async (key: string, row: DeliveryRow) => {
    await records.batch([
      { kind: 'delete', partition: outbox, key },
      { kind: 'put', partition: done, key, value: new Uint8Array(), ttlMs: rememberMs },
    ]);
    forget(row.webhook, key);
  };
  /** One try of a delivery; gives when the next one is. */
  const attempt = async (key: string): Promise<number | undefined> => {
    const [webhook = ''] = key.split('/', 1);
    const [stored, hook] = await Promise.all([records.get(outbox, key), hooks.find(webhook)]);
    if (stored === undefined || hook === undefined) {
      forget(webhook, key);
      await records.delete(outbox, key);
      return undefined;
    }
    const row = decode<DeliveryRow>(stored.value);
    const { url, secret } = hook;
    // Its origin may have been taken off the list since.
    const result: DeliveryEnd = isAllowed(url, origins)
      ? await deliver({ id: key, url, secret, body: row.body, nowMs: clock.now(), timeoutMs })
      : { end: 'refused' };
    try {
      return await settle(key, row, stored.version, result);
    } catch (error) {
      if (!isConflict(error)) throw error;
      // Another server has taken it on, or is done with it.
      forget(webhook, key);
      return undefined;
    }
  };
  // Tries are timed by what no change of the wall clock moves; that is stored for other servers alone.
  const afterMs = (ms: number) => clock.monotonic() + ms;
  const settle = async (key: string, row: DeliveryRow, ifVersion: bigint, result: DeliveryEnd) => {
    lastErrors.set(row.webhook, result.end === 'failed' ? result.error : '');
    if (result.end === 'taken') {
      counters.add('delivered');
      await finish(key, row);
      return undefined;
    }
    const failures = row.failures + 1;
    if (result.end === 'refused' || failures >= maxTries) {
      counters.add('dropped');
      log.warn('webhook delivery is given up', { webhook: row.webhook, delivery: key, failures });
      await finish(key, row);
      return undefined;
    }
    counters.add('retried');
    const ceiling = Math.min(maxBackoffMs, baseBackoffMs * 2 ** (failures - 1));
    const waitMs = Math.round(ceiling * (0.5 + random.next() / 2));
    await records.put(outbox, key, encode({ ...row, failures, nextMs: clock.now() + waitMs }), { ifVersion });
    return afterMs(waitMs);
  };
  const onDue = async (key: string) => {
    try {
      return await attempt(key);
    } catch (error) {
      log.warn('webhook delivery could not be stored', { delivery: key, error: messageOf(error) });
      return afterMs(retryMs);
    }
  };
  /** Each webhook has its own: one that is slow or away holds up none of the others. */
  const dueOf = (webhook: string): ScheduleClock => {
    const known = dues.get(webhook);
    if (known !== undefined) return known;
    const due = createScheduleClock({ clock: { ...clock, now: clock.monotonic }, parallel: triesAtOnce, onDue });
    dues.set(webhook, due);
    if (started) due.start();
    return due;
  };

  /** Takes on what is stored, due before a time and not taken on yet. */
  const load = async (beforeMs: number): Promise<void> => {
    for (let from = ''; !closed; ) {
      const rows = await records.scan(outbox, { limit: scanRows, ...(from === '' ? {} : { from }) });
      for (const { key, value } of rows) {
        const { webhook, nextMs } = decode<DeliveryRow>(value);
        if (nextMs > beforeMs || isKept(webhook, key)) continue;
        keep(webhook, key);
        dueOf(webhook).set(key, afterMs(0));
      }
      if (rows.length < scanRows) return;
      from = `${rows.at(-1)?.key}\0`;
    }
  };
  const takeOverLater = () => {
    cancelTakeOver = clock.schedule(takeOverIntervalMs, () => {
      takingOver = load(clock.now() - goneAfterMs)
        .catch((error: unknown) => log.warn('webhook deliveries could not be read', { error: messageOf(error) }))
        .finally(() => {
          if (!closed) takeOverLater();
        });
    });
  };

  return {
    create: hooks.create,
    update: async (id, change, revision) => {
      const updated = await hooks.update(id, change, revision);
      // What waits after failures may be taken now.
      for (const key of pending.get(id) ?? []) dueOf(id).set(key, afterMs(0));
      return updated;
    },
    list: hooks.list,
    status: (id) => ({ pending: pending.get(id)?.size ?? 0, lastError: lastErrors.get(id) ?? '' }),
    delete: async (id) => {
      await hooks.delete(id);
      const ended = dues.get(id)?.close();
      dues.delete(id);
      for (const key of pending.get(id) ?? []) await records.delete(outbox, key);
      pending.delete(id);
      lastErrors.delete(id);
      ending = Promise.all([ending, ended]);
    },
    tell: async (notice) => {
      for (const hook of await hooks.list()) {
        if (!isWanted(hook, notice)) continue;
        const key = `${hook.id}/${notice.id}`;
        if ((await records.get(done, key)) !== undefined) continue;
        const isNew = !isKept(hook.id, key);
        if (isNew && (pending.get(hook.id)?.size ?? 0) >= maxPending) {
          if ((await records.get(outbox, key)) === undefined) counters.add('dropped');
          continue;
        }
        const row: DeliveryRow = {
          webhook: hook.id,
          body: toBody(notice),
          failures: 0,
          nextMs: clock.now(),
        };
        // Counted before it is stored: many jobs may end at once.
        keep(hook.id, key);
        try {
          await records.put(outbox, key, encode(row), { ifVersion: 'absent' });
        } catch (error) {
          if (isNew) forget(hook.id, key);
          if (isConflict(error)) continue;
          throw error;
        }
        dueOf(hook.id).set(key, afterMs(0));
      }
    },
    start: async () => {
      await load(Number.POSITIVE_INFINITY);
      started = true;
      for (const due of dues.values()) due.start();
      takeOverLater();
    },
    close: async () => {
      closed = true;
      cancelTakeOver();
      await takingOver;
      await Promise.all([ending, ...[...dues.values()].map((due) => due.close())]);
    },
    counters,
  };
}

function toBody(notice: JobNotice): string {
  const { atMs, ...rest } = notice;
  const until =
    notice.event === 'sla_missed' ? { untilMs: undefined, until: new Date(notice.untilMs).toISOString() } : {};
  return JSON.stringify({ ...rest, time: new Date(atMs).toISOString(), ...until });
}
