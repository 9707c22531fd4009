// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references are written so
import assert from 'node:assert/strict';
import { Job_State, RunStrategy_Kind } from '../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import { Code } from '../../server/core/codes.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import type { JobsHarness } from './fixtures/harness.ts';
import { openServedJobs, type ServedJobs } from './fixtures/served-jobs.ts';

describe('templates over gRPC', () => {
  let harness: JobsHarness;
  let served: ServedJobs;
  let client: ServedJobs['client'];
  before(async () => {
    served = await openServedJobs();
    ({ harness, client } = served);
    await harness.startWorker({ work: 4 });
  });
  after(() => served.close());

  const echo = {
    name: 'templates/echo',
    kind: 'echo',
    description: 'says it back',
    parameterSchema: {
      properties: { what: { type: 'string' }, times: { type: 'integer', default: 2 } },
      required: ['what'],
    },
    params: { value: { text: 'it is ${params.what}', times: '${params.times}' } },
    limits: { timeout: { seconds: 5n, nanos: 0 }, timeouts: { maxRetries: 2, backoff: { seconds: 1n, nanos: 0 } } },
    tags: ['talk'],
    strategy: { kind: RunStrategy_Kind.PARALLEL, maxParallel: 3 },
    labels: { team: 'video' },
    priority: 4,
  };

  it('are created, shown, listed, changed and deleted', async () => {
    const { template } = await client.createTemplate({ template: echo });
    assert.deepEqual(
      [template?.kind, template?.tags, template?.priority, template?.revision, template?.labels],
      ['echo', ['talk'], 4, 1, { team: 'video' }],
    );
    assert.deepEqual(template?.parameterSchema, echo.parameterSchema);
    assert.equal(template?.limits?.timeouts?.maxRetries, 2);
    assert.equal(template?.limits?.timeouts?.maxBackoff?.seconds, 30n);
    assert.equal(template?.strategy?.maxParallel, 3);
    assert.equal((await client.createTemplate({ template: echo })).template?.revision, 1, 'the same again');
    const other = client.createTemplate({ template: { ...echo, description: 'other' } });
    await rejectsWith(other, Code.ALREADY_EXISTS, 'TEMPLATE_EXISTS');
    await client.createTemplate({ template: { name: 'templates/a', kind: 'noop' } });
    const page = await client.listTemplates({ pageSize: 1 });
    const next = await client.listTemplates({ pageSize: 1, pageToken: page.nextPageToken });
    assert.deepEqual(
      [...page.templates, ...next.templates].map(({ name }) => name),
      ['templates/a', 'templates/echo'],
    );
    const updated = await client.updateTemplate({ template: { ...echo, description: 'other', revision: 1 } });
    assert.deepEqual([updated.template?.revision, updated.template?.description], [2, 'other']);
    const stale = client.updateTemplate({ template: { ...echo, revision: 1 } });
    await rejectsWith(stale, Code.ABORTED, 'TEMPLATE_CHANGED');
    await client.deleteTemplate({ name: 'templates/a' });
    await rejectsWith(client.getTemplate({ name: 'templates/a' }), Code.NOT_FOUND, 'TEMPLATE_NOT_FOUND');
    await rejectsWith(client.deleteTemplate({ name: 'templates/a' }), Code.NOT_FOUND, 'TEMPLATE_NOT_FOUND');
  });

  it('make jobs with checked parameters, defaults and their own labels', async () => {
    const request = { name: 'templates/echo', params: { what: 'late' }, labels: { by: 'me' }, requestId: 'one' };
    const { job, existed } = await client.runTemplate(request);
    assert.deepEqual([existed, job?.template, job?.priority, job?.tags], [false, 'templates/echo', 4, ['talk']]);
    assert.deepEqual(job?.labels, { team: 'video', by: 'me' });
    const name = job?.name ?? '';
    const ended = await harness.untilEnded(name.slice('jobs/'.length));
    assert.deepEqual(ended.result, { echo: { text: 'it is late', times: 2 } });
    assert.deepEqual((await client.runTemplate(request)).job?.name, name);
    const again = await client.restartJob({ name, requestId: 'again' });
    assert.deepEqual([again.job?.restartOf, again.existed], [name, false]);
    assert.equal((await client.restartJob({ name, requestId: 'again' })).job?.name, again.job?.name);
    const restarted = await harness.untilEnded(again.job?.name.slice('jobs/'.length) ?? '');
    assert.deepEqual(restarted.result, ended.result);
    for (const params of [{}, { what: 1 }, { what: 'x', tims: 3 }]) {
      const run = client.runTemplate({ name: 'templates/echo', params });
      const error = await rejectsWith(run, Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
      assert.match(error.fields[0]?.field ?? '', /^params\./);
    }
    await rejectsWith(client.runTemplate({ name: 'templates/none' }), Code.NOT_FOUND, 'TEMPLATE_NOT_FOUND');
  });

  it('are refused when something in them is wrong', async () => {
    const wrong = [
      { kind: '' },
      { tags: ['Not ok'] },
      { tags: ['a', 'a'] },
      { priority: 10 },
      { labels: { 'Not ok': 'x' } },
      { description: 'x'.repeat(1_001) },
      { parameterSchema: { properties: { a: { pattern: 'x' } } } },
      { params: { value: '${params.nothing}' } },
      { params: { value: '${secrets.key}' } },
      { limits: { user: { maxRetries: 101 } } },
      { limits: { timeout: { seconds: 0n, nanos: 0 } } },
      {
        limits: { user: { maxRetries: 1, backoff: { seconds: 9n, nanos: 0 }, maxBackoff: { seconds: 1n, nanos: 0 } } },
      },
      { strategy: { kind: RunStrategy_Kind.SEQUENTIAL, maxParallel: 2 } },
      { strategy: { kind: 99 as RunStrategy_Kind } },
      { strategy: { kind: RunStrategy_Kind.PARALLEL, maxParallel: 1_001 } },
      { name: 'templates/Not_ok' },
    ];
    for (const change of wrong) {
      const create = client.createTemplate({ template: { ...echo, name: 'templates/wrong', ...change } });
      await rejectsWith(create, Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    }
    await rejectsWith(client.createTemplate({}), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    const unknown = client.createTemplate({ template: { ...echo, name: 'templates/wrong', kind: 'nope' } });
    await rejectsWith(unknown, Code.INVALID_ARGUMENT, 'JOB_KIND_UNKNOWN');
    const unreadable = client.createTemplate({ template: { ...echo, name: 'templates/wrong', params: { a: '${}' } } });
    await rejectsWith(unreadable, Code.INVALID_ARGUMENT, 'REFERENCE_INVALID');
  });

  it('wait behind a failed run until they are unblocked', async () => {
    const name = 'templates/strict';
    await client.createTemplate({
      template: { name, kind: 'bad-input', strategy: { kind: RunStrategy_Kind.STRICT_SEQUENTIAL } },
    });
    const params = { log: harness.path('strict') };
    const { job } = await client.runTemplate({ name, params });
    await harness.untilState(job?.name.slice('jobs/'.length) ?? '', 'failed');
    const second = await client.runTemplate({ name, params });
    assert.deepEqual([second.job?.state, second.job?.heldBy], [Job_State.QUEUED, 'RUN_STRATEGY']);
    assert.equal((await client.getTemplate({ name })).template?.blockedBy, job?.name);
    assert.equal((await client.unblockTemplate({ name })).template?.blockedBy, '');
    await harness.untilState(second.job?.name.slice('jobs/'.length) ?? '', 'failed');
  });

  it('keep limits of owners and tags', async () => {
    await client.setJobLimit({ limit: { name: 'limits/tag/gpu', maxRunning: 2 } });
    await client.setJobLimit({ limit: { name: 'limits/owner/key:ann', maxRunning: 3, weight: 4 } });
    const { limits } = await client.listJobLimits({});
    assert.deepEqual(
      limits.map(({ name, maxRunning, weight, running }) => [name, maxRunning, weight, running]),
      [
        ['limits/owner/key:ann', 3, 4, 0],
        ['limits/tag/gpu', 2, 1, 0],
      ],
    );
    await client.deleteJobLimit({ name: 'limits/tag/gpu' });
    await rejectsWith(client.deleteJobLimit({ name: 'limits/tag/gpu' }), Code.NOT_FOUND, 'LIMIT_NOT_FOUND');
    for (const limit of [
      { name: 'limits/gpu', maxRunning: 1 },
      { name: 'limits/tag/a/b', maxRunning: 1 },
      { name: 'limits/tag/a', maxRunning: -1 },
      { name: 'limits/tag/a', maxRunning: 100_001 },
      { name: 'limits/tag/a', weight: 2 },
      { name: 'limits/owner/a', weight: 11 },
    ])
      await rejectsWith(client.setJobLimit({ limit }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    await rejectsWith(client.setJobLimit({}), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
  });

  it('survive a restart of the server, limits too', async () => {
    await harness.restartServer();
    assert.equal(harness.jobs.limits.list()[0]?.key, 'owner/key:ann');
    assert.equal((await harness.jobs.templates.get('echo')).revision, 2);
  });
});
