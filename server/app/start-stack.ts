import { startWorkerPool } from '../../workers/pool.ts';
import { systemClock } from '../core/clock.ts';
import type { Config } from '../core/config/settings.ts';
import { createLogger, type Logger } from '../core/log.ts';
import { setProcessName } from '../core/telemetry/span-feed.ts';
import { type App, buildApp, type Environment } from './build-app.ts';
import { closeStack } from './close-stack.ts';

/** The server with its worker processes: what `serve` and `demo` run. */
export interface Stack extends App {
  /** Process ids of the workers that live at this moment. */
  workerPids(): readonly number[];
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts the server, then as many workers as SHOWRUNNER_WORKERS says. Throws what buildApp throws. */
export async function startStack(
  config: Config,
  env: Environment,
  log: Logger = createLogger({ level: config.LOG_LEVEL }),
): Promise<Stack> {
  setProcessName('server');
  const app = await buildApp(config, log.child({ process: 'server' }), env);
  const pool = startWorkerPool({ count: config.WORKERS, config: { ...config, REDIS_URL: app.redisUrl }, env, log });
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= closeStack({ app, pool, clock: systemClock, drainTimeoutMs: config.DRAIN_TIMEOUT_MS });
    return closing;
  };
  return { ...app, workerPids: () => pool.pids(), close, [Symbol.asyncDispose]: close };
}
