import type { Clock } from '../../server/core/clock.ts';
import { messageOf } from '../../server/core/errors.ts';
import type { Logger } from '../../server/core/log.ts';
import { openConnection } from './connection.ts';
import { defaultPrefix, queueKeys } from './queue-keys.ts';

export interface SpanRelayOptions {
  readonly url: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly prefix?: string;
}

/** Redis keeps about this many batches of spans; older ones are dropped unread. */
const maxBatches = 2_000;
/** Spans held while Redis is away or slow; further ones are dropped and counted. */
const maxHeldSpans = 2_000;
const maxSpansPerBatch = 100;
const blockMs = 5_000;
const errorPauseMs = 500;

/** Sends finished spans (JSON texts) to the server over a bounded Redis stream. Never waits, never throws. */
export function createSpanRelayWriter({ url, log, prefix = defaultPrefix }: SpanRelayOptions) {
  const redis = openConnection(url, 'producer', log);
  const { spans } = queueKeys(prefix);
  let held: string[] = [];
  let dropped = 0;
  let sending: Promise<void> | undefined;

  const drain = async () => {
    // One turn of the event loop gathers what ends together.
    await new Promise((resolve) => setImmediate(resolve));
    while (held.length > 0) {
      const batch = held.splice(0, maxSpansPerBatch);
      try {
        await redis.xadd(spans, 'MAXLEN', '~', maxBatches, '*', 'spans', JSON.stringify(batch));
      } catch (error) {
        dropped += batch.length;
        log.debug('spans could not be sent', { spans: batch.length, error: messageOf(error) });
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
    write: (spanJson: readonly string[]): void => {
      const room = Math.max(0, maxHeldSpans - held.length);
      held = [...held, ...spanJson.slice(0, room)];
      dropped += spanJson.length - Math.min(room, spanJson.length);
      if (held.length > 0) void flush();
    },
    flush,
    /** Spans that were not sent. */
    dropped: () => dropped,
    close: async (): Promise<void> => {
      await flush();
      redis.disconnect();
    },
  };
}

type StreamReply = [string, [string, string[]][]][] | null;

/** Hands over spans of worker processes as they come, from now on, until closed. */
export function createSpanRelayReader(
  { url, clock, log, prefix = defaultPrefix }: SpanRelayOptions,
  onSpans: (spanJson: readonly string[]) => void,
): { close(): Promise<void> } {
  const redis = openConnection(url, 'worker', log);
  const { spans } = queueKeys(prefix);
  const closing = new AbortController();
  const closed = new Promise<null>((resolve) => closing.signal.addEventListener('abort', () => resolve(null)));

  const read = async () => {
    // Ids of the stream are times: from a moment ago, so that what is written while we connect is seen.
    let position = `${Math.floor(clock.now()) - 1000}-0`;
    while (!closing.signal.aborted) {
      try {
        // While Redis is away the command itself never ends, not even by a disconnect.
        const reading = redis.xread('COUNT', 64, 'BLOCK', blockMs, 'STREAMS', spans, position);
        const reply = (await Promise.race([reading, closed])) as StreamReply;
        for (const [id, fields] of reply?.[0]?.[1] ?? []) {
          position = id;
          onSpans(JSON.parse(fields[1] ?? '[]') as string[]);
        }
      } catch (error) {
        if (closing.signal.aborted) return;
        log.debug('spans could not be read', { error: messageOf(error) });
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
