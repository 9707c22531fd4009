import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import type { RunStrategy } from '../../server/jobs/gate/run-strategy.ts';
import type { JobRecord } from '../../server/jobs/job-record.ts';
import type { TemplateSpec } from '../../server/jobs/templates/job-template.ts';
import type { Json } from '../../workers/queue/job-kind.ts';
import { retryLimitOf } from '../../workers/queue/job-limits.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type JobsHarness, openJobsHarness } from './fixtures/harness.ts';

describe('runs of a template', () => {
  let harness: JobsHarness;
  let count = 0;
  before(async () => {
    harness = await openJobsHarness();
    await harness.startWorker({ work: 16 });
  });
  after(() => harness.close());

  const define = (strategy: RunStrategy | undefined, change: Partial<TemplateSpec> = {}) => {
    const id = `t${++count}`;
    const spec = { id, kind: 'hold', description: '', tags: [], labels: {}, priority: 0, ...change };
    return harness.jobs.templates.create({ ...spec, ...(strategy === undefined ? {} : { strategy }) });
  };
  /** A run that ends once the file of its name is there. */
  const run = async (template: string, name: string, owner = '', requestId = '') => {
    const params: Json = { log: harness.path('log'), until: harness.path(name) };
    return (await harness.jobs.runTemplate(template, { params, labels: { run: name }, requestId, owner })).job;
  };
  const release = async (job: JobRecord) => {
    harness.touch(job.labels['run'] ?? '');
    return harness.untilEnded(job.id);
  };
  /** A template of KIND_STRICT_SEQUENTIAL; `start` makes a run that fails so often. */
  const defineStrict = async (log: string) => {
    const limits = { retries: { platform: { maxRetries: 0, backoffMs: 0, maxBackoffMs: 0 } } };
    const { id } = await define({ kind: 'strict_sequential' }, { kind: 'flaky', limits });
    const start = async (failures: number) => {
      const params: Json = { log: harness.path(log), failures };
      return (await harness.jobs.runTemplate(id, { params, labels: {}, requestId: '', owner: '' })).job;
    };
    return { id, start };
  };
  const heldBy = async ({ id }: JobRecord) => (await harness.jobs.get(id)).heldBy;
  const stateOf = async ({ id }: JobRecord) => (await harness.jobs.get(id)).state;

  it('go one after the other with SEQUENTIAL, also after a failed one', async () => {
    const { id } = await define(
      { kind: 'sequential' },
      { kind: 'flaky', limits: { retries: { platform: { maxRetries: 0, backoffMs: 0, maxBackoffMs: 0 } } } },
    );
    const params: Json = { log: harness.path('flaky-log'), failures: 1 };
    const runs = await Promise.all(
      [1, 2, 3].map((i) => harness.jobs.runTemplate(id, { params, labels: {}, requestId: `s${i}`, owner: '' })),
    );
    const jobs = await Promise.all(runs.map(({ job }) => harness.untilEnded(job.id)));
    assert.deepEqual(
      jobs.map(({ state }) => state),
      ['failed', 'failed', 'failed'],
    );
    const spans = jobs.map(({ startMs = 0, endMs = 0 }) => [startMs, endMs] as const).toSorted((a, b) => a[0] - b[0]);
    for (const [i, [startMs]] of spans.entries())
      if (i > 0) assert.ok(startMs >= (spans[i - 1]?.[1] ?? 0), 'never two at once');
  });

  it('wait after a failed one with STRICT_SEQUENTIAL, until it is restarted or they are unblocked', async () => {
    const { id, start } = await defineStrict('strict');
    const failed = await start(1);
    await harness.untilState(failed.id, 'failed');
    const scope = `template/${id}`;
    await waitUntil('it blocks', async () => (await harness.jobs.gate.blockedBy(scope)) === failed.id);
    const waiting = await start(0);
    assert.equal(await heldBy(waiting), 'RUN_STRATEGY');
    const again = await harness.jobs.restart(failed.id, {});
    await harness.untilState(again.job.id, 'failed');
    assert.equal(again.job.restartOf, failed.id);
    await waitUntil('the restart blocks', async () => (await harness.jobs.gate.blockedBy(scope)) === again.job.id);
    assert.equal(await stateOf(waiting), 'queued');
    await harness.jobs.gate.unblock(scope);
    await harness.untilState(waiting.id, 'succeeded');
  });

  it('go on with STRICT_SEQUENTIAL when the failed one is no more', async () => {
    const { id, start } = await defineStrict('gone');
    const failed = await start(1);
    await harness.untilEnded(failed.id);
    await waitUntil('it blocks', async () => (await harness.jobs.gate.blockedBy(`template/${id}`)) === failed.id);
    const next = await start(0);
    assert.equal(await heldBy(next), 'RUN_STRATEGY');
    await harness.jobs.delete(failed.id);
    assert.equal((await harness.untilEnded(next.id)).state, 'succeeded');
  });

  it('are skipped while one runs with FIRST_ONLY', async () => {
    const { id } = await define({ kind: 'first_only' });
    const first = await run(id, 'f1');
    const second = await run(id, 'f2');
    const skipped = await harness.untilState(second.id, 'skipped');
    assert.equal(skipped.error?.reason, 'RUN_IN_PROGRESS');
    assert.equal((await release(first)).state, 'succeeded');
    await waitUntil('the way is free', async () => (await release(await run(id, 'f1'))).state === 'succeeded');
  });

  it('take the place of the one that runs with LAST_ONLY', async () => {
    const { id } = await define({ kind: 'last_only' });
    const first = await run(id, 'l1');
    await harness.untilState(first.id, 'running');
    const second = await run(id, 'l2');
    const third = await run(id, 'l3');
    const cancelled = await harness.untilState(first.id, 'cancelled');
    assert.equal(cancelled.error?.reason, 'RUN_SUPERSEDED');
    const superseded = await harness.untilEnded(second.id);
    assert.ok(['skipped', 'cancelled'].includes(superseded.state), superseded.state);
    await harness.untilState(third.id, 'running');
    assert.equal((await release(third)).state, 'succeeded');
  });

  it('wait for the one that runs, the newest only, with SERIAL_LATEST_ONLY', async () => {
    const { id } = await define({ kind: 'serial_latest_only' });
    const first = await run(id, 'n1');
    const second = await run(id, 'n2');
    const third = await run(id, 'n3');
    assert.equal((await harness.untilState(second.id, 'skipped')).error?.reason, 'RUN_SUPERSEDED');
    assert.equal(await heldBy(third), 'RUN_STRATEGY');
    assert.equal((await release(first)).state, 'succeeded');
    assert.equal((await release(third)).state, 'succeeded');
  });

  it('run up to n at once with PARALLEL, and all at once without a strategy', async () => {
    const { id } = await define({ kind: 'parallel', maxParallel: 2 });
    const runs = [await run(id, 'p1'), await run(id, 'p2'), await run(id, 'p3')];
    await waitUntil(
      'two run',
      async () => (await Promise.all(runs.map(stateOf))).filter((s) => s === 'running').length === 2,
    );
    const [, , third] = runs;
    assert.ok(third && (await heldBy(third)) === 'RUN_STRATEGY');
    for (const job of runs) assert.equal((await release(job)).state, 'succeeded');
    const free = await define(undefined);
    const all = [await run(free.id, 'q1'), await run(free.id, 'q2'), await run(free.id, 'q3')];
    for (const job of all) await harness.untilState(job.id, 'running');
    for (const job of all) await release(job);
  });

  it('count against the limits of their tags and owner, over templates', async () => {
    const { limits, gate } = harness.jobs;
    await limits.set({ key: 'tag/gpu', maxRunning: 1, weight: 1 });
    await limits.set({ key: 'owner/ann', maxRunning: 2, weight: 1 });
    const one = await define(undefined, { tags: ['gpu'] });
    const two = await define({ kind: 'parallel', maxParallel: 5 }, { tags: ['gpu'] });
    const first = await run(one.id, 'g1', 'ann');
    const second = await run(two.id, 'g2', 'ben');
    await waitUntil('the tag is full', async () => (await heldBy(second)) === 'CONCURRENCY_LIMIT');
    assert.equal(await gate.permitsTaken('tag/gpu'), 1);
    const plain = await harness.jobs.create(
      {
        kind: 'hold',
        params: { log: harness.path('log'), until: harness.path('g3') },
        labels: { run: 'g3' },
        priority: 0,
      },
      { owner: 'ann' },
    );
    const third = await run((await define(undefined)).id, 'g4', 'ann');
    await harness.untilState(plain.job.id, 'running');
    await waitUntil('ann is full', async () => (await heldBy(third)) === 'CONCURRENCY_LIMIT');
    for (const job of [first, second, plain.job, third]) assert.equal((await release(job)).state, 'succeeded');
    await waitUntil('all is given back', async () => (await gate.permitsTaken('owner/ann')) === 0);
    await limits.delete('tag/gpu');
    await limits.delete('owner/ann');
  });

  it('that wait start when the limit is lifted, and a cancelled one leaves the line', async () => {
    const { limits, gate } = harness.jobs;
    await limits.set({ key: 'owner/*', maxRunning: 1, weight: 1 });
    const { id } = await define(undefined);
    const first = await run(id, 'c1', 'eve');
    const second = await run(id, 'c2', 'eve');
    const third = await run(id, 'c3', 'eve');
    await waitUntil('they wait', async () => (await heldBy(third)) === 'CONCURRENCY_LIMIT');
    assert.equal((await harness.jobs.cancel(second.id)).state, 'cancelled');
    await limits.delete('owner/*');
    await gate.recheck();
    await harness.untilState(third.id, 'running');
    for (const job of [first, third]) assert.equal((await release(job)).state, 'succeeded');
  });

  it('keep their places over a restart of the server', async () => {
    const { id } = await define({ kind: 'sequential' });
    const first = await run(id, 'k1');
    const second = await run(id, 'k2');
    await harness.untilState(first.id, 'running');
    await harness.restartServer();
    assert.equal(await heldBy(second), 'RUN_STRATEGY');
    assert.equal((await release(first)).state, 'succeeded');
    assert.equal((await release(second)).state, 'succeeded');
  });

  it('give the earlier one for a known request id, whatever became of the template', async () => {
    const { id } = await define(undefined);
    const first = await run(id, 'i1', 'ann', 'once');
    const { createMs: _c, updateMs: _u, revision: _r, ...spec } = await harness.jobs.templates.get(id);
    await harness.jobs.templates.update({ ...spec, labels: { now: 'other' } }, 1);
    assert.equal((await run(id, 'i1', 'ann', 'once')).id, first.id);
    await rejectsWith(run(id, 'i2', 'ann', 'once'), Code.FAILED_PRECONDITION, 'REQUEST_ID_REUSED');
    await harness.jobs.templates.update({ ...spec, schema: { properties: { other: {} }, required: ['other'] } }, 2);
    assert.equal((await run(id, 'i1', 'ann', 'once')).id, first.id, 'what it asks for now does not count');
    await harness.jobs.templates.delete(id);
    assert.equal((await run(id, 'i1', 'ann', 'once')).id, first.id, 'nor that it is gone');
    await rejectsWith(harness.jobs.restart(first.id, {}), Code.FAILED_PRECONDITION, 'JOB_NOT_ENDED');
    await release(first);
  });
});

describe('retries by class', () => {
  let harness: JobsHarness;
  before(async () => {
    harness = await openJobsHarness();
    await harness.startWorker({ work: 4 });
  });
  after(() => harness.close());
  const once = { maxRetries: 1, backoffMs: 10, maxBackoffMs: 10 };
  const create = async (kind: string, params: Record<string, Json>, limits: TemplateSpec['limits']) => {
    const spec = { kind, params, labels: {}, priority: 0 };
    const { job } = await harness.jobs.create(spec, { policy: limits === undefined ? {} : { limits } });
    const ended = await harness.untilEnded(job.id);
    return [ended.state, ended.attempts.length];
  };

  it('try the caller’s faults again only when asked to', async () => {
    const params = { log: harness.path('bad') };
    assert.deepEqual(await create('bad-input', params, undefined), ['failed', 1]);
    assert.deepEqual(await create('bad-input', params, { retries: { user: { ...once, maxRetries: 2 } } }), [
      'failed',
      3,
    ]);
  });

  it('try attempts over their time again, with the time limit of the job', async () => {
    const params = { log: harness.path('held'), until: harness.path('never') };
    assert.deepEqual(await create('hold', params, { timeoutMs: 100 }), ['timed_out', 1]);
    assert.deepEqual(await create('hold', params, { timeoutMs: 100, retries: { timeout: once } }), ['timed_out', 2]);
  });

  it('replace the kind’s limit for the platform’s faults and count each class by itself', async () => {
    const params = { log: harness.path('flaky'), failures: 5 };
    assert.deepEqual(await create('flaky', params, undefined), ['failed', 4]);
    assert.deepEqual(await create('flaky', params, { retries: { platform: once, user: once } }), ['failed', 2]);
    assert.deepEqual(await create('flaky', params, { retries: { platform: { ...once, maxRetries: 5 } } }), [
      'succeeded',
      6,
    ]);
  });

  it('count lost workers with the platform’s faults, or by themselves where they have a limit', () => {
    const counts = { user: 0, platform: 2, timeout: 0, killed: 3 };
    const rules = { maxRetries: 4, limits: undefined, backoff: { baseMs: 1, maxMs: 2 } };
    const limitOf = (retries: Partial<Record<'platform' | 'killed', typeof once>>) => {
      const { limit, failures } = retryLimitOf('killed', counts, { ...rules, limits: { retries } });
      return [limit.maxRetries, failures];
    };
    assert.deepEqual(limitOf({}), [4, 5]);
    assert.deepEqual(limitOf({ killed: once }), [1, 3]);
    assert.deepEqual(limitOf({ platform: once }), [4, 3]);
    assert.deepEqual(retryLimitOf('timeout', counts, rules).limit.maxRetries, 0);
  });
});
