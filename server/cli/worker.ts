import { parseArgs } from 'node:util';
import { runWorker } from '../../workers/main.ts';
import { readConfig } from '../core/config/read-config.ts';
import { flushTelemetry } from '../core/telemetry/flush.ts';

/** `showrunner worker`: one worker process on the same state folder and Redis as a running server. */
export async function worker(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  // It takes none, and says so of any.
  parseArgs({ args: [...args], options: {} });
  await runWorker(readConfig(env), { env });
  await flushTelemetry();
  // Whatever a job, or a Redis that is away, has left open must not keep the process.
  process.exit(0);
}
