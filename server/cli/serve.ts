import { parseArgs } from 'node:util';
import { startStack } from '../app/start-stack.ts';
import { readConfig } from '../core/config/read-config.ts';
import { createLogger } from '../core/log.ts';

/**
 * `showrunner serve`: runs until SIGINT or SIGTERM, then drains; a second signal ends at once. A signal that comes
 * during the start lets it end first.
 */
export async function serve(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  // It takes none, and says so of any.
  parseArgs({ args: [...args], options: {} });
  const config = readConfig(env);
  const log = createLogger({ level: config.LOG_LEVEL });
  const signal = firstSignal();
  await using stack = await startStack(config, env, log);
  const { address, webAddress } = stack;
  log.info('serving', { address, web_address: webAddress, workers: stack.workerPids(), state_dir: config.STATE_DIR });
  log.info('draining', { signal: await signal, drain_timeout_ms: config.DRAIN_TIMEOUT_MS });
  return 0;
}

/** The first SIGINT or SIGTERM from now on; the next one ends the process at once. */
function firstSignal(): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let isAsked = false;
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (isAsked) process.exit(1);
      isAsked = true;
      resolve(name);
    });
  }
  return promise;
}
