import { connect, type Socket } from 'node:net';
import { metrics } from '@opentelemetry/api';
import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { Random } from '../../core/random.ts';
import { storeClosed } from '../store-errors.ts';
import { cacheOverloaded, cacheProtocolError, cacheTimeout, cacheUnavailable } from './cache-errors.ts';
import { createCommandQueue, type MetaCommand } from './command-queue.ts';
import { createMetaParser, type MetaReply } from './meta-parser.ts';

/** Which server is connected to, and how long it is waited for. */
export interface MetaConnectionOptions {
  readonly host: string;
  readonly port: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** A command without its answer after this time fails with CACHE_TIMEOUT, in ms. */
  readonly commandTimeoutMs: number;
  /** Answers that may be outstanding; more are refused with CACHE_OVERLOADED. */
  readonly maxInFlight: number;
}

/** One connection to memcached for everybody. */
export interface MetaConnection {
  /** Sends the command with all others of this tick; resolves when its last answer was taken. */
  run(command: MetaCommand, signal: AbortSignal | undefined): Promise<void>;
  /** Ends it; what waits is rejected with STORE_CLOSED. */
  close(): void;
}

/** Connecting, with one exchange, takes at most this long. */
const connectTimeoutMs = 1_000;
const leastBackoffMs = 50;
const mostBackoffMs = 5_000;
const readBufferBytes = 64 * 1024;
const maxUnsentBytes = 16 * 1024 * 1024;
/** After this many timeouts without a byte from the server, calls fail at once until it speaks again. */
const timeoutsUntilSilent = 3;
/** A server that stays silent for this long after a timeout is given up, and connected to anew. */
const maxSilenceMs = 5_000;

type State = 'connecting' | 'ready' | 'down' | 'closed';

/**
 * One pipelined connection to memcached that comes back by itself. Commands wait only for the very first attempt to
 * connect; while the server cannot be reached they fail at once with CACHE_UNAVAILABLE.
 */
export function openMetaConnection(options: MetaConnectionOptions): MetaConnection {
  const { host, port, clock, random, log, commandTimeoutMs, maxInFlight } = options;
  const server = `${host}:${port}`;
  const meter = metrics.getMeter('showrunner.cache');
  const refused = meter.createCounter('cache_commands_refused');
  const timedOut = meter.createCounter('cache_commands_timed_out');
  const reconnects = meter.createCounter('cache_reconnects');

  let state: State = 'connecting';
  let socket: Socket | undefined;
  let attempts = 0;
  let lastFailure: unknown;
  let unsent: (string | Uint8Array)[] = [];
  let unsentBytes = 0;
  let isFlushPlanned = false;
  let silentTimeouts = 0;
  let stopSilence: (() => void) | undefined;
  let stopRetry: (() => void) | undefined;

  const queue = createCommandQueue(clock, commandTimeoutMs, () => {
    timedOut.add(1);
    silentTimeouts++;
    stopSilence ??= clock.schedule(maxSilenceMs, () => socket?.destroy(new Error('the server is silent')));
    return cacheTimeout(server, commandTimeoutMs);
  });

  function heard(): void {
    silentTimeouts = 0;
    stopSilence?.();
    stopSilence = undefined;
  }

  function flush(): void {
    isFlushPlanned = false;
    if (state !== 'ready' || unsent.length === 0) return;
    const isText = unsent.every((part) => typeof part === 'string');
    const bytes = isText ? unsent.join('') : Buffer.concat(unsent.map((part) => toBytes(part)));
    unsent = [];
    unsentBytes = 0;
    socket?.write(bytes);
  }

  function send(request: readonly (string | Uint8Array)[]): void {
    for (const part of request) {
      unsent.push(part);
      unsentBytes += part.length;
    }
    if (isFlushPlanned || state !== 'ready') return;
    isFlushPlanned = true;
    setImmediate(flush);
  }

  function onReply(reply: MetaReply): void {
    if (state === 'connecting' || state === 'down') {
      if (reply.code !== 'MN') throw cacheProtocolError(server, reply.line);
      onReady();
      return;
    }
    if (!queue.answer(reply)) throw cacheProtocolError(server, reply.line);
  }

  function onReady(): void {
    log.info('cache server connected', { server, attempts });
    state = 'ready';
    attempts = 0;
    flush();
  }

  function onLost(error: unknown): void {
    heard();
    if (state === 'closed') return;
    lastFailure = error ?? new Error('the server closed the connection');
    // One line when it is lost, one when it is back; the tries in between are counted only.
    if (state !== 'down') log.warn('cache server lost', { server, error: messageOf(lastFailure) });
    state = 'down';
    unsent = [];
    unsentBytes = 0;
    queue.failAll(cacheUnavailable(server, lastFailure));
    const ceilingMs = Math.min(mostBackoffMs, leastBackoffMs * 2 ** attempts);
    attempts++;
    stopRetry = clock.schedule(ceilingMs * (0.5 + random.next() / 2), open);
  }

  function open(): void {
    if (attempts > 0) reconnects.add(1);
    const parser = createMetaParser(onReply);
    const onRead = (count: number, buffer: Uint8Array) => {
      heard();
      try {
        parser.push(buffer.subarray(0, count));
      } catch (error) {
        opened.destroy(error instanceof Error ? error : new Error(messageOf(error)));
      }
      return true;
    };
    // One buffer for all reads: the parser copies what it keeps.
    const onread = { buffer: Buffer.allocUnsafeSlow(readBufferBytes), callback: onRead };
    const opened = connect({ host, port, noDelay: true, keepAlive: true, onread });
    socket = opened;
    let failure: unknown;
    const stopTimer = clock.schedule(connectTimeoutMs, () => {
      if (state !== 'ready' && state !== 'closed') opened.destroy(new Error(`no answer within ${connectTimeoutMs} ms`));
    });
    opened.on('connect', () => opened.write('mn\r\n'));
    opened.on('error', (error) => {
      failure = error;
    });
    opened.on('close', () => {
      stopTimer();
      onLost(failure);
    });
  }

  function refusal(weight: number): Error | undefined {
    if (state === 'closed') return storeClosed('cache');
    if (state === 'down' || silentTimeouts >= timeoutsUntilSilent) return cacheUnavailable(server, lastFailure);
    if (queue.weight + weight <= maxInFlight && unsentBytes + (socket?.writableLength ?? 0) <= maxUnsentBytes) {
      return undefined;
    }
    refused.add(1);
    return cacheOverloaded(server);
  }

  open();
  return {
    run: (command, signal) => {
      if (signal?.aborted) return Promise.reject(signal.reason);
      const error = refusal(command.weight);
      if (error !== undefined) return Promise.reject(error);
      send(command.request);
      return queue.add(command, signal);
    },
    close: () => {
      if (state === 'closed') return;
      state = 'closed';
      stopRetry?.();
      socket?.destroy();
      queue.failAll(storeClosed('cache'));
    },
  };
}

function toBytes(part: string | Uint8Array): Uint8Array {
  return typeof part === 'string' ? Buffer.from(part) : part;
}
