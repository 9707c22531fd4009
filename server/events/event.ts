import type { JsonObject } from '@bufbuild/protobuf';

/** An event as a producer gives it. */
export interface NewEvent {
  /** Idempotency key, remembered for 24 h; absent or empty = the server makes one. */
  readonly eventId?: string;
  /** A registered kind, e.g. `play.stopped`. */
  readonly kind: string;
  /** `profiles/{profile}`; absent or empty = concerns none. */
  readonly profile?: string;
  /** What it is about, e.g. `titles/318`. */
  readonly subject?: string;
  /** `devices/{device}` that caused it; absent or empty = none. */
  readonly device?: string;
  /** Unix ms; absent = now. */
  readonly occurredMs?: number | undefined;
  /** Kind-specific values, at most 4 KiB as JSON. */
  readonly data?: JsonObject | undefined;
}

/** An event as the log keeps it. */
export interface StoredEvent {
  readonly eventId: string;
  readonly kind: string;
  readonly profile: string;
  readonly subject: string;
  readonly device: string;
  /** Unix ms. */
  readonly occurredMs: number;
  readonly data: JsonObject;
  /** Unix ms. */
  readonly acceptedMs: number;
  /** W3C traceparent of the span that published it; empty when there was none. */
  readonly traceparent: string;
  /** Place in the log, from 1. */
  readonly offset: bigint;
}

/** What became of a published event; a duplicate gives the event that was stored first. */
export type Published =
  | { readonly outcome: 'accepted' | 'duplicate'; readonly event: StoredEvent }
  | { readonly outcome: 'too_old'; readonly event?: undefined };
