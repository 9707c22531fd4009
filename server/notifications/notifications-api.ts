import type { Clock } from '../core/clock.ts';
import type { AppError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Random } from '../core/random.ts';
import type { ServiceRegistration } from '../rpc/handler.ts';
import type { EventLog } from '../stores/events/event-log.ts';
import type { RecordsStore } from '../stores/records/records-store.ts';
import type { InboxPage } from './inbox.ts';
import type { Cursor, DeviceHello, Frame, KnownDevice, NewNotification } from './notification.ts';
import type { NotificationCounters } from './notification-counters.ts';
import type { PublishOptions, PublishResult } from './publisher.ts';

/** What the area is built on, and its bounds. */
export interface NotificationsOptions {
  readonly log: EventLog;
  readonly records: RecordsStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Time between heartbeats of a stream, in ms. Default 15,000. */
  readonly heartbeatMs?: number;
  /** Streams open at once in this process. Default 20,000. */
  readonly maxStreams?: number;
  /** A client that takes nothing for this long loses its stream, in ms. Default 30,000. */
  readonly slowConsumerMs?: number;
  /** How long a stream may live, less up to a tenth at random, in ms. Default 30 minutes. */
  readonly maxLifetimeMs?: number;
  /** How long an ended stream may take to leave before it is cut, in ms. Default 5,000. */
  readonly goAwayGraceMs?: number;
  /** Reconnects after a go-away are spread over this time, in ms. Default 30,000. */
  readonly reconnectSpreadMs?: number;
  /** How long a publish waits to learn which devices got it, in ms. Default 200. */
  readonly pushWaitMs?: number;
  /** Newest notifications kept per profile. Default 10,000. */
  readonly maxPerProfile?: number;
  /** Devices per profile at most. Default 200. */
  readonly maxDevicesPerProfile?: number;
}

/** What a stream needs of the call that carries it. */
export interface SubscribeOptions {
  /** Aborted when the caller leaves. */
  readonly signal: AbortSignal;
  /** Ends the call from outside when its client does not read. */
  readonly cut: (reason: AppError) => void;
}

/** A device with its presence. */
export type ListedDevice = KnownDevice & { readonly online: boolean };

/** The notifications area as the composition root and other areas have it. */
export interface Notifications {
  readonly service: ServiceRegistration;
  /**
   * Stores a notification and pushes it; for publishers in this process, e.g. rules. INVALID_FIELDS,
   * NOTIFICATION_ID_REUSED, NOTIFICATION_EXPIRED.
   */
  publish(notification: NewNotification, options?: PublishOptions): Promise<PublishResult>;
  /**
   * Frames of one device until the stream ends; see Subscribe in the contract. INVALID_FIELDS, TOO_MANY_STREAMS,
   * TOO_MANY_DEVICES, NOTIFICATIONS_CLOSING.
   */
  subscribe(hello: DeviceHello, cursor: Cursor | undefined, options: SubscribeOptions): AsyncGenerator<Frame, void>;
  /**
   * One page of what a device has not seen, `limit` notifications at most; without a cursor from what it acknowledged.
   * INVALID_FIELDS, TOO_MANY_DEVICES.
   */
  sync(hello: DeviceHello, cursor: Cursor | undefined, limit: number): Promise<InboxPage>;
  /** Stores what a device has seen. CURSOR_UNKNOWN, DEVICE_NOT_FOUND. */
  acknowledge(profile: string, device: string, cursor: Cursor): Promise<Cursor>;
  /** Known devices by id, after the given one. */
  listDevices(profile: string, limit: number, after?: string): Promise<ListedDevice[]>;
  /** Devices online in this process. */
  onlineCount(): number;
  readonly counters: NotificationCounters;
  /** Sends every stream a go-away and waits a moment until they have left. Close it before the RPC server. */
  close(): Promise<void>;
}
