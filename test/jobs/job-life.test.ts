import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import type { JobEventRecord } from '../../server/jobs/job-record.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type JobsHarness, openJobsHarness } from './fixtures/harness.ts';

describe('the life of a job', () => {
  let harness: JobsHarness;
  before(async () => {
    harness = await openJobsHarness();
    await harness.startWorker({ work: 4, parts: 2 });
  });
  after(() => harness.close());

  it('runs a stored job on a worker and stores its result, times and attempt', async () => {
    const { id } = await harness.create('echo', { value: [1, 'two'] });
    const job = await harness.untilState(id, 'succeeded');
    assert.deepEqual(job.result, { echo: [1, 'two'] });
    assert.equal(job.attempts.length, 1);
    const [attempt] = job.attempts;
    assert.match(attempt?.worker ?? '', /\/\d+\/work#\d$/);
    assert.ok(job.createMs <= (job.startMs ?? 0) && (job.startMs ?? 0) <= (job.endMs ?? 0));
    assert.equal(attempt?.number, 1);
  });

  it('keeps request ids of different owners apart, whatever they are called', async () => {
    const create = async (options: object) =>
      (await harness.jobs.create({ kind: 'noop', params: {}, labels: {}, priority: 0 }, options)).job.id;
    const ids = [
      await create({ owner: 'a', requestId: 'b/c' }),
      await create({ owner: 'a/b', requestId: 'c' }),
      await create({ owner: 'schedules', requestId: 'nightly/1' }),
      await create({ owner: 'a', requestId: 'nightly/1', requestScope: 'schedules' }),
    ];
    assert.equal(new Set(ids).size, 4);
    assert.equal(await create({ owner: 'a/b', requestId: 'c' }), ids[1]);
  });

  it('gives the first job for a request id that is used again, and refuses it for another job', async () => {
    const first = await harness.create('echo', { value: 1 }, 'request-1');
    const again = await harness.jobs.create(
      { kind: 'echo', params: { value: 1 }, labels: {}, priority: 0 },
      { requestId: 'request-1' },
    );
    assert.deepEqual([again.job.id, again.existed], [first.id, true]);
    await rejectsWith(harness.create('echo', { value: 2 }, 'request-1'), Code.FAILED_PRECONDITION, 'REQUEST_ID_REUSED');
  });

  it('makes one job of creates that race with one request id', async () => {
    const racing = Array.from({ length: 8 }, () => harness.create('noop', {}, 'request-race'));
    const ids = new Set((await Promise.all(racing)).map((job) => job.id));
    assert.equal(ids.size, 1);
  });

  it('keeps request ids of different owners apart', async () => {
    const spec = { kind: 'noop', params: {}, labels: {}, priority: 0 };
    const mine = await harness.jobs.create(spec, { requestId: 'shared', owner: 'a' });
    const yours = await harness.jobs.create(spec, { requestId: 'shared', owner: 'b' });
    assert.notEqual(mine.job.id, yours.job.id);
  });

  it('streams numbered events from the first to the terminal state, and resumes after any of them', async () => {
    const { id } = await harness.create('progress', { until: harness.path('progress-go') });
    const events: JobEventRecord[] = [];
    for await (const event of harness.jobs.watch(id, 0, AbortSignal.timeout(20_000))) {
      events.push(event);
      // Watched while it runs: it may end only after its last report was seen.
      if ('progress' in event.body && event.body.progress.stage === 'package') harness.touch('progress-go');
    }
    assert.deepEqual(
      events.map((event) => event.sequence),
      events.map((_, index) => index + 1),
    );
    assert.deepEqual(
      events.flatMap(({ body }) => ('state' in body ? [body.state] : [])),
      ['queued', 'running', 'succeeded'],
    );
    const reports = events.flatMap(({ body }) => ('progress' in body ? [body.progress] : []));
    const ends = reports.filter((report) => report.fraction === 1).map((report) => report.stage);
    assert.deepEqual(ends, ['probe', 'encode', 'package'], 'the last report of each stage');
    assert.ok(reports.length <= 6, `${reports.length} of 63 reports were forwarded`);

    const resumed: JobEventRecord[] = [];
    for await (const event of harness.jobs.watch(id, 2, AbortSignal.timeout(2_000))) resumed.push(event);
    assert.deepEqual(resumed, events.slice(2));
    for await (const event of harness.jobs.watch(id, events.length, AbortSignal.timeout(2_000)))
      assert.fail(`${event.sequence}`);
  });

  it('ends a watch by its signal', async () => {
    const { id } = await harness.create('hold', { log: harness.path('watched'), until: harness.path('watched-go') });
    const leaving = new AbortController();
    const watching = (async () => {
      for await (const event of harness.jobs.watch(id, 0, leaving.signal)) {
        if ('progress' in event.body) leaving.abort(new Error('left'));
      }
    })();
    await assert.rejects(watching, /left/);
    harness.touch('watched-go');
    await harness.untilState(id, 'succeeded');
  });

  it('refuses to watch a job that does not exist', async () => {
    const watch = harness.jobs.watch('nosuchjob', 0, AbortSignal.timeout(2_000));
    await rejectsWith(watch.next(), Code.NOT_FOUND, 'JOB_NOT_FOUND');
  });

  it('fails a job for bad input without trying again', async () => {
    const { id } = await harness.create('bad-input', { log: harness.path('bad') });
    const job = await harness.untilState(id, 'failed');
    assert.equal(job.error?.class, 'user');
    assert.equal(job.error?.code, Code.INVALID_ARGUMENT);
    assert.equal(job.error?.reason, 'INVALID_FIELDS');
    assert.deepEqual(harness.lines('bad'), ['run']);
  });

  it('tries a platform failure again until it succeeds', async () => {
    const { id } = await harness.create('flaky', { log: harness.path('flaky'), failures: 2 });
    const job = await harness.untilState(id, 'succeeded');
    assert.deepEqual(job.result, { attempt: 3 });
    assert.deepEqual(
      job.attempts.map((attempt) => attempt.endReason),
      ['STORE_DOWN', 'STORE_DOWN', undefined],
    );
    const fences = job.attempts.map((attempt) => BigInt(attempt.fence));
    assert.ok((fences[0] ?? 0n) < (fences[1] ?? 0n) && (fences[1] ?? 0n) < (fences[2] ?? 0n));
  });

  it('gives up a platform failure after the retries of its kind', async () => {
    const { id } = await harness.create('flaky', { log: harness.path('hopeless'), failures: 99 });
    const job = await harness.untilState(id, 'failed');
    assert.deepEqual([job.error?.class, job.error?.reason], ['platform', 'STORE_DOWN']);
    assert.equal(harness.lines('hopeless').length, 4, 'one run and three retries');
  });

  it('ends an attempt over its time limit as timed out', async () => {
    const job = await harness.untilState((await harness.create('slow')).id, 'timed_out');
    assert.deepEqual([job.error?.class, job.error?.reason], ['timeout', 'JOB_TIMED_OUT']);
  });

  it('takes the slot from work that does not stop at its time limit', async () => {
    const job = await harness.untilState((await harness.create('stubborn')).id, 'timed_out');
    assert.equal(job.error?.reason, 'JOB_TIMED_OUT');
  });

  it('fails a job whose result is too large to store', async () => {
    const job = await harness.untilState((await harness.create('large')).id, 'failed');
    assert.equal(job.error?.reason, 'JOB_VALUE_TOO_LARGE');
  });

  it('fails a job that gives a child more parameters than are stored', async () => {
    const { id } = await harness.create('fan', { parts: 2, log: harness.path('padded'), pad: 300_000 });
    const job = await harness.untilState(id, 'failed');
    assert.deepEqual([job.error?.reason, job.attempts.length], ['JOB_VALUE_TOO_LARGE', 1]);
    assert.match(job.error?.message ?? '', /params of child "part-0" has 300\d{3} bytes/);
  });

  it('runs a step once, whatever becomes of its attempt', async () => {
    const job = await harness.untilState((await harness.create('steps', { dir: harness.dir })).id, 'succeeded');
    assert.deepEqual(job.result, { first: { runs: 1 }, second: { runs: 1 } });
    assert.equal(job.attempts.length, 2);
  });

  it('skips a job that no worker took in time', async () => {
    const spec = { kind: 'noop', params: {}, labels: {}, priority: 0 };
    const { job } = await harness.jobs.create(spec, { startByMs: Date.now() - 1 });
    const skipped = await harness.untilState(job.id, 'skipped');
    assert.equal(skipped.error?.reason, 'STARTED_TOO_LATE');
  });

  it('runs a hook before a job is told to have succeeded, again after a failure', async () => {
    const states: string[] = [];
    harness.jobs.onJobSucceeded('noop', async (job) => {
      states.push((await harness.jobs.get(job.id)).state);
      if (states.length === 1) throw new Error('not yet');
    });
    const { id } = await harness.create('noop');
    await harness.untilState(id, 'succeeded');
    assert.deepEqual(states, ['running', 'running']);
  });

  it('ends what the queue keeps of a job', async () => {
    const { id } = await harness.create('echo');
    await harness.untilState(id, 'succeeded');
    await waitUntil('the outbox row is gone', async () => (await harness.records.get('jobs/open', id)) === undefined);
    assert.deepEqual(await harness.queue.counts('work'), { waiting: 0, active: 0, delayed: 0, parked: 0 });
  });
});
