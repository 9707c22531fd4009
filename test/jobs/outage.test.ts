import assert from 'node:assert/strict';
import { waitUntil } from '../support/wait-until.ts';
import { type JobsHarness, openJobsHarness } from './fixtures/harness.ts';

describe('an outage of Redis', () => {
  let harness: JobsHarness;
  before(async () => {
    harness = await openJobsHarness();
    await harness.startWorker();
  });
  after(() => harness.close());

  it('by kill -9 amid work loses no acknowledged job, and workers go on by themselves', async () => {
    const held = await harness.create('hold', { log: harness.path('log'), until: harness.path('go') });
    await waitUntil('it runs', () => harness.lines('log').length > 0);
    const before = await Promise.all(Array.from({ length: 20 }, (_, i) => harness.create('echo', { value: i })));
    const pid = harness.redis.pid() ?? 0;
    process.kill(pid, 'SIGKILL');
    await waitUntil('the queue noticed', () => !harness.queue.isConnected());
    const during = await Promise.all(Array.from({ length: 5 }, (_, i) => harness.create('echo', { value: 100 + i })));
    await waitUntil('Redis was restarted', () => (harness.redis.pid() ?? pid) !== pid && harness.queue.isConnected());
    const after = await harness.create('echo', { value: 'after' });
    harness.touch('go');
    for (const job of [held, ...before, ...during, after]) await harness.untilState(job.id, 'succeeded');
    assert.deepEqual((await harness.jobs.get(after.id)).result, { echo: 'after' });
  });

  it('does not keep a cancel from being carried out later', async () => {
    const { id } = await harness.create('hold', { log: harness.path('cancelled'), until: harness.path('never') });
    await waitUntil('it runs', () => harness.lines('cancelled').length > 0);
    process.kill(harness.redis.pid() ?? 0, 'SIGKILL');
    await waitUntil('the queue noticed', () => !harness.queue.isConnected());
    assert.equal((await harness.jobs.cancel(id)).state, 'cancelled');
    await waitUntil('the work was aborted', () => harness.lines('cancelled').some((line) => line.startsWith('abort')));
    assert.equal((await harness.jobs.get(id)).state, 'cancelled');
  });
});

describe('a crash of the server', () => {
  let harness: JobsHarness;
  before(async () => {
    harness = await openJobsHarness();
  });
  after(() => harness.close());

  it('between record and queue is made good by the next start', async () => {
    // A queue that is closed refuses the job as a crash would: the record is all that is there.
    await harness.queue.close();
    const { id } = await harness.create('echo', { value: 'outbox' });
    await harness.startWorker();
    await harness.restartServer();
    assert.deepEqual((await harness.untilState(id, 'succeeded')).result, { echo: 'outbox' });
  });

  it('while jobs end is made good from what Redis keeps', async () => {
    const { id } = await harness.create('hold', { log: harness.path('log'), until: harness.path('go') });
    await waitUntil('it runs', () => harness.lines('log').length === 1);
    await harness.queue.close();
    await harness.jobs.close();
    harness.touch('go');
    await waitUntil('it has ended', () => harness.lines('log').length === 2);
    await harness.restartServer();
    const job = await harness.untilState(id, 'succeeded');
    assert.equal(job.attempts.length, 1);
    assert.equal(job.sequence, 6, 'queued, running, attempt, progress, attempt, succeeded: each once');
  });

  it('before a result was published runs the hook again', async () => {
    const calls: string[] = [];
    const crashed = Promise.withResolvers<never>();
    crashed.promise.catch(() => {});
    harness.jobs.onJobSucceeded('echo', (job) => {
      calls.push(job.id);
      return crashed.promise;
    });
    const { id } = await harness.create('echo');
    await waitUntil('the hook runs', () => calls.length === 1);
    assert.equal((await harness.jobs.get(id)).state, 'running');
    crashed.reject(new Error('the server is gone'));
    await harness.restartServer({}, (jobs) => jobs.onJobSucceeded('echo', async (job) => void calls.push(job.id)));
    await harness.untilState(id, 'succeeded');
    assert.deepEqual(calls, [id, id]);
  });

  it('with Redis empty begins the jobs again above their old fences', async () => {
    const { id } = await harness.create('hold', { log: harness.path('wiped'), until: harness.path('wiped-go') });
    await waitUntil('it runs', () => harness.lines('wiped').length === 1);
    await waitUntil('its start is stored', async () => (await harness.jobs.get(id)).fence === '1');
    await harness.wipeRedis();
    await waitUntil(
      'it runs again',
      () => harness.lines('wiped').filter((line) => line.startsWith('start')).length === 2,
    );
    harness.touch('wiped-go');
    const job = await harness.untilState(id, 'succeeded');
    assert.equal((job.result as { fence: string }).fence, '2');
  });
});
