import assert from 'node:assert/strict';
import { waitUntil } from '../support/wait-until.ts';
import { type JobsHarness, openJobsHarness } from './fixtures/harness.ts';
import { useSharedRedis } from './fixtures/shared-redis.ts';

describe('a worker that cannot do a job', () => {
  let harness: JobsHarness;
  const redis = useSharedRedis();
  beforeEach(async () => {
    harness = await openJobsHarness({ sharedRedis: redis() });
  });
  afterEach(() => harness.close());

  const create = (kind: string) => harness.create(kind, { dir: harness.dir });
  const startFit = async (slots: Record<string, number>) => {
    const { process } = await harness.startWorker(slots);
    harness.touch(`fit-${process.pid}`);
    return process.pid;
  };

  it('leaves it to one that can, without an attempt of its own', async () => {
    await harness.startWorker({ work: 2 });
    const fit = await startFit({ work: 1 });
    const jobs = await Promise.all(Array.from({ length: 3 }, () => create('picky')));
    for (const { id } of jobs) {
      const { result, attempts } = await harness.untilState(id, 'succeeded');
      assert.deepEqual([result, attempts.length], [{ attempt: 1, pid: fit }, 1]);
    }
  });

  it('lets it wait for one that is busy, and does meanwhile what it can do', async () => {
    const fit = await startFit({ work: 1 });
    const held = await harness.create('hold', { log: harness.path('log'), until: harness.path('go') });
    await waitUntil('the fit one is busy', () => harness.lines('log').length === 1);
    const other = await harness.startWorker({ work: 1 });
    const picky = await Promise.all(Array.from({ length: 2 }, () => create('picky')));
    const errors = () => other.errors().split('job is left to other workers').length - 1;
    await waitUntil('the unfit one has seen them', () => errors() >= 2);
    for (const { id } of await Promise.all([create('echo'), create('echo')])) {
      const { attempts } = await harness.untilState(id, 'succeeded');
      assert.match(attempts[0]?.worker ?? '', new RegExp(`/${other.process.pid}/`));
    }
    for (const { id } of picky) assert.equal((await harness.jobs.get(id)).state, 'queued');
    harness.touch('go');
    await harness.untilState(held.id, 'succeeded');
    for (const { id } of picky) {
      assert.deepEqual((await harness.untilState(id, 'succeeded')).result, { attempt: 1, pid: fit });
    }
  });

  it('and is one of several that cannot lets it end with its own error', async () => {
    await harness.startWorker({ work: 1 });
    await harness.startWorker({ work: 1 });
    const { id } = await create('picky');
    const { error, attempts } = await harness.untilState(id, 'failed');
    assert.deepEqual([error?.reason, error?.class, attempts.length], ['ENCODER_MISSING', 'user', 1]);
  });

  it('does not keep it from being cancelled', async () => {
    await harness.startWorker({ work: 1 });
    await startFit({ work: 1 });
    await harness.create('hold', { log: harness.path('log'), until: harness.path('go') });
    await harness.create('hold', { log: harness.path('log'), until: harness.path('go') });
    await waitUntil('both are busy', () => harness.lines('log').length === 2);
    const { id } = await create('picky');
    await harness.jobs.cancel(id);
    assert.equal((await harness.untilEnded(id)).state, 'cancelled');
    harness.touch('go');
  });

  it('of a class that none takes jobs of is named where its parts wait, which go on when one comes', async () => {
    await harness.startWorker({ work: 1 });
    const { id } = await harness.create('fan', { parts: 2, log: harness.path('log') });
    await waitUntil('it says so', async () => {
      const { progress } = await harness.jobs.get(id);
      return progress?.message === '0 of 2 parts done; no worker took parts when they were queued';
    });
    await harness.startWorker({ parts: 1 });
    await harness.untilState(id, 'succeeded');
  });
});
