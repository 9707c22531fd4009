import { join } from 'node:path';
import { createKernelPool } from '../../notebooks-runner/kernel/kernel-pool.ts';
import { systemClock } from '../../server/core/clock.ts';
import { createLogger } from '../../server/core/log.ts';
import { openFolderObjects } from '../../server/stores/objects/folder-objects.ts';
import { createNotebookKind } from '../../workers/notebook/notebook-kind.ts';
import { createWorkerRunner } from '../../workers/queue/worker-runner.ts';

/** A worker process that runs notebooks in kernels started ahead: `notebook-worker.ts <redis url> <state folder>`. */
const [url = '', dir = ''] = process.argv.slice(2);
const log = createLogger({ level: 'error' });
const objects = await openFolderObjects({ dir: join(dir, 'objects'), clock: systemClock, log });
const pool = createKernelPool({ clock: systemClock, log, maxIdle: 4 });
const kind = createNotebookKind({
  objects,
  log,
  notebooksDir: '',
  hostEnv: process.env,
  pool,
  kernelDir: join(dir, 'kernels'),
});
const runner = await createWorkerRunner({
  url,
  kinds: [kind],
  slots: { notebook: 4 },
  workDir: join(dir, 'work'),
  log,
});
process.once('SIGTERM', () => {
  void (async () => {
    await runner.close(1_000);
    await pool.close();
    process.exit();
  })();
});
process.stdout.write('ready\n');
