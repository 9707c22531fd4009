/** A worker of the chaos run, started by the pool as workers/pooled-worker.ts is; short leases, short backoff. */
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { systemClock } from '../../server/core/clock.ts';
import { silentLogger } from '../../server/core/log.ts';
import { openFolderObjects } from '../../server/stores/objects/folder-objects.ts';
import { createWorkerRunner } from '../../workers/queue/worker-runner.ts';
import { createChaosKinds, openChaosKernels } from './chaos-kinds.ts';

const gone = Promise.withResolvers<void>();
const input = createInterface({ input: process.stdin });
const first = Promise.withResolvers<string | undefined>();
input.once('line', first.resolve);
input.once('close', () => {
  gone.resolve();
  first.resolve(undefined);
});
process.once('SIGTERM', () => gone.resolve());
const line = await first.promise;
// The server was killed before it wrote anything.
if (line === undefined) process.exit();
const { config } = JSON.parse(line) as { config: { REDIS_URL: string; STATE_DIR: string } };
const objects = await openFolderObjects({
  dir: join(config.STATE_DIR, 'objects'),
  clock: systemClock,
  log: silentLogger,
});
const kernels = openChaosKernels(config.STATE_DIR);
const runner = await createWorkerRunner({
  url: config.REDIS_URL,
  kinds: createChaosKinds(objects, kernels),
  slots: { work: 4, parts: 3, notebook: 1 },
  workDir: join(config.STATE_DIR, 'work'),
  log: silentLogger,
  leaseMs: 800,
  stallCheckMs: 250,
  abortGraceMs: 500,
  retryBackoff: { baseMs: 20, maxMs: 100 },
});
await gone.promise;
// Redis may be gone too: no use in waiting for it.
setTimeout(() => process.exit(), 2_000).unref();
await runner.close(100);
await kernels.pool?.close();
process.exit();
