import assert from 'node:assert/strict';
import { runChaos } from '../../bench/jobs-chaos/run-chaos.ts';

describe('workers, notebook kernels, server and Redis killed at seeded moments', function () {
  // Servers and kernels start anew; on a loaded machine each takes seconds.
  this.timeout(180_000);

  it('lose no job, leave none, end and publish none twice, leave no process behind', async () => {
    // bench/jobs-chaos.ts runs a hundred rounds. The seed kills each of the five once.
    const { jobs, kills, retries, tookMs, ...faults } = await runChaos({ rounds: 5, seed: 48 });
    assert.equal(jobs, 40);
    assert.deepEqual(kills, { worker: 1, server: 1, redis: 1, runner: 1, kernel: 1 });
    assert.ok(retries > 0 && tookMs > 0);
    const none = { lost: [], unfinished: [], endedTwice: [], publishedTwice: [], wrong: [], orphans: [] };
    assert.deepEqual(faults, none);
  });
});
