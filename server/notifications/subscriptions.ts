import { checkDevice } from './check-notification.ts';
import type { CollapseIndex } from './collapse-index.ts';
import type { DeviceRecords } from './device-records.ts';
import { createDeviceStream, type StreamTimes } from './device-stream.ts';
import { notificationsClosing, tooManyStreams } from './errors.ts';
import type { Cursor, DeviceHello, Frame } from './notification.ts';
import type { NotificationCounters } from './notification-counters.ts';
import type { NotificationsOptions, SubscribeOptions } from './notifications-api.ts';
import type { DeviceStream, OnlineDevices } from './online-devices.ts';
import type { ProfileLog } from './profile-log.ts';

type StreamOptions =
  | 'clock'
  | 'random'
  | 'heartbeatMs'
  | 'maxStreams'
  | 'slowConsumerMs'
  | 'maxLifetimeMs'
  | 'goAwayGraceMs'
  | 'reconnectSpreadMs';

/** Defaults stand with NotificationsOptions. */
export interface SubscriptionsDeps extends Pick<NotificationsOptions, StreamOptions> {
  readonly log: ProfileLog;
  readonly collapse: CollapseIndex;
  readonly devices: DeviceRecords;
  readonly online: OnlineDevices;
  readonly counters: NotificationCounters;
}

/** The Subscribe streams of this process. */
export interface Subscriptions {
  subscribe(hello: DeviceHello, cursor: Cursor | undefined, options: SubscribeOptions): AsyncGenerator<Frame, void>;
  /** Ends all streams with SHUTDOWN and waits until they left, `goAwayGraceMs` at most. */
  close(): Promise<void>;
}

/** Refuses new streams past `maxStreams`, but for those that replace one of their device. */
export function createSubscriptions(deps: SubscriptionsDeps): Subscriptions {
  const { log, devices, online, clock, counters } = deps;
  const { heartbeatMs = 15_000, maxStreams = 20_000, slowConsumerMs = 30_000, goAwayGraceMs = 5_000 } = deps;
  const { maxLifetimeMs = 1_800_000, reconnectSpreadMs = 30_000 } = deps;
  const open = new Map<DeviceStream, Promise<void>>();
  let isClosing = false;

  // Nobody comes back in the first second, and all over the spread: no herd.
  const spreadMs = () => Math.round(1_000 + deps.random.next() * reconnectSpreadMs);
  const timesOfStream = (): StreamTimes => {
    const lifetimeMs = maxLifetimeMs * (1 - deps.random.next() / 10);
    return { heartbeatMs, slowConsumerMs, goAwayGraceMs, lifetimeMs };
  };

  function checkRoom({ profile, device }: DeviceHello): void {
    if (isClosing) throw notificationsClosing(spreadMs());
    if (open.size < maxStreams || online.find(profile, device) !== undefined) return;
    counters.add('streams_refused');
    throw tooManyStreams(maxStreams, spreadMs());
  }

  async function* subscribe(
    given: DeviceHello,
    cursor: Cursor | undefined,
    { signal, cut }: SubscribeOptions,
  ): AsyncGenerator<Frame, void> {
    const hello = checkDevice(given);
    checkRoom(hello);
    const device = await devices.register(hello, await log.head(hello.profile));
    const start = await log.resolve(hello.profile, cursor ?? device.acknowledged);
    checkRoom(hello);
    const { stream, frames, release } = createDeviceStream(
      { ...deps, times: timesOfStream(), spreadMs, cut, signal },
      hello,
    );
    const { promise, resolve } = Promise.withResolvers<void>();
    open.set(stream, promise);
    online.add(stream);
    counters.add('streams_opened');
    try {
      yield* frames(start);
    } finally {
      release();
      open.delete(stream);
      resolve();
    }
  }

  async function close(): Promise<void> {
    isClosing = true;
    for (const stream of open.keys()) stream.end('SHUTDOWN', spreadMs());
    const { promise: isLate, resolve } = Promise.withResolvers<void>();
    const cancel = clock.schedule(goAwayGraceMs, resolve);
    await Promise.race([Promise.all(open.values()), isLate]);
    cancel();
  }

  return { subscribe, close };
}
