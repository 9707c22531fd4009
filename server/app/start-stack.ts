import { startWorkerPool } from '../../workers/pool.ts';
import type { Config } from '../core/config/settings.ts';
import { createLogger, type Logger } from '../core/log.ts';
import { setProcessName } from '../core/telemetry/span-feed.ts';
import { type App, buildApp } from './build-app.ts';

/** The server with its worker processes: what `serve` and `demo` run. */
export interface Stack extends App {
  readonly workerPids: readonly number[];
  [Symbol.asyncDispose](): Promise<void>;
}

const workerCloseMs = 10_000;

/** Starts the server, then as many workers as SHOWRUNNER_WORKERS says. Throws what buildApp throws. */
export async function startStack(
  config: Config,
  log: Logger = createLogger({ level: config.LOG_LEVEL }),
): Promise<Stack> {
  setProcessName('server');
  const app = await buildApp(config, log.child({ process: 'server' }));
  const pool = startWorkerPool({ count: config.WORKERS, config, redisUrl: app.redisUrl, log });
  const close = async () => {
    await pool.close(workerCloseMs);
    await app.close();
  };
  return { ...app, workerPids: pool.pids(), close, [Symbol.asyncDispose]: close };
}
