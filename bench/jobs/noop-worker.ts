import { createLogger } from '../../server/core/log.ts';
import type { JobKind } from '../../workers/queue/job-kind.ts';
import { createWorkerRunner } from '../../workers/queue/worker-runner.ts';

/** A worker process of the bench: `noop-worker.ts <redis url> <work folder> <slots>`; prints a line per start of a hold. */
const [url = '', workDir = '', slots = '8'] = process.argv.slice(2);
const common = { queueClass: 'bench', timeoutMs: 60_000, maxRetries: 3, parseParams: () => ({}) };
const kinds: JobKind[] = [
  { ...common, name: 'noop', run: async () => ({}) },
  {
    ...common,
    name: 'hold',
    // The first attempt waits to be killed.
    run: async ({ attempt, clock, signal }) => {
      process.stdout.write(`hold ${attempt}\n`);
      if (attempt === 1) await clock.sleep(60_000, signal);
      return { attempt };
    },
  },
];
const log = createLogger({ level: 'error' });
await createWorkerRunner({ url, kinds, slots: { bench: Number(slots) }, workDir, log });
process.stdout.write('ready\n');
