import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { startStack } from '../app/start-stack.ts';
import { readConfig } from '../core/config/read-config.ts';
import { createLogger } from '../core/log.ts';

/** `showrunner serve`: runs until SIGINT or SIGTERM, then drains; a second signal ends at once. */
export async function serve(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  // It takes none, and says so of any.
  parseArgs({ args: [...args], options: {} });
  const config = readConfig(env);
  const log = createLogger({ level: config.LOG_LEVEL });
  await using stack = await startStack(config, env, log);
  log.info('serving', { address: stack.address, workers: stack.workerPids(), state_dir: config.STATE_DIR });
  const signal = await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  log.info('draining', { signal: String(signal[0] ?? ''), drain_timeout_ms: config.DRAIN_TIMEOUT_MS });
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => process.exit(1));
  return 0;
}
