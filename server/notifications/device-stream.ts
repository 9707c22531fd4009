import { SpanStatusCode } from '@opentelemetry/api';
import type { Clock } from '../core/clock.ts';
import type { AppError } from '../core/errors.ts';
import { nextTurn } from '../core/next-turn.ts';
import { createBell } from './bell.ts';
import type { CollapseIndex } from './collapse-index.ts';
import { isExpired, isFor } from './delivery.ts';
import { slowConsumer } from './errors.ts';
import type { Cursor, DeviceHello, Frame, GoAwayReason, StoredNotification } from './notification.ts';
import type { NotificationCounters } from './notification-counters.ts';
import type { DeviceStream, OnlineDevices } from './online-devices.ts';
import type { ProfileLog } from './profile-log.ts';
import { startPushSpan } from './push-span.ts';
import { createTimerSet } from './timer-set.ts';
import { createWriteOutcomes } from './write-outcomes.ts';

/** How long a stream and its client may take, in ms. */
export interface StreamTimes {
  readonly heartbeatMs: number;
  /** A client that takes nothing for this long loses its stream. */
  readonly slowConsumerMs: number;
  /** How long a stream may live. */
  readonly lifetimeMs: number;
  /** How long a stream that the server ended may take to leave before it is cut. */
  readonly goAwayGraceMs: number;
}

/** What one stream works with. */
export interface DeviceStreamDeps {
  readonly log: ProfileLog;
  readonly collapse: CollapseIndex;
  readonly online: OnlineDevices;
  readonly clock: Clock;
  readonly counters: NotificationCounters;
  readonly times: StreamTimes;
  /** Spread of reconnects after a go-away, in ms. */
  readonly spreadMs: () => number;
  /** Ends the call from outside: a client that does not read hears no go-away. */
  readonly cut: (reason: AppError) => void;
  readonly signal: AbortSignal;
}

/** Entries read from the log at once: with at most about 6 KiB each, all that a stream ever holds. */
const batchEntries = 32;

/**
 * One Subscribe stream: reads the profile's log by offset as fast as the client takes frames. It holds one small
 * batch, so a slow client costs no memory: what it has not taken stays in the log.
 */
export function createDeviceStream(deps: DeviceStreamDeps, hello: DeviceHello) {
  const { log, collapse, online, clock, counters, times, signal } = deps;
  const { profile, device } = hello;
  const bell = createBell();
  const outcomes = createWriteOutcomes();
  const waiting = new AbortController();
  const timers = createTimerSet(clock);
  let goAway: { reason: GoAwayReason; retryAfterMs: number } | undefined;
  let failure: unknown;
  let isHeartbeatDue = false;
  let isWatchingLog = false;
  let writingSince: number | undefined;

  const stream: DeviceStream = { hello, whenWritten, end };

  function whenWritten({ offset }: StoredNotification, limit: AbortSignal): Promise<boolean> {
    const isStalled = writingSince !== undefined && clock.monotonic() - writingSince > 1_000;
    return isStalled || goAway !== undefined ? Promise.resolve(false) : outcomes.of(offset, limit);
  }

  function end(reason: GoAwayReason, retryAfterMs: number): void {
    if (goAway !== undefined) return;
    goAway = { reason, retryAfterMs };
    outcomes.close();
    timers.schedule(times.goAwayGraceMs, () => deps.cut(slowConsumer(device, times.goAwayGraceMs)));
    bell.ring();
  }

  function scheduleHeartbeat(): void {
    timers.schedule(times.heartbeatMs, () => {
      isHeartbeatDue = true;
      bell.ring();
      scheduleHeartbeat();
    });
  }

  function onStalled(): void {
    online.remove(stream);
    end('SLOW_CONSUMER', deps.spreadMs());
  }

  /** Gives a frame to the client; resumes once the transport has taken it. */
  async function* write(frame: Frame): AsyncGenerator<Frame, void> {
    const cancel = timers.schedule(times.slowConsumerMs, onStalled);
    writingSince = clock.monotonic();
    try {
      yield frame;
    } finally {
      writingSince = undefined;
      cancel();
    }
  }

  async function* push(notification: StoredNotification): AsyncGenerator<Frame, void> {
    const span = startPushSpan(notification, hello);
    let isWritten = false;
    try {
      yield* write({ kind: 'notification', notification });
      isWritten = true;
      counters.add('pushed', { priority: notification.priority });
    } finally {
      if (!isWritten) span.setStatus({ code: SpanStatusCode.ERROR, message: 'the stream ended before the write' });
      span.end();
      outcomes.settle(notification.offset, isWritten);
    }
  }

  /** Undefined = deliver. Looked at when an entry is about to be written: much may have changed since it was read. */
  async function reasonToSkip(notification: StoredNotification) {
    if (!isFor(notification.targets, hello)) return 'not_targeted';
    if (await collapse.isReplaced(notification)) return 'collapsed';
    return isExpired(notification, clock.now()) ? 'expired_at_write' : undefined;
  }

  async function nextBatch(place: bigint): Promise<StoredNotification[]> {
    const batch = await log.read(profile, place, batchEntries);
    if (batch.length === 0 && failure === undefined && goAway === undefined && !isHeartbeatDue) {
      watchLog(place);
      await bell.wait();
    }
    return batch;
  }

  /** True when the log no longer holds what comes after the place; without a batch that may be all of it. */
  async function isTrimmed([first]: readonly StoredNotification[]): Promise<boolean> {
    if (first !== undefined) return first.offset > place.offset + 1n;
    return (await log.resolve(profile, place)).reset !== undefined;
  }

  function watchLog(place: bigint): void {
    if (isWatchingLog) return;
    isWatchingLog = true;
    const heard = (error?: unknown) => {
      isWatchingLog = false;
      failure ??= error;
      bell.ring();
    };
    log.waitForAppend(profile, place, waiting.signal).then(() => heard(), heard);
  }

  async function* deliver(batch: readonly StoredNotification[]): AsyncGenerator<Frame, void> {
    const readMs = clock.now();
    for (const notification of batch) {
      if (goAway !== undefined || isHeartbeatDue) return;
      const skipped = isExpired(notification, readMs) ? 'expired_at_dequeue' : await reasonToSkip(notification);
      if (skipped === undefined) yield* push(notification);
      else {
        if (skipped !== 'not_targeted') counters.add(skipped);
        outcomes.settle(notification.offset, false);
      }
      place = { ...place, offset: notification.offset };
    }
  }

  let place: Cursor = { epoch: '', offset: 0n };

  async function* frames(start: {
    cursor: Cursor;
    reset?: 'EPOCH_CHANGED' | 'RETENTION';
  }): AsyncGenerator<Frame, void> {
    place = start.cursor;
    signal.addEventListener('abort', bell.ring, { once: true });
    scheduleHeartbeat();
    timers.schedule(times.lifetimeMs, () => end('LIFETIME', deps.spreadMs()));
    const { heartbeatMs } = times;
    yield* write({ kind: 'hello', cursor: place, serverMs: clock.now(), heartbeatMs });
    if (start.reset !== undefined) yield* reset(start.reset);
    for (;;) {
      signal.throwIfAborted();
      if (failure !== undefined) throw failure;
      if (goAway !== undefined) return yield* write({ kind: 'go_away', ...goAway });
      if (isHeartbeatDue) {
        isHeartbeatDue = false;
        yield* write({ kind: 'heartbeat', newest: await log.head(profile) });
      }
      const batch = await nextBatch(place.offset);
      if (await isTrimmed(batch)) {
        // The log was trimmed under a slow reader: never a partial replay.
        place = await log.head(profile);
        yield* reset('RETENTION');
      } else yield* deliver(batch);
      await nextTurn();
    }
  }

  async function* reset(reason: 'EPOCH_CHANGED' | 'RETENTION'): AsyncGenerator<Frame, void> {
    counters.add('resets', { reason });
    yield* write({ kind: 'reset', cursor: place, reason });
  }

  /** Frees all that the stream holds; `reason` is for the counters. */
  function release(): void {
    online.remove(stream);
    waiting.abort();
    outcomes.close();
    timers.clear();
    signal.removeEventListener('abort', bell.ring);
    counters.add('streams_ended', { reason: goAway?.reason ?? 'CLIENT' });
  }

  return { stream, frames, release };
}
