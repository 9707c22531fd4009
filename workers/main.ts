import { join, resolve } from 'node:path';
import { systemClock } from '../server/core/clock.ts';
import type { Config } from '../server/core/config/settings.ts';
import { createLifecycle } from '../server/core/lifecycle.ts';
import { createLogger } from '../server/core/log.ts';
import { onFinishedSpan, setProcessName } from '../server/core/telemetry/span-feed.ts';
import { openObjects } from '../server/stores/objects/open-objects.ts';
import { openStateOwner } from '../server/stores/state-owner.ts';
import { createJobKinds } from './kinds.ts';
import type { JobKind } from './queue/job-kind.ts';
import { createRelayWriter } from './queue/relay.ts';
import { createWorkerRunner } from './queue/worker-runner.ts';
import { findPrivateRedis } from './redis/private-redis.ts';
import { redisOfServerMissing } from './redis/redis-errors.ts';
import { unservedClasses } from './transcode/ffmpeg/worker-capability.ts';

/** What a worker is told by whoever starts it. */
export interface RunWorkerOptions {
  /** The process environment, for what programs are found by. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Name in logs and traces. Default `worker`. */
  readonly name?: string;
  /** Aborted to end the worker, besides SIGTERM and SIGINT. */
  readonly signal?: AbortSignal;
  /** How long jobs get to end by themselves, asked once the worker is to end, in ms. Default config.DRAIN_TIMEOUT_MS. */
  readonly drainTimeoutMs?: () => number;
  /** Called once jobs are taken. */
  readonly onReady?: () => void;
}

/**
 * Runs jobs until SIGTERM, SIGINT or the signal, then lets them end or hands them back. Without REDIS_URL it joins
 * the private Redis of the server that runs on the same STATE_DIR. Its process should exit afterwards: where Redis is
 * away, connections to it are left behind. Throws REDIS_OF_SERVER_MISSING, and REDIS_IN_USE when objects are kept in
 * another state folder than that of the server whose jobs these are.
 */
export async function runWorker(config: Config, options: RunWorkerOptions): Promise<void> {
  const { env, name = 'worker', drainTimeoutMs = () => config.DRAIN_TIMEOUT_MS } = options;
  const log = createLogger({ level: config.LOG_LEVEL }).child({ process: name });
  const clock = systemClock;
  const stateDir = resolve(config.STATE_DIR);
  const redisDir = join(stateDir, 'redis');
  const own = await findPrivateRedis(redisDir);
  const url = config.REDIS_URL ?? own;
  if (url === undefined) throw redisOfServerMissing(redisDir);
  // Objects in the state folder are the server's only when the folder is; others can be anybody's.
  const isShared = url !== own && config.OBJECTS_URL === undefined;

  setProcessName(name);
  const ending = endOf(options.signal);
  const lifecycle = createLifecycle({ log, stepTimeoutMs: config.DRAIN_TIMEOUT_MS + 20_000 });
  try {
    const spans = createRelayWriter({ url, clock, log });
    lifecycle.defer('span relay', () => spans.close());
    lifecycle.defer(
      'span feed',
      onFinishedSpan((span) => spans.write([JSON.stringify(span)])),
    );
    const objects = await openObjects({ url: config.OBJECTS_URL, stateDir, clock, log });
    lifecycle.defer('objects', () => objects.close());
    const kinds = createJobKinds({ config, objects, log, env, defer: lifecycle.defer });
    const locations = { ffmpegPath: config.FFMPEG, ffprobePath: config.FFPROBE, searchPath: env['PATH'] ?? '' };
    const unserved = await unservedClasses(locations);
    if (unserved.length > 0) log.info('classes without an encoder get no slots', { classes: unserved.join() });
    const starting = createWorkerRunner({
      url,
      kinds,
      slots: slotsOf(kinds, config.WORKER_SLOTS, unserved),
      workDir: join(stateDir, 'work'),
      log,
      clock,
      ...(isShared ? { owner: openStateOwner(stateDir) } : {}),
    });
    const runner = await Promise.race([starting, ending]);
    // Asked to end while it still waits for Redis, which keeps connections open: the caller exits.
    if (runner === undefined) return;
    lifecycle.defer('jobs', () => runner.close(drainTimeoutMs()));
    log.info('worker takes jobs', { pid: process.pid });
    options.onReady?.();
    await ending;
    log.info('worker ends', { running: runner.running() });
  } finally {
    await lifecycle.close();
  }
}

/** Where the setting says nothing one slot per class, so that every kind is served, and none where it cannot be. */
function slotsOf(
  kinds: readonly JobKind[],
  given: Readonly<Record<string, number>>,
  unserved: readonly string[],
): Record<string, number> {
  const classes = new Set(kinds.map((kind) => kind.queueClass));
  const slots = (queueClass: string) => given[queueClass] ?? (unserved.includes(queueClass) ? 0 : 1);
  return Object.fromEntries([...classes].map((queueClass) => [queueClass, slots(queueClass)]));
}

/** Resolves at the first SIGTERM, SIGINT or abort. */
function endOf(signal: AbortSignal | undefined): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve());
  if (signal?.aborted) resolve();
  signal?.addEventListener('abort', () => resolve(), { once: true });
  return promise;
}
