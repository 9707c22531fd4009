import assert from 'node:assert/strict';
import { toBullPriority, toTurn } from '../../workers/queue/fair-turns.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type JobsHarness, openJobsHarness } from './fixtures/harness.ts';

describe('owners of one queue class', () => {
  let harness: JobsHarness;
  beforeEach(async () => {
    harness = await openJobsHarness();
  });
  afterEach(() => harness.close());

  /** Owners in the order in which their jobs began, one at a time. */
  const orderOf = async (jobs: readonly (readonly [owner: string, priority?: number])[]) => {
    const created: string[] = [];
    for (const [owner, priority = 0] of jobs) {
      created.push((await harness.jobs.create({ kind: 'noop', params: {}, labels: {}, priority }, { owner })).job.id);
    }
    await harness.startWorker({ work: 1 });
    await waitUntil('all have ended', async () => {
      const states = await Promise.all(created.map(async (id) => (await harness.jobs.get(id)).state));
      return states.every((state) => state === 'succeeded');
    });
    const records = await Promise.all(created.map((id) => harness.jobs.get(id)));
    return records
      .toSorted((a, b) => (a.startMs ?? 0) - (b.startMs ?? 0) || comparePositions(a.applied, b.applied))
      .map(({ owner }) => owner ?? '')
      .join('');
  };
  const comparePositions = (a: string, b: string) => a.localeCompare(b, 'en', { numeric: true });

  it('take turns, whoever filled the queue first', async () => {
    const order = await orderOf([...Array.from({ length: 6 }, () => ['a'] as const), ['b'], ['b'], ['c']]);
    assert.equal(order, 'abcabaaaa');
  });

  it('take turns by their weight', async () => {
    await harness.jobs.limits.set({ key: 'owner/b', maxRunning: Number.POSITIVE_INFINITY, weight: 2 });
    const jobs = [
      ...Array.from({ length: 4 }, () => ['a'] as const),
      ...Array.from({ length: 4 }, () => ['b'] as const),
    ];
    const order = await orderOf(jobs);
    assert.equal(order.indexOf('a'), 1, order);
    assert.equal(order.slice(0, 6).replaceAll('a', ''), 'bbbb', order);
  });

  it('have the parts of their jobs made side by side, so that a short one does not wait for a long one', async () => {
    const log = harness.path('log');
    const sizes = [8, 3, 2, 4];
    const parents: string[] = [];
    for (const [job, parts] of sizes.entries()) {
      const fan = { kind: 'fan', params: { parts, log }, labels: {}, priority: 0 };
      parents.push((await harness.jobs.create(fan, job === 3 ? { owner: 'other' } : {})).job.id);
    }
    await harness.startWorker({ work: 1 });
    // In the queue itself: what the parents tell of their parts comes before that.
    await waitUntil('all parts are queued', async () => (await harness.queue.counts('parts')).waiting === 17);
    await harness.startWorker({ parts: 1 });
    for (const id of parents) await harness.untilEnded(id);
    const ids = parents.flatMap((id, job) =>
      Array.from({ length: sizes[job] ?? 0 }, (_, part) => [`${id}.parts.part-${part}`, 'abcX'[job] ?? ''] as const),
    );
    const begun = await Promise.all(ids.map(async ([id, name]) => ({ name, ...(await harness.jobs.get(id)) })));
    const order = begun.toSorted((a, b) => comparePositions(a.applied, b.applied)).map(({ name }) => name);
    // One of each in turn, as long as it has one.
    const own = order.filter((name) => name !== 'X').join('');
    assert.equal(own, 'abcabcabaaaaa');
    // Three jobs get their owner no more turns than one gets another owner.
    assert.equal(order.slice(0, 8).filter((name) => name === 'X').length, 4, order.join(''));
    const kept = await Promise.all(parents.map(async (id) => (await harness.jobs.get(id)).result));
    assert.deepEqual(
      kept.map((result) => (result as { parts: number[] }).parts.length),
      sizes,
    );
  });

  it('come after jobs of a higher priority', async () => {
    assert.equal(await orderOf([['a'], ['a'], ['b', 3], ['c', 9]]), 'cbaa');
  });

  it('keep to the range that BullMQ has', () => {
    assert.equal(toBullPriority(9, 1), 1);
    assert.equal(toBullPriority(0, 1e9), 2_097_150);
    assert.equal(toTurn(toBullPriority(4, 77)), 77);
    assert.ok(toBullPriority(5, 1e9) < toBullPriority(4, 1));
  });
});
