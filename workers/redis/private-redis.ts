import { mkdir, readdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Clock, systemClock } from '../../server/core/clock.ts';
import type { Logger } from '../../server/core/log.ts';
import { chooseAddress, type RedisAddress, readAddress, removeAddress, storeAddress, urlOf } from './redis-address.ts';
import { redisDirInUse, redisMissing, redisNotReady } from './redis-errors.ts';
import { pingRedis } from './redis-ping.ts';
import { findRedisServer, type RedisProcess, startRedisProcess } from './redis-process.ts';

/** Which Redis holds the jobs, and how long it is waited for. */
export interface OpenRedisOptions {
  /** A running Redis or Valkey (redis:, rediss:, unix:); absent = start a private one. */
  readonly url?: string | undefined;
  /** Folder of the private Redis' data; created when absent. */
  readonly dir: string;
  readonly log: Logger;
  readonly clock?: Clock;
  /** PATH to look for redis-server and valkey-server on. Default: this process's. */
  readonly path?: string;
  /** How long to wait until it answers (it may have much to load), in ms. Default 30,000. */
  readonly readyTimeoutMs?: number;
  /** How long to wait for the Redis of a former owner to end, in ms. Default 10,000. */
  readonly takeoverTimeoutMs?: number;
}

/** A Redis that answers. */
export interface OpenedRedis {
  /** Give it to createJobQueue and createWorkerRunner. */
  readonly url: string;
  /** Process id of the private Redis at this moment; undefined with a given URL or between restarts. */
  pid(): number | undefined;
  /** Ends the private Redis; a given one is left alone. */
  close(): Promise<void>;
}

const minBackoffMs = 100;
const maxBackoffMs = 5_000;
/** A run longer than this was healthy: the next restart starts at the least backoff again. */
const healthyRunMs = 30_000;
const stopTimeoutMs = 10_000;

/**
 * The Redis of the job queue: the given one, or a private one whose data lives under `dir`.
 * The private one ends with its owner (also by kill -9) and is restarted on the same data when it dies.
 * Throws REDIS_MISSING, REDIS_NOT_READY, REDIS_DIR_IN_USE.
 */
export async function openRedis(options: OpenRedisOptions): Promise<OpenedRedis> {
  if (options.url !== undefined && options.url !== '') {
    return { url: options.url, pid: () => undefined, close: async () => {} };
  }
  const { log, clock = systemClock, readyTimeoutMs = 30_000, takeoverTimeoutMs = 10_000 } = options;
  const binary = findRedisServer(options.path ?? process.env['PATH'] ?? '');
  if (binary === undefined) throw redisMissing();
  const dir = resolve(options.dir);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await waitUntilFree(dir, clock, takeoverTimeoutMs);
  for (const name of await readdir(dir)) if (/^redis-.*\.sock$/.test(name)) await rm(join(dir, name), { force: true });

  const stopping = new AbortController();
  const address = await chooseAddress(dir);
  // Before it listens there: whoever comes after a crash of this process must find it.
  await storeAddress(dir, address);
  let current: RedisProcess | undefined;
  const start = async (): Promise<RedisProcess> => {
    const redis = startRedisProcess(binary, dir, address);
    current = redis;
    try {
      await waitUntilReady(redis, address, clock, readyTimeoutMs);
    } catch (error) {
      await redis.stop(0);
      throw error;
    }
    return redis;
  };
  const first = await start().catch(async (error: unknown) => {
    await removeAddress(address);
    throw error;
  });
  const supervised = keepRunning(first, { start, clock, log, signal: stopping.signal });
  return {
    url: urlOf(address),
    pid: () => current?.pid,
    close: async () => {
      stopping.abort();
      await current?.stop(stopTimeoutMs);
      await supervised;
      await removeAddress(address);
    },
  };
}

interface Keeping {
  readonly start: () => Promise<RedisProcess>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Starts Redis again whenever it ends, until the signal; waits longer after each end that follows soon. */
async function keepRunning(first: RedisProcess, { start, clock, log, signal }: Keeping): Promise<void> {
  let redis: RedisProcess | undefined = first;
  let backoffMs = minBackoffMs;
  while (!signal.aborted) {
    const startedAt = clock.monotonic();
    const end = await redis?.exited;
    if (signal.aborted) return;
    if (redis !== undefined) {
      if (clock.monotonic() - startedAt > healthyRunMs) backoffMs = minBackoffMs;
      log.warn('private redis ended, restarting', { ...end, restart_in_ms: backoffMs, output: redis.output() });
    }
    await clock.sleep(backoffMs, signal).catch(() => {});
    if (signal.aborted) return;
    backoffMs = Math.min(backoffMs * 2, maxBackoffMs);
    redis = await start().catch((error: unknown) => {
      if (!signal.aborted) log.error('private redis did not restart', { error });
      return undefined;
    });
  }
}

/** URL of the private Redis that a running server keeps in `dir`; undefined when none answers there. */
export async function findPrivateRedis(dir: string): Promise<string | undefined> {
  const address = await readAddress(resolve(dir));
  return address !== undefined && (await pingRedis(address)) !== 'absent' ? urlOf(address) : undefined;
}

/** A former owner that was killed leaves its Redis to the watchdog for a moment, and its socket for good. */
async function waitUntilFree(dir: string, clock: Clock, timeoutMs: number): Promise<void> {
  const former = await readAddress(dir);
  if (former === undefined) return;
  const deadline = clock.monotonic() + timeoutMs;
  while ((await pingRedis(former)) !== 'absent') {
    if (clock.monotonic() > deadline) throw redisDirInUse(dir);
    await clock.sleep(50);
  }
  await removeAddress(former);
}

async function waitUntilReady(redis: RedisProcess, address: RedisAddress, clock: Clock, timeoutMs: number) {
  let ended = false;
  void redis.exited.then(() => {
    ended = true;
  });
  const startedAt = clock.monotonic();
  while ((await pingRedis(address)) !== 'ready') {
    const waitedMs = Math.round(clock.monotonic() - startedAt);
    if (ended || waitedMs > timeoutMs) throw redisNotReady(waitedMs, redis.output());
    await clock.sleep(10);
  }
}
