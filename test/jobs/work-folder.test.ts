import assert from 'node:assert/strict';
import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { silentLogger } from '../../server/core/log.ts';
import type { JobKind } from '../../workers/queue/job-kind.ts';
import { createWorkerRunner } from '../../workers/queue/worker-runner.ts';
import { openJobsHarness } from './fixtures/harness.ts';

describe('the private folder of an attempt', () => {
  it('costs no job its result when it cannot be removed, and is the platform’s fault when it cannot be made', async () => {
    const kind = { name: 'breaks', queueClass: 'work', timeoutMs: 10_000, maxRetries: 1, parseParams: () => null };
    const harness = await openJobsHarness({ kinds: [kind] });
    const workDir = harness.path('work');
    let runs = 0;
    const breaks: JobKind<null> = {
      ...kind,
      run: async () => {
        runs++;
        // A file in place of the worker's own folder: nothing can be removed or made below it.
        for (const name of await readdir(workDir)) {
          await rm(join(workDir, name), { recursive: true });
          await writeFile(join(workDir, name), '');
        }
        return 'done';
      },
    };
    const { redis, prefix } = harness;
    const worker = await createWorkerRunner({
      ...{ url: redis.url, prefix, kinds: [breaks], slots: { work: 1 }, workDir, log: silentLogger },
      retryBackoff: { baseMs: 10, maxMs: 10 },
    });
    try {
      const first = await harness.create('breaks');
      const { state, result, attempts } = await harness.untilEnded(first.id);
      assert.deepEqual([state, result, attempts.length, runs], ['succeeded', 'done', 1, 1]);
      const second = await harness.create('breaks');
      const { error, attempts: tries } = await harness.untilEnded(second.id);
      assert.deepEqual([error?.class, error?.reason, tries.length, runs], ['platform', 'JOB_CRASHED', 2, 1]);
    } finally {
      await worker.close(100);
      await harness.close();
    }
  });
});
