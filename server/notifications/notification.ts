import type { JsonObject } from '@bufbuild/protobuf';

/** Class of service, highest first. */
export type Priority = 'critical' | 'high' | 'normal' | 'bulk';

/** Devices that a notification is for; empty lists and an absent device bind nothing. */
export interface Targets {
  /** Only these categories. */
  readonly categories: readonly string[];
  /** Only devices that have all of these. */
  readonly capabilities: readonly string[];
  /** Bare device id that is left out; empty = none. */
  readonly excludeDevice: string;
}

/** A notification as a publisher gives it. */
export interface NewNotification {
  /** Idempotency key, remembered per profile for 24 h; absent or empty = the server makes one. */
  readonly notificationId?: string;
  /** `profiles/{profile}`. */
  readonly profile: string;
  /** e.g. `rows.refreshed`. */
  readonly kind: string;
  readonly subject?: string;
  /** At most 4 KiB as JSON. */
  readonly payload?: JsonObject | undefined;
  readonly priority?: Priority;
  /** Undelivered ones of the same profile, key, categories and capabilities are replaced by the newest. */
  readonly collapseKey?: string;
  /** Default 7 days, at most 30. */
  readonly ttlMs?: number | undefined;
  /** Unix ms from which the ttl counts, e.g. when the event happened; default now. */
  readonly sinceMs?: number;
  readonly targets?: Partial<Targets>;
}

/** A notification as the profile's log keeps it. */
export interface StoredNotification {
  readonly notificationId: string;
  readonly profile: string;
  readonly kind: string;
  readonly subject: string;
  readonly payload: JsonObject;
  readonly priority: Priority;
  readonly collapseKey: string;
  readonly ttlMs: number;
  readonly targets: Targets;
  /** Unix ms. */
  readonly createMs: number;
  /** Unix ms from which it is not delivered any more. */
  readonly expireMs: number;
  /** W3C traceparent of what caused it; empty when unknown. */
  readonly traceparent: string;
  /** Place in the profile's log, from 1. */
  readonly offset: bigint;
}

/** A place in a profile's log: everything up to and including the offset was seen. */
export interface Cursor {
  /** Identity of the log's history. */
  readonly epoch: string;
  readonly offset: bigint;
}

/** A device as it introduces itself. */
export interface DeviceHello {
  /** Bare id. */
  readonly device: string;
  /** `profiles/{profile}`. */
  readonly profile: string;
  readonly category: string;
  readonly capabilities: readonly string[];
}

/** A device as the service knows it. */
export interface KnownDevice extends DeviceHello {
  readonly acknowledged: Cursor;
  /** Unix ms. */
  readonly lastSeenMs: number;
}

/** Why a stream ends with a go-away. */
export type GoAwayReason = 'REPLACED' | 'SHUTDOWN' | 'LIFETIME' | 'SLOW_CONSUMER';
/** Why a cursor cannot be honoured. */
export type ResetReason = 'EPOCH_CHANGED' | 'RETENTION';

/** One frame of a Subscribe stream. */
export type Frame =
  | { readonly kind: 'hello'; readonly cursor: Cursor; readonly serverMs: number; readonly heartbeatMs: number }
  | { readonly kind: 'notification'; readonly notification: StoredNotification }
  | { readonly kind: 'heartbeat'; readonly newest: Cursor }
  | { readonly kind: 'reset'; readonly cursor: Cursor; readonly reason: ResetReason }
  | { readonly kind: 'go_away'; readonly retryAfterMs: number; readonly reason: GoAwayReason };
