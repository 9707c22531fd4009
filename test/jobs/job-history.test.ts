import assert from 'node:assert/strict';
import { Job_State } from '../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import { Code } from '../../server/core/codes.ts';
import { leastIdAt, newId } from '../../server/core/ids.ts';
import { artifactsOf } from '../../server/jobs/insight/artifacts.ts';
import { normaliseMessage } from '../../server/jobs/insight/normalise-message.ts';
import { createUsageMeter } from '../../workers/queue/usage-meter.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { waitUntil } from '../support/wait-until.ts';
import type { JobsHarness } from './fixtures/harness.ts';
import { openServedJobs, type ServedJobs } from './fixtures/served-jobs.ts';

describe('the history of jobs', () => {
  let harness: JobsHarness;
  let served: ServedJobs;
  let client: ServedJobs['client'];
  before(async () => {
    served = await openServedJobs();
    ({ harness, client } = served);
    await harness.startWorker({ work: 2 });
  });
  after(() => served.close());

  const run = async (
    kind: string,
    params: Record<string, string | number> = {},
    labels: Record<string, string> = {},
  ) => {
    const { job } = await client.createJob({ job: { kind, params, labels } });
    const name = job?.name ?? '';
    await harness.untilEnded(name.slice('jobs/'.length));
    const read = await client.getJob({ name });
    assert.ok(read.job);
    return read.job;
  };
  const linesOf = async (name: string, attempt = 0, follow = false) => {
    const lines = [];
    for await (const { line } of client.readJobLogs({ name, attempt, follow })) if (line) lines.push(line);
    return lines;
  };

  it('tells stages, attempts, artifacts, digests of input and source', async () => {
    const job = await run('chatty', { lines: 2 });
    assert.equal(job.state, Job_State.SUCCEEDED);
    assert.deepEqual(
      job.stages.map(({ stage }) => stage),
      ['talk', 'talk', 'end'],
    );
    assert.ok(job.stages.every(({ startTime, endTime }) => startTime && endTime));
    assert.deepEqual(
      job.artifacts.map(({ label, objectKey }) => [label, objectKey]),
      [
        ['outputKey', 'notebooks/out/a.ipynb'],
        ['keys.model', 'models/1/m.bin'],
      ],
    );
    assert.deepEqual([job.sourceSha256, job.inputSha256.length], ['abc', 64]);
    assert.equal((await run('chatty', { lines: 2 })).inputSha256, job.inputSha256);
    assert.ok(
      job.attempts.every(({ usage }) => usage?.wall),
      'each attempt tells what it used',
    );
  });

  it('keeps the log lines of each attempt, in order', async () => {
    const { name } = await run('chatty', { lines: 3 });
    const own = (lines: Awaited<ReturnType<typeof linesOf>>) => lines.filter(({ message }) => message === 'line');
    await waitUntil('all lines are there', async () => own(await linesOf(name)).length === 6);
    const lines = own(await linesOf(name));
    assert.deepEqual(
      lines.map(({ attempt, fields }) => [attempt, fields['i'], fields['part']]),
      [
        [1, '0', 'a'],
        [1, '1', 'a'],
        [1, '2', 'a'],
        [2, '0', 'a'],
        [2, '1', 'a'],
        [2, '2', 'a'],
      ],
    );
    const second = await linesOf(name, 2);
    assert.ok(second.length > 0 && second.every(({ attempt }) => attempt === 2));
    const detail = second.find(({ message }) => message === 'detail');
    assert.deepEqual([detail?.level, detail?.fields['error']], ['debug', 'Error: kaput']);
    assert.ok(
      (await linesOf(name, 1)).some(({ message, level }) => message === 'job attempt failed' && level === 'error'),
    );
  });

  it('streams log lines until the end, and at most 1,000 of an attempt', async () => {
    const { job } = await client.createJob({ job: { kind: 'chatty', params: { lines: 1_500 } } });
    const lines = await linesOf(job?.name ?? '', 1, true);
    assert.equal(lines.length, 1_000);
    assert.equal(lines.at(-1)?.message, 'further lines are left out');
    assert.deepEqual(
      lines.map(({ number }) => number),
      Array.from({ length: 1_000 }, (_, i) => i + 1),
    );
  });

  it('tells the processor time and memory of a job with its child processes', async () => {
    const { usage } = await run('compute', { ms: 400 });
    const cpuMs = Number(usage?.cpu?.seconds ?? 0n) * 1000 + (usage?.cpu?.nanos ?? 0) / 1e6;
    const wallMs = Number(usage?.wall?.seconds ?? 0n) * 1000 + (usage?.wall?.nanos ?? 0) / 1e6;
    assert.ok(cpuMs > 300, `${cpuMs} ms of processor time`);
    assert.ok(wallMs > 200, `${wallMs} ms`);
    assert.ok((usage?.peakRssBytes ?? 0n) > 50_000_000n);
  });

  it('is searched by owner, template, schedule, time, text and parent', async () => {
    await client.createTemplate({ template: { name: 'templates/found', kind: 'echo' } });
    const { job } = await client.runTemplate({ name: 'templates/found', params: { value: 'Needle in HAY' } });
    const name = job?.name ?? '';
    await harness.untilEnded(name.slice('jobs/'.length));
    await harness.jobs.create({ kind: 'noop', params: {}, labels: {}, priority: 0 }, { owner: 'zoe' });
    const find = async (filter: Parameters<typeof client.listJobs>[0]) =>
      (await client.listJobs(filter)).jobs.map((found) => found.name);
    assert.deepEqual(await find({ text: 'needle in hay' }), [name]);
    assert.deepEqual(await find({ template: 'templates/found' }), [name]);
    assert.equal((await find({ owner: 'zoe' })).length, 1);
    assert.deepEqual(await find({ schedule: 'schedules/none' }), []);
    assert.deepEqual(await find({ parent: name, includeChildren: true }), []);
    const { createTime } = job ?? {};
    assert.ok(createTime);
    const seconds = { seconds: createTime.seconds + 1n, nanos: createTime.nanos };
    assert.ok((await find({ createdAfter: createTime, createdBefore: seconds, pageSize: 500 })).includes(name));
    assert.ok(!(await find({ createdBefore: createTime, pageSize: 500 })).includes(name));
    assert.deepEqual(await find({ createdAfter: { seconds: createTime.seconds + 3_600n, nanos: 0 } }), []);
    await rejectsWith(client.listJobs({ text: 'x'.repeat(201) }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    await rejectsWith(client.listJobs({ template: 'found' }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
  });

  it('sums up what jobs cost, their slowest stages and failures that are alike', async () => {
    for (const i of [1, 2, 3]) await run('bad-input', { log: harness.path(`file-${i}`) });
    const { insight } = await client.getJobInsight({});
    const chatty = insight?.groups.find(({ kind }) => kind === 'chatty');
    assert.ok(chatty && chatty.jobs >= 3 && chatty.retries >= 3 && chatty.succeeded >= 3);
    assert.ok(chatty.usage?.wall && chatty.runP95 && chatty.waitP50);
    assert.ok(insight?.groups.some(({ template, kind }) => template === 'templates/found' && kind === 'echo'));
    const talk = insight?.stages.find(({ stage }) => stage === 'talk');
    assert.ok(talk && talk.kind === 'chatty' && talk.count >= 3 && talk.max);
    const cluster = insight?.failures.find(({ kind }) => kind === 'bad-input');
    assert.deepEqual([cluster?.reason, cluster?.count], ['INVALID_FIELDS', 3]);
    assert.match(cluster?.example ?? '', /^jobs\//);
    const { insight: few } = await client.getJobInsight({ kinds: ['noop'] });
    assert.deepEqual(
      few?.groups.map(({ kind }) => kind),
      ['noop'],
    );
    const { insight: none } = await client.getJobInsight({ toTime: { seconds: 1_000n, nanos: 0 } });
    assert.deepEqual([none?.jobs, none?.truncated], [0, false]);
    const backwards = client.getJobInsight({ fromTime: { seconds: 9n, nanos: 0 }, toTime: { seconds: 1n, nanos: 0 } });
    await rejectsWith(backwards, Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
  });

  it('forgets a job that is deleted, once it has ended', async () => {
    const { job: held } = await client.createJob({
      job: { kind: 'hold', params: { log: harness.path('h'), until: harness.path('h-go') } },
      requestId: 'gone',
    });
    const name = held?.name ?? '';
    await rejectsWith(client.deleteJob({ name }), Code.FAILED_PRECONDITION, 'JOB_NOT_ENDED');
    harness.touch('h-go');
    await harness.untilEnded(name.slice('jobs/'.length));
    await client.deleteJob({ name });
    await rejectsWith(client.getJob({ name }), Code.NOT_FOUND, 'JOB_NOT_FOUND');
    await rejectsWith(client.deleteJob({ name }), Code.NOT_FOUND, 'JOB_NOT_FOUND');
    await rejectsWith(client.readJobLogs({ name }).next(), Code.NOT_FOUND, 'JOB_NOT_FOUND');
    const again = await client.createJob({ job: { kind: 'noop' }, requestId: 'gone' });
    assert.equal(again.existed, false, 'its request id is free');
  });

  it('is kept as long as its template says', async () => {
    const retention = { succeeded: { seconds: 60n, nanos: 0 }, failed: { seconds: 3_600n, nanos: 0 } };
    const { template } = await client.createTemplate({
      template: { name: 'templates/brief', kind: 'noop', retention },
    });
    assert.deepEqual([template?.retention?.succeeded?.seconds, template?.retention?.failed?.seconds], [60n, 3_600n]);
    const { job } = await client.runTemplate({ name: 'templates/brief' });
    const record = await harness.untilEnded(job?.name.slice('jobs/'.length) ?? '');
    assert.deepEqual([record.keepMs, record.keepFailedMs], [60_000, 3_600_000]);
    const { job: again } = await client.restartJob({ name: `jobs/${record.id}` });
    const restarted = await harness.untilEnded(again?.name.slice('jobs/'.length) ?? '');
    assert.deepEqual([restarted.keepMs, restarted.keepFailedMs], [60_000, 3_600_000]);
    for (const succeeded of [
      { seconds: 59n, nanos: 0 },
      { seconds: 2_592_001n, nanos: 0 },
    ]) {
      const wrong = client.createTemplate({
        template: { name: 'templates/wrong', kind: 'noop', retention: { succeeded } },
      });
      await rejectsWith(wrong, Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    }
  });
});

describe('failures that are alike', () => {
  it('have one pattern', () => {
    const alike = [
      ['file "a b.mp4" has 12 frames, expected 99.5', "file 'other' has 1 frames, expected 7"],
      ['cannot read /tmp/x/y.bin at 0x1f: errno -2', 'cannot read /var/z at 0x2: errno -13'],
      ['job 0k2m9hxd7c1ab2cd3ef4gh is gone', 'job 0k2m9hzz7c1ab2cd3ef4gz is gone'],
      ['GET https://host/a?b=1 gave 503', 'GET http://other/ gave 500'],
      ['row 550e8400-e29b-41d4-a716-446655440000 twice', 'row 123e4567-e89b-12d3-a456-426614174000 twice'],
    ];
    for (const [one = '', two = ''] of alike) assert.equal(normaliseMessage(one), normaliseMessage(two), one);
    assert.notEqual(normaliseMessage('disk is full'), normaliseMessage('memory is full'));
    assert.ok(normaliseMessage('a b '.repeat(10_000)).length <= 300);
  });
});

describe('artifacts of a result', () => {
  it('are object keys below names that say so, a bounded number', () => {
    const result = {
      manifestKey: 'a/b',
      key: 'c/d',
      keys: { x: 'e/f', y: ['g/h'] },
      title: 'i/j',
      monkey: 'k/l',
      deepKey: 7,
    };
    assert.deepEqual(
      artifactsOf(result).map(({ label }) => label),
      ['manifestKey', 'key', 'keys.x', 'keys.y.0'],
    );
    assert.equal(artifactsOf({ keys: Array.from({ length: 500 }, (_, i) => `a/${i}`) }).length, 100);
    assert.deepEqual(artifactsOf(null), []);
  });
});

describe('the usage meter', () => {
  it('splits processor time evenly among attempts that run at once, and keeps the most memory', async () => {
    const clock = createFakeClock();
    let cpuMs = 1_000;
    let rssBytes = 10;
    const meter = createUsageMeter(clock, async () => ({ cpuMs, rssBytes }));
    const endFirst = meter.begin();
    await clock.advance(500);
    cpuMs += 400;
    const endSecond = meter.begin();
    await clock.advance(0);
    rssBytes = 50;
    cpuMs += 200;
    await clock.advance(1_000);
    rssBytes = 20;
    cpuMs += 100;
    assert.deepEqual(await endSecond(), { cpuMs: 150, wallMs: 1_000, peakRssBytes: 50 });
    cpuMs += 30;
    assert.deepEqual(await endFirst(), { cpuMs: 580, wallMs: 1_500, peakRssBytes: 50 });
    cpuMs += 5_000;
    const later = meter.begin();
    await clock.advance(0);
    assert.equal((await later()).cpuMs, 0, 'what was used between belongs to nobody');
  });

  it('counts from the call that begins, also what is used before anybody waits', async () => {
    let cpuMs = 0;
    const meter = createUsageMeter(createFakeClock(), async () => ({ cpuMs, rssBytes: 1 }));
    const end = meter.begin();
    cpuMs += 300;
    assert.equal((await end()).cpuMs, 300);
  });

  it('asks for a fresh look at the child processes at the end of all but short attempts', async () => {
    const clock = createFakeClock();
    const looks: boolean[] = [];
    const meter = createUsageMeter(clock, async (isFresh) => {
      looks.push(isFresh);
      return { cpuMs: 0, rssBytes: 0 };
    });
    await meter.begin()();
    const end = meter.begin();
    await clock.advance(300);
    await end();
    assert.deepEqual(looks, [false, false, false, true]);
  });
});

describe('the least id of a time', () => {
  it('lies between ids of earlier and of later milliseconds', () => {
    const now = 1_790_000_000_123;
    assert.ok(newId(now - 1) < leastIdAt(now) && leastIdAt(now) < newId(now));
    for (const far of [Date.UTC(3100, 0), Date.UTC(9999, 11)]) assert.ok(newId(now) < leastIdAt(far), 'also far ahead');
  });
});
