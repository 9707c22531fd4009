import { parseArgs } from 'node:util';
import { startStack } from '../app/start-stack.ts';
import { readConfig } from '../core/config/read-config.ts';
import { createLogger } from '../core/log.ts';
import { firstSignal } from './first-signal.ts';

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
  const { name } = await signal;
  log.info('draining', { signal: name, drain_timeout_ms: config.DRAIN_TIMEOUT_MS });
  return 0;
}
