import assert from 'node:assert/strict';
import { silentLogger } from '../../server/core/log.ts';
import { queueKeys } from '../../workers/queue/queue-keys.ts';
import { createWorkerRunner, type WorkerRunner, type WorkerRunnerOptions } from '../../workers/queue/worker-runner.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type JobsHarness, openJobsHarness } from './fixtures/harness.ts';
import { testKinds } from './fixtures/kinds.ts';
import { redisCommand } from './fixtures/redis-command.ts';

const hourMs = 3_600_000;

describe('a wall clock that is set', () => {
  const systemNow = Date.now;
  let harness: JobsHarness;
  let runner: WorkerRunner | undefined;
  /** The wall clock of this process, and so of BullMQ in it; timers run on as they do. */
  const shift = (ms: number) => {
    const now = Date.now;
    Date.now = () => now() + ms;
  };
  /** A worker in this process. */
  const startRunner = async (backoffMs: number, more: Partial<WorkerRunnerOptions> = {}) => {
    runner = await createWorkerRunner({
      ...{ url: harness.redis.url, prefix: harness.prefix, workDir: harness.path('work'), kinds: testKinds },
      ...{ slots: { work: 4 }, log: silentLogger, retryBackoff: { baseMs: backoffMs, maxMs: backoffMs } },
      ...more,
    });
  };
  const redis = (command: string, ...args: string[]) => redisCommand(harness.redis.url, command, ...args);
  const keys = () => queueKeys(harness.prefix);
  const isDelayed = () => waitUntil('the retry waits', async () => (await harness.queue.counts('work')).delayed === 1);
  before(async () => {
    harness = await openJobsHarness();
  });
  afterEach(async () => {
    Date.now = systemNow;
    await runner?.close(0);
    runner = undefined;
  });
  after(() => harness.close());

  it('back by an hour lets a retry come after its time, not an hour later', async () => {
    await startRunner(2_000);
    const { id } = await harness.create('flaky', { failures: 1, log: harness.path('back') });
    await isDelayed();
    shift(-hourMs);
    assert.deepEqual((await harness.untilEnded(id)).result, { attempt: 2 });
  });

  it('back while no worker is there does so too', async () => {
    await startRunner(2_000);
    const { id } = await harness.create('flaky', { failures: 1, log: harness.path('away') });
    await isDelayed();
    await runner?.close(0);
    shift(-hourMs);
    await startRunner(2_000);
    assert.deepEqual((await harness.untilEnded(id)).result, { attempt: 2 });
  });

  it('forward by an hour lets a retry come early, and once', async () => {
    await startRunner(600_000);
    const { id } = await harness.create('flaky', { failures: 1, log: harness.path('forward') });
    await isDelayed();
    shift(hourMs);
    // Wakes the worker, which else looks for what is due every 10 s.
    await harness.create('noop');
    assert.deepEqual((await harness.untilEnded(id)).result, { attempt: 2 });
    assert.deepEqual(harness.lines('forward'), ['run 1', 'run 2']);
  });

  it('back leaves nobody waiting for a lost worker whose lease Redis would keep for an hour', async () => {
    const worker = await harness.startWorker();
    const { id } = await harness.create('hold', { log: harness.path('lost'), until: harness.path('go') });
    await waitUntil('it runs', () => harness.lines('lost').length === 1);
    await worker.kill();
    // What expires in Redis does so at a wall time: after a jump back there is that much more to go.
    await redis('pexpire', `${keys().queued('work', id)}:lock`, String(hourMs));
    await redis('set', keys().stalledCheck('work'), '1', 'PX', String(hourMs));
    await startRunner(1_000, { leaseMs: 1_000, stallCheckMs: 200 });
    await waitUntil('it runs again', () => harness.lines('lost').length === 2);
    harness.touch('go');
    assert.equal((await harness.untilEnded(id)).state, 'succeeded');
  });

  it('back lets no worker that is gone count as one that may do what others cannot', async () => {
    await redis('del', keys().workers('work'));
    await redis('zadd', keys().workers('work'), String(Date.now() + hourMs), 'gone');
    await startRunner(500);
    const { id } = await harness.create('picky', { dir: harness.dir });
    assert.equal((await harness.untilEnded(id)).error?.reason, 'ENCODER_MISSING');
  });

  it('back does not leave a job that nobody can do on offer for an hour', async () => {
    await startRunner(500);
    const { id } = await harness.create('picky', { dir: harness.dir });
    await waitUntil('it was left once', async () => (await redis('hexists', keys().unfit(id), 'since')) === 1);
    await redis('hset', keys().unfit(id), 'since', String(Date.now() + hourMs));
    assert.equal((await harness.untilEnded(id)).error?.reason, 'ENCODER_MISSING');
  });

  it('forward, by which leases run out, does not take jobs from workers that live', async () => {
    // Nobody looks for lost workers just in between: that is a race, and both ends of it are fine.
    await startRunner(1_000, { stallCheckMs: 600_000 });
    const { id } = await harness.create('hold', { log: harness.path('kept'), until: harness.path('end') });
    await waitUntil('it runs', () => harness.lines('kept').length === 1);
    const lock = `${keys().queued('work', id)}:lock`;
    for (let i = 0; i < 3; i++) {
      await redis('del', lock);
      await waitUntil('it has its lease again', async () => (await redis('exists', lock)) === 1);
    }
    harness.touch('end');
    const job = await harness.untilEnded(id);
    assert.deepEqual([job.state, job.attempts.length], ['succeeded', 1]);
    assert.equal(harness.lines('kept').length, 2, 'started and ended');
  });
});
