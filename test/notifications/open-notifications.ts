import { NotificationService } from '../../proto/gen/showrunner/notifications/v1/notification_service_pb.ts';
import { silentLogger } from '../../server/core/log.ts';
import { createSeededRandom } from '../../server/core/random.ts';
import { createNotifications } from '../../server/notifications/create-notifications.ts';
import type { Cursor, DeviceHello, Frame, StoredNotification } from '../../server/notifications/notification.ts';
import type { Notifications, NotificationsOptions } from '../../server/notifications/notifications-api.ts';
import { createRpcClient } from '../../server/rpc/client.ts';
import { createEmbeddedStores, type EmbeddedStores } from '../support/embedded-stores.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { startServices } from '../support/start-services.ts';
import { waitUntil } from '../support/wait-until.ts';

export const profile = 'profiles/7';

/** A device of `profiles/7`. */
export function deviceNamed(device: string, change: Partial<DeviceHello> = {}): DeviceHello {
  return { device, profile, category: 'tv', capabilities: [], ...change };
}

/** What a notifications area on these stores needs. */
export function notificationDeps({ log, records, clock }: EmbeddedStores): NotificationsOptions {
  return { log, records, clock, logger: silentLogger, random: createSeededRandom(1) };
}

/** The notifications area on embedded stores with a clock that is moved by hand. */
export async function openNotifications(options: Partial<NotificationsOptions> = {}) {
  const clock = createFakeClock();
  const stores = await createEmbeddedStores(clock);
  const area = createNotifications({ ...notificationDeps(stores), ...options });
  return {
    area,
    stores,
    clock,
    [Symbol.asyncDispose]: async () => {
      const closing = area.close();
      await clock.advance(60_000);
      await closing;
      await stores[Symbol.asyncDispose]();
    },
  };
}

/** The same behind a gRPC server on the system's clock. */
export async function startNotificationService(options: Partial<NotificationsOptions> = {}) {
  const stores = await createEmbeddedStores();
  const area = createNotifications({ ...notificationDeps(stores), goAwayGraceMs: 300, ...options });
  const server = await startServices(area.service);
  const client = createRpcClient(NotificationService, { address: server.address });
  return {
    area,
    stores,
    server,
    client,
    [Symbol.asyncDispose]: async () => {
      await area.close();
      client.close();
      await server.close();
      await stores[Symbol.asyncDispose]();
    },
  };
}

/** A subscribed device that takes every frame at once. */
export interface Listener {
  readonly frames: Frame[];
  readonly cuts: string[];
  /** Offsets of the notifications so far. */
  offsets(): bigint[];
  /** The n-th frame of a kind, from 0. */
  frame<K extends Frame['kind']>(kind: K, index?: number): Promise<Extract<Frame, { kind: K }>>;
  /** Resolves once the stream is at an end; rejects with what it threw. */
  readonly ended: Promise<void>;
  leave(): Promise<void>;
}

export function listen(area: Notifications, hello: DeviceHello, cursor?: Cursor): Listener {
  const frames: Frame[] = [];
  const cuts: string[] = [];
  const left = new AbortController();
  const stream = area.subscribe(hello, cursor, { signal: left.signal, cut: ({ reason }) => void cuts.push(reason) });
  const take = async () => {
    for await (const frame of stream) frames.push(frame);
  };
  const ended = take().catch((error: unknown) => {
    if (!left.signal.aborted) throw error;
  });
  ended.catch(() => {});
  type Of<K> = Extract<Frame, { kind: K }>;
  const ofKind = <K extends Frame['kind']>(kind: K) => frames.filter((frame): frame is Of<K> => frame.kind === kind);
  return {
    frames,
    cuts,
    ended,
    offsets: () => ofKind('notification').map(({ notification }) => notification.offset),
    frame: async (kind, index = 0) => {
      await waitUntil(`frame ${index} of ${kind}`, () => ofKind(kind).length > index);
      const found = ofKind(kind)[index];
      if (found === undefined) throw new Error(`no frame ${index} of ${kind}`);
      return found;
    },
    leave: async () => {
      left.abort();
      await ended;
    },
  };
}

/** For publishes that do not wait to learn who got it: a clock moved by hand would never end the wait. */
export const withoutWait = { signal: AbortSignal.abort() };

/** Publishes `count` notifications one after the other and gives them as stored. */
export async function publishMany(area: Notifications, count: number): Promise<StoredNotification[]> {
  const stored: StoredNotification[] = [];
  for (let n = 0; n < count; n++) {
    const { notification } = await area.publish({ profile, kind: 'rows.refreshed', payload: { n } }, withoutWait);
    stored.push(notification);
  }
  return stored;
}
