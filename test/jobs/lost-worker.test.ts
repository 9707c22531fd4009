import assert from 'node:assert/strict';
import { waitUntil } from '../support/wait-until.ts';
import { type JobsHarness, openJobsHarness } from './fixtures/harness.ts';
import { useSharedRedis } from './fixtures/shared-redis.ts';

describe('a lost worker', () => {
  let harness: JobsHarness;
  const redis = useSharedRedis();
  beforeEach(async () => {
    harness = await openJobsHarness({ sharedRedis: redis() });
  });
  afterEach(() => harness.close());

  const pidOf = (line = '') => Number(line.split(' ').at(-1));
  const startsOf = (name: string) => harness.lines(name).filter((line) => line.startsWith('start'));

  it('leaves its job to another one soon after kill -9, as attempt 2 with a higher fence', async () => {
    await harness.close();
    // With the lease that workers have by default; how soon is measured by the bench of jobs.
    harness = await openJobsHarness({ sharedRedis: redis(), lease: {} });
    const workers = [await harness.startWorker(), await harness.startWorker()];
    const { id } = await harness.create('hold', { log: harness.path('log'), until: harness.path('go') });
    await waitUntil('it runs', () => startsOf('log').length === 1);
    const killed = pidOf(startsOf('log')[0]);
    process.kill(killed, 'SIGKILL');
    await waitUntil('it runs elsewhere', () => startsOf('log').length === 2);
    harness.touch('go');
    const job = await harness.untilState(id, 'succeeded');
    const survivor = workers.map((worker) => worker.process.pid).find((pid) => pid !== killed);
    assert.deepEqual(job.result, { attempt: 2, fence: '2', pid: survivor });
    assert.deepEqual(
      job.attempts.map((attempt) => attempt.endReason),
      ['WORKER_LOST', undefined],
    );
  });

  it('that only slept can neither report nor finish when it wakes', async () => {
    const workers = [await harness.startWorker(), await harness.startWorker()];
    const { id } = await harness.create('hold', { log: harness.path('log'), until: harness.path('go') });
    await waitUntil('it runs', () => startsOf('log').length === 1);
    const sleeper = pidOf(startsOf('log')[0]);
    process.kill(sleeper, 'SIGSTOP');
    try {
      await waitUntil('it runs elsewhere', () => startsOf('log').length === 2);
      process.kill(sleeper, 'SIGCONT');
      await waitUntil('the sleeper gave up', () => harness.lines('log').some((line) => line.startsWith('abort 1')));
    } finally {
      process.kill(sleeper, 'SIGCONT');
    }
    harness.touch('go');
    const job = await harness.untilState(id, 'succeeded');
    assert.equal(job.attempts.length, 2);
    assert.deepEqual(job.result, { attempt: 2, fence: '2', pid: pidOf(startsOf('log')[1]) });
    assert.ok(harness.lines('log').includes('abort 1 JOB_LEASE_LOST'));
    assert.ok(
      workers.every((worker) => worker.process.exitCode === null),
      'the sleeper lives on',
    );
  });

  it('costs a job with parts only the part that it ran', async () => {
    const params = { parts: 4, log: harness.path('log'), until: harness.path('go') };
    await harness.startWorker({ work: 1, parts: 2 });
    const doomed = await harness.startWorker({ parts: 2 });
    const { id } = await harness.create('fan', params);
    const parts = () => harness.lines('log').filter((line) => line.startsWith('part'));
    await waitUntil('all parts run', () => parts().length === 4);
    const lost = parts().filter((line) => pidOf(line) === doomed.process.pid);
    assert.equal(lost.length, 2);
    await doomed.kill();
    await harness.startWorker({ parts: 2 });
    await waitUntil('the lost parts run again', () => parts().length === 6);
    harness.touch('go');
    const job = await harness.untilState(id, 'succeeded');
    const lostParts = new Set(lost.map((line) => Number(line.split(' ')[1])));
    assert.deepEqual(job.result, {
      parts: [0, 1, 2, 3],
      attempts: [0, 1, 2, 3].map((part) => (lostParts.has(part) ? 2 : 1)),
    });
    assert.deepEqual(
      job.attempts.map((attempt) => attempt.endReason),
      ['WAITS_FOR_PARTS', undefined],
    );
    assert.deepEqual(job.progress?.detail, { parts_done: 4, parts_total: 4 });
  });

  it('is not one that computes for longer than its lease without a pause', async () => {
    await harness.startWorker({ work: 1 });
    // Others look for stalled jobs.
    const { id } = await harness.create('busy', { ms: 2_500 });
    await harness.untilState(id, 'running');
    await harness.startWorker({ work: 1 });
    const job = await harness.untilState(id, 'succeeded');
    assert.deepEqual([job.result, job.attempts.length], [{ attempt: 1 }, 1]);
  });

  it('takes a job with it that loses more workers than its kind allows', async () => {
    const { id } = await harness.create('fragile', { log: harness.path('log'), until: harness.path('never') });
    for (const attempt of [1, 2]) {
      const worker = await harness.startWorker();
      await waitUntil(`attempt ${attempt} runs`, () => startsOf('log').length === attempt);
      await worker.kill();
    }
    await harness.startWorker();
    const job = await harness.untilState(id, 'failed');
    assert.deepEqual([job.error?.class, job.error?.reason], ['killed', 'WORKER_LOST']);
    assert.equal(startsOf('log').length, 2);
  });

  it('that is told to stop hands its job back and leaves no lost attempt', async () => {
    const first = await harness.startWorker();
    const { id } = await harness.create('hold', { log: harness.path('log'), until: harness.path('go') });
    await waitUntil('it runs', () => startsOf('log').length === 1);
    first.process.kill('SIGTERM');
    assert.equal(await first.ended, 0);
    assert.ok(harness.lines('log').includes('abort 1 WORKER_STOPPING'));
    await harness.startWorker();
    await waitUntil('it runs elsewhere', () => startsOf('log').length === 2);
    harness.touch('go');
    const job = await harness.untilState(id, 'succeeded');
    assert.deepEqual(
      job.attempts.map((attempt) => attempt.endReason),
      ['WORKER_STOPPING', undefined],
    );
  });
});

describe('parts of a job', () => {
  let harness: JobsHarness;
  before(async () => {
    harness = await openJobsHarness();
    await harness.startWorker({ work: 2, parts: 2 });
  });
  after(() => harness.close());

  it('fail it with their own error after the others were cancelled', async () => {
    const { id } = await harness.create('fan', {
      parts: 4,
      failing: 1,
      log: harness.path('log'),
      until: harness.path('never'),
    });
    const job = await harness.untilState(id, 'failed');
    assert.deepEqual([job.error?.class, job.error?.reason], ['user', 'INVALID_FIELDS']);
    assert.equal(job.error?.metadata['child'], `${id}.parts.part-1`);
    for (const key of ['part-0', 'part-2', 'part-3']) {
      const part = await harness.untilEnded(`${id}.parts.${key}`);
      assert.deepEqual([part.state, part.error?.reason], ['cancelled', 'SIBLING_FAILED']);
    }
    assert.equal(job.attempts.length, 2, 'not tried again');
  });

  it('are listed only when asked for', async () => {
    const query = { kinds: new Set<string>(), states: new Set<never>(), labels: {}, after: undefined, pageSize: 100 };
    const own = await harness.jobs.list({ ...query, includeParts: false });
    const all = await harness.jobs.list({ ...query, includeParts: true });
    assert.ok(own.jobs.every((job) => job.parent === undefined));
    assert.equal(all.jobs.length - own.jobs.length, 4);
    const part = all.jobs.find((job) => job.parent !== undefined);
    assert.match(part?.label ?? '', /^part \d$/);
  });
});
