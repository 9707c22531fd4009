/**
 * The file of a worker process that `serve` starts. Its first line of stdin is its configuration (not in the
 * environment, where secrets would show); the end of stdin tells that the server is gone, however it went.
 */
import process from 'node:process';
import { createInterface } from 'node:readline';
import type { Config } from '../server/core/config/settings.ts';
import { createLogger } from '../server/core/log.ts';
import { flushTelemetry } from '../server/core/telemetry/flush.ts';
import { runWorker } from './main.ts';

/** What the pool writes to the first line of a worker's stdin. */
export interface PooledWorkerStart {
  readonly config: Config;
  readonly name: string;
  /** Values of NOTEBOOK_SECRETS by name. */
  readonly secrets: Readonly<Record<string, string>>;
}

/** Without a server nobody waits for results: running jobs are handed back soon. */
const orphanDrainMs = 1_000;
/** A private Redis went with the server, and then nothing can be handed back: no use in waiting for longer. */
const orphanEndMs = 4_000;

const serverGone = new AbortController();
const input = createInterface({ input: process.stdin });
const first = Promise.withResolvers<string | undefined>();
input.once('line', first.resolve);
input.once('close', () => {
  first.resolve(undefined);
  serverGone.abort();
});

const line = await first.promise;
if (line !== undefined) {
  const { config, name, secrets } = JSON.parse(line) as PooledWorkerStart;
  const drainTimeoutMs = () => (serverGone.signal.aborted ? orphanDrainMs : config.DRAIN_TIMEOUT_MS);
  try {
    await Promise.race([
      runWorker(config, { env: { ...process.env, ...secrets }, name, signal: serverGone.signal, drainTimeoutMs }),
      afterAbort(serverGone.signal, orphanEndMs),
    ]);
  } catch (error) {
    createLogger({ level: config.LOG_LEVEL }).error('worker failed', { process: name, error });
    process.exitCode = 1;
  }
}
await flushTelemetry();
// Whatever a job has left open must not keep the process.
process.exit();

/** Resolves `ms` after the abort: a worker whose server is gone must not linger. */
function afterAbort(signal: AbortSignal, ms: number): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => setTimeout(resolve, ms), { once: true });
  });
}
