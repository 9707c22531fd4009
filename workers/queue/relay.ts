import type { Redis } from 'ioredis';
import type { Clock } from '../../server/core/clock.ts';
import { messageOf } from '../../server/core/errors.ts';
import type { Logger } from '../../server/core/log.ts';
import { orAborted } from '../../server/core/or-aborted.ts';
import { openConnection } from './connection.ts';
import { defaultPrefix, queueKeys } from './queue-keys.ts';

interface RelayOptions {
  readonly url: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly prefix?: string;
  /** Streams of different names do not meet. Default `spans`. */
  readonly stream?: 'spans' | 'logs';
}

/** Redis keeps about this many batches; older ones are dropped unread. */
const maxBatches = 2_000;
/** Texts held while Redis is away or slow; further ones are dropped and counted. */
const maxHeld = 2_000;
const maxPerBatch = 100;
const blockMs = 5_000;
const errorPauseMs = 500;

/** Sends texts, e.g. finished spans as JSON, to the servers over a bounded Redis stream. Never waits, never throws. */
export function createRelayWriter({ url, log, prefix = defaultPrefix, stream = 'spans' }: RelayOptions) {
  const redis = openConnection(url, 'producer', log);
  const key = queueKeys(prefix)[stream];
  let held: string[] = [];
  let dropped = 0;
  let sending: Promise<void> | undefined;

  const drain = async () => {
    // One turn of the event loop gathers what ends together.
    await new Promise((resolve) => setImmediate(resolve));
    while (held.length > 0) {
      const batch = held.splice(0, maxPerBatch);
      try {
        await redis.xadd(key, 'MAXLEN', '~', maxBatches, '*', 'texts', JSON.stringify(batch));
      } catch (error) {
        dropped += batch.length;
        log.debug('relay could not send', { stream, texts: batch.length, error: messageOf(error) });
      }
    }
  };
  const flush = (): Promise<void> => {
    sending ??= drain().finally(() => {
      sending = undefined;
    });
    return sending;
  };

  return {
    write: (texts: readonly string[]): void => {
      const room = Math.max(0, maxHeld - held.length);
      held = [...held, ...texts.slice(0, room)];
      dropped += texts.length - Math.min(room, texts.length);
      if (held.length > 0) void flush();
    },
    flush,
    /** Texts that were not sent. */
    dropped: () => dropped,
    close: async (): Promise<void> => {
      await flush();
      redis.disconnect();
    },
  };
}

/** Ids of streams are times of Redis' own clock: from a moment ago, so that what is written while we connect is seen. */
async function aMomentAgo(redis: Redis): Promise<string> {
  const [seconds] = await redis.time();
  return `${Number(seconds) - 1}000-0`;
}

type StreamReply = [string, [string, string[]][]][] | null;

/**
 * Hands over texts of worker processes as they come until closed: from `from` on, a position that was told before, or
 * else from now on. The next ones wait for a callback that gives a promise.
 */
export function createRelayReader(
  { url, clock, log, prefix = defaultPrefix, stream = 'spans', from }: RelayOptions & { readonly from?: string },
  onTexts: (texts: readonly string[], position: string) => void | Promise<void>,
): { close(): Promise<void> } {
  const redis = openConnection(url, 'worker', log);
  const key = queueKeys(prefix)[stream];
  const closing = new AbortController();

  const read = async () => {
    let position = from;
    while (!closing.signal.aborted) {
      try {
        position ??= await orAborted(aMomentAgo(redis), closing.signal);
        if (position === undefined) return;
        // While Redis is away the command itself never ends, not even by a disconnect.
        const reading = redis.xread('COUNT', 64, 'BLOCK', blockMs, 'STREAMS', key, position);
        const reply = (await orAborted(reading, closing.signal)) as StreamReply | undefined;
        for (const [id, fields] of reply?.[0]?.[1] ?? []) {
          await onTexts(JSON.parse(fields[1] ?? '[]') as string[], id);
          position = id;
        }
      } catch (error) {
        if (closing.signal.aborted) return;
        log.debug('relay could not be read', { stream, error: messageOf(error) });
        await clock.sleep(errorPauseMs, closing.signal).catch(() => {});
      }
    }
  };
  const reading = read();
  return {
    close: async () => {
      closing.abort();
      redis.disconnect();
      await reading;
    },
  };
}
