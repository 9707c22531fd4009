import assert from 'node:assert/strict';
import { systemClock } from '../../server/core/clock.ts';
import { Code } from '../../server/core/codes.ts';
import { gatherInsight } from '../../server/jobs/insight/gather-insight.ts';
import type { JobRecord, JobState } from '../../server/jobs/job-record.ts';
import { listJobs } from '../../server/jobs/list-jobs.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { type JobsHarness, openJobsHarness } from './fixtures/harness.ts';

describe('the list of jobs', () => {
  let harness: JobsHarness;
  const all = {
    kinds: new Set<string>(),
    states: new Set<JobState>(),
    labels: {},
    includeParts: false,
    after: undefined,
  };
  before(async () => {
    harness = await openJobsHarness({ maxOpenJobs: 30 });
    for (let i = 0; i < 25; i++) {
      const labels = { team: i % 2 === 0 ? 'even' : 'odd' };
      await harness.jobs.create({ kind: i % 5 === 0 ? 'noop' : 'echo', params: { i }, labels, priority: 0 });
    }
  });
  after(() => harness.close());

  const numbers = (jobs: readonly { params: unknown }[]) => jobs.map((job) => (job.params as { i: number }).i);

  it('gives all jobs over its pages, newest first, none twice', async () => {
    const seen: number[] = [];
    let after: string | undefined;
    let pages = 0;
    do {
      const page = await harness.jobs.list({ ...all, after, pageSize: 10 });
      seen.push(...numbers(page.jobs));
      after = page.next;
      pages++;
    } while (after !== undefined);
    assert.equal(pages, 3);
    // Ids of one millisecond are in no order among themselves.
    assert.deepEqual(
      seen.toSorted((a, b) => a - b),
      Array.from({ length: 25 }, (_, i) => i),
    );
    const created = (await harness.jobs.list({ ...all, pageSize: 25 })).jobs.map((job) => job.createMs);
    assert.deepEqual(
      created,
      created.toSorted((a, b) => b - a),
    );
  });

  it('filters by kind, state and labels', async () => {
    const noops = await harness.jobs.list({ ...all, kinds: new Set(['noop']), pageSize: 100 });
    assert.equal(noops.jobs.length, 5);
    const first = noops.jobs[0];
    assert.ok(first);
    await harness.jobs.cancel(first.id);
    const cancelled = await harness.jobs.list({ ...all, states: new Set<JobState>(['cancelled']), pageSize: 100 });
    assert.deepEqual(
      cancelled.jobs.map((job) => job.id),
      [first.id],
    );
    const odd = await harness.jobs.list({ ...all, labels: { team: 'odd' }, pageSize: 100 });
    assert.equal(odd.jobs.length, 12);
  });

  it('is bounded: a job too many is refused', async () => {
    const room = async () => {
      for (;;) await harness.create('noop');
    };
    const error = await rejectsWith(room(), Code.RESOURCE_EXHAUSTED, 'TOO_MANY_JOBS');
    assert.ok((error.retryAfterMs ?? 0) > 0);
  });
});

describe('a look through many jobs', () => {
  const job = (index: number) => ({
    id: String(99_999 - index),
    kind: 'noop',
    createMs: 1,
    state: 'succeeded',
    labels: {},
    params: {},
    attempts: [],
  });

  it('lets other calls go first', async () => {
    let scans = 0;
    // As the embedded store does: answered without a turn of the event loop.
    const scan = async (before: string | undefined, limit: number) => {
      scans++;
      const from = before === undefined ? 0 : 100_000 - Number(before);
      return Array.from({ length: limit }, (_, n) => job(from + n)) as Partial<JobRecord>[] as JobRecord[];
    };
    const query = { kinds: new Set(['other']), fromMs: 0, toMs: 2 };
    const filter = { ...query, states: new Set<JobState>(), labels: {}, includeParts: false, after: undefined };
    const looks = [listJobs({ scan }, { ...filter, pageSize: 10 }), gatherInsight({ scan }, systemClock, query)];
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(scans <= 6, `${scans} scans in one turn`);
    await Promise.all(looks);
    assert.equal(scans, 50 + 200);
  });
});

describe('a job that is created', () => {
  let harness: JobsHarness;
  const spec = { kind: 'noop', params: {}, labels: {}, priority: 0 };
  before(async () => {
    harness = await openJobsHarness({ start: false });
  });
  after(() => harness.close());

  it('must be of a known kind', async () => {
    const error = await rejectsWith(harness.create('nonsense'), Code.INVALID_ARGUMENT, 'JOB_KIND_UNKNOWN');
    assert.match(error.message, /noop/);
  });

  it('must have parameters that its kind reads', async () => {
    const error = await rejectsWith(harness.create('noop', { forbidden: 1 }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    assert.deepEqual(
      error.fields.map(({ field }) => field),
      ['params.forbidden'],
    );
  });

  it('names every faulty field', async () => {
    const faulty = { ...spec, priority: 10, labels: { 'Not ok': 'x' }, params: { text: 'x'.repeat(300_000) } };
    const error = await rejectsWith(harness.jobs.create(faulty), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    assert.deepEqual(
      error.fields.map(({ field }) => field),
      ['job.priority', 'job.labels', 'job.params'],
    );
  });

  it('may have any name of a profile as the value of a label', async () => {
    const labels = { notify: `profiles/Ada~Lovelace:${'x'.repeat(115)}` };
    assert.deepEqual((await harness.jobs.create({ ...spec, labels })).job.labels, labels);
    for (const value of ['', 'two words', 'x'.repeat(141)]) {
      const refused = harness.jobs.create({ ...spec, labels: { notify: value } });
      const { message } = await rejectsWith(refused, Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
      assert.match(message, /"notify": values must be 1 to 140 characters/);
    }
  });

  it('may have labels of 2,048 characters together', async () => {
    const labels = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [String(i + 10), 'x'.repeat(126)]));
    assert.deepEqual((await harness.jobs.create({ ...spec, labels })).job.labels, labels);
    const more = harness.jobs.create({ ...spec, labels: { ...labels, 10: 'x'.repeat(127) } });
    const { message } = await rejectsWith(more, Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    assert.match(message, /^job\.labels: must have at most 2048 characters together, got 2049$/);
  });

  it('may have 16 labels and a request id of 128 characters', async () => {
    const labels = Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`label-${i}`, 'x']));
    await rejectsWith(harness.jobs.create({ ...spec, labels }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    const long = harness.jobs.create(spec, { requestId: 'x'.repeat(129) });
    await rejectsWith(long, Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
  });
});
