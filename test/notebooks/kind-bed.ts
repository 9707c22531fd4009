import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { SecretProvider } from '../../notebooks-runner/run/secrets.ts';
import { systemClock } from '../../server/core/clock.ts';
import { silentLogger } from '../../server/core/log.ts';
import { openFolderObjects } from '../../server/stores/objects/folder-objects.ts';
import type { ObjectStore } from '../../server/stores/objects/object-store.ts';
import { createNotebookKind } from '../../workers/notebook/notebook-kind.ts';
import type { NotebookResult } from '../../workers/notebook/result.ts';
import type { JobContext, JobProgress, Json } from '../../workers/queue/job-kind.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { processesNaming } from './notebook-bed.ts';

const notebooksDir = join(import.meta.dirname, '../../notebooks');

/** The job kind on a folder of objects; each run is a job of its own, and leaves no process. */
export interface KindBed extends AsyncDisposable {
  readonly objects: ObjectStore;
  readonly progress: readonly JobProgress[];
  put(key: string, content: string | object): Promise<void>;
  run(
    params: Json,
    options?: { signal?: AbortSignal; onProgress?: (report: JobProgress) => void },
  ): Promise<NotebookResult>;
}

export async function createKindBed(secrets?: SecretProvider): Promise<KindBed> {
  const dir = await createTempDir();
  const objects = await openFolderObjects({ dir: join(dir.path, 'objects'), clock: systemClock, log: silentLogger });
  const kind = createNotebookKind({ objects, notebooksDir, hostEnv: process.env, log: silentLogger, secrets });
  const progress: JobProgress[] = [];
  let runs = 0;
  return {
    objects,
    progress,
    put: async (key, content) => {
      await objects.put(key, Buffer.from(typeof content === 'string' ? content : JSON.stringify(content)));
    },
    run: async (params, { signal = new AbortController().signal, onProgress = () => {} } = {}) => {
      const work = await createTempDir();
      const context: JobContext = {
        jobId: `job${++runs}`,
        attempt: 1,
        fence: 1n,
        signal,
        log: silentLogger,
        clock: systemClock,
        workDir: work.path,
        progress: (report) => {
          progress.push(report);
          onProgress(report);
        },
        step: (_name, run) => run(),
        children: () => Promise.reject(new Error('a notebook job has no children')),
      };
      try {
        return await kind.run(context, kind.parseParams(params));
      } finally {
        assert.deepEqual(processesNaming(work.path), []);
        await work[Symbol.asyncDispose]();
      }
    },
    [Symbol.asyncDispose]: async () => {
      await objects.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}
