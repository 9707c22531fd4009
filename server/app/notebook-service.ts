import { join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import type { Config } from '../core/config/settings.ts';
import { isTerminal } from '../jobs/job-record.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { createNotebookService } from '../notebooks/service.ts';
import type { ServiceRegistration } from '../rpc/handler.ts';
import type { ObjectStore } from '../stores/objects/object-store.ts';

const shippedDir = join(import.meta.dirname, '../../notebooks');

/** NotebookService on the jobs of kind `notebook`. */
export function notebookService(
  config: Config,
  { jobs, objects, clock }: { readonly jobs: Jobs; readonly objects: ObjectStore; readonly clock: Clock },
): ServiceRegistration {
  return createNotebookService({
    objects,
    shippedDir,
    clock,
    maxPageBytes: Math.floor(config.MAX_MESSAGE_BYTES * 0.95),
    getJob: async (id) => {
      const { kind, state, params, error } = await jobs.get(id);
      const stored = params as { outputKey?: unknown };
      const given = typeof stored.outputKey === 'string' && stored.outputKey !== '' ? stored.outputKey : undefined;
      // A run that failed stored its output too, and says where.
      const failed = error?.metadata?.['output_key'];
      return { kind, isEnded: isTerminal(state), outputKey: failed || given };
    },
  });
}
