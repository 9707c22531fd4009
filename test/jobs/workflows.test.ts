// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references are written so
import assert from 'node:assert/strict';
import type { WorkflowNode } from '../../server/jobs/workflows/workflow.ts';
import type { Json } from '../../workers/queue/job-kind.ts';
import { type JobsHarness, openJobsHarness } from './fixtures/harness.ts';
import { createWorkflowRuns, node, type WorkflowRuns } from './fixtures/workflow-runs.ts';

describe('a workflow', () => {
  let harness: JobsHarness;
  let flows: WorkflowRuns;
  before(async () => {
    harness = await openJobsHarness();
    await harness.startWorker({ work: 16 });
    flows = createWorkflowRuns(harness);
  });
  after(() => harness.close());

  it('runs its nodes in order and hands results on', async () => {
    const id = await flows.define(
      [
        node('first', 'echo', { value: { n: 3, text: 'a' } }),
        node('second', 'echo', { value: '${first.result.echo.n}' }, ['first']),
        node('third', 'echo', { value: '${params.word} ${first.result.echo.text} of ${run.id}' }, ['first']),
        node('last', 'echo', { value: ['${second.result.echo}', '${third.state}'] }, ['second', 'third']),
      ],
      {
        schema: { properties: { word: { type: 'string', default: 'word' } } },
        outputs: { last: '${last.result.echo}', third: '${third.result.echo}' },
      },
    );
    const { ended, states } = await flows.finished(await flows.run(id));
    assert.deepEqual(states, { first: 'succeeded', second: 'succeeded', third: 'succeeded', last: 'succeeded' });
    assert.deepEqual(ended.result, { last: [3, 'succeeded'], third: `word a of ${ended.id}` });
    const nodes = await flows.nodesOf(ended);
    const job = await harness.jobs.get(nodes['last']?.job ?? '');
    assert.deepEqual([job.parent, job.node?.id, job.owner, job.labels], [ended.id, 'last', 'ann', { flow: 'yes' }]);
    assert.deepEqual(ended.progress?.detail, { nodes_done: 4, nodes_total: 4 });
  });

  it('takes the ways that states and conditions open, and skips the others', async () => {
    const log = harness.path('bad');
    const id = await flows.define([
      node('ok', 'echo', { value: 5 }),
      node('bad', 'bad-input', { log }),
      node('big', 'noop', {}, [{ node: 'ok', when: 'ok.result.echo > 10' }]),
      node('after-big', 'noop', {}, ['big']),
      node('small', 'noop', {}, [{ node: 'ok', when: 'ok.result.echo <= 10 && params.go' }]),
      node('repair', 'echo', { value: '${bad.error.reason}' }, [{ node: 'bad', on: 'failure' }]),
      node('clean', 'noop', {}, [
        { node: 'bad', on: 'always' },
        { node: 'after-big', on: 'always' },
      ]),
      node('either', 'noop', {}, ['big', 'small'], { join: 'any' }),
      node('both', 'noop', {}, ['big', 'small']),
    ]);
    const { ended, states } = await flows.finished(await flows.run(id, { go: true }));
    assert.equal(ended.state, 'succeeded', ended.error?.message);
    assert.deepEqual(states, {
      ok: 'succeeded',
      bad: 'failed',
      big: 'skipped',
      'after-big': 'skipped',
      small: 'succeeded',
      repair: 'succeeded',
      clean: 'succeeded',
      either: 'succeeded',
      both: 'skipped',
    });
    const repair = await harness.jobs.get((await flows.nodesOf(ended))['repair']?.job ?? '');
    assert.deepEqual(repair.result, { echo: 'INVALID_FIELDS' });
  });

  it('fails with the error of a node that nothing deals with, after the other branches', async () => {
    const id = await flows.define([
      node('bad', 'bad-input', { log: harness.path('bad') }),
      node('never', 'noop', {}, ['bad']),
      node('other', 'echo', { value: 1 }),
      node('more', 'echo', { value: '${other.result.nothing}' }, ['other']),
    ]);
    const { ended, states } = await flows.finished(await flows.run(id));
    assert.deepEqual([ended.state, ended.error?.class], ['failed', 'user']);
    assert.deepEqual(states, { bad: 'failed', never: 'skipped', other: 'succeeded', more: 'failed' });
    assert.equal((await flows.nodesOf(ended))['more']?.error?.reason, 'REFERENCE_UNKNOWN');
  });

  it('runs others within, with their results, but not without end', async () => {
    const inner = await flows.define([node('a', 'echo', { value: '${params.n}' })], {
      outputs: { twice: ['${a.result.echo}', '${a.result.echo}'] },
    });
    const call = (workflow: string, params: Json): Partial<WorkflowNode> => ({
      work: { type: 'workflow', workflow, params },
    });
    const outer = await flows.define([node('sub', '', {}, [], call(inner, { n: 4 }))], {
      outputs: { got: '${sub.result.twice}' },
    });
    const { ended } = await flows.finished(await flows.run(outer));
    assert.deepEqual(ended.result, { got: [4, 4] });
    const endless = 'endless';
    await flows.define([node('again', '', {}, [], call(endless, {}))], { id: endless });
    const { ended: deep } = await flows.finished(await flows.run(endless));
    assert.equal(deep.error?.reason, 'WORKFLOW_TOO_DEEP');
    const { ended: missing } = await flows.finished(
      await flows.run(await flows.define([node('gone', '', {}, [], call('no-such', {}))])),
    );
    assert.equal(missing.error?.reason, 'WORKFLOW_NOT_FOUND');
  });

  it('do not run without end by way of jobs and templates either', async () => {
    const job = node('again', 'workflow', { workflow: 'self-job' });
    await flows.define([job], { id: 'self-job' });
    const template = { id: 'self', kind: 'workflow', description: '', tags: [], labels: {}, priority: 0 };
    await harness.jobs.templates.create({ ...template, params: { workflow: 'self-run' } });
    const work = { type: 'run' as const, template: 'self', params: {}, labels: {} };
    await flows.define([node('again', '', {}, [], { work })], { id: 'self-run' });
    for (const id of ['self-job', 'self-run']) {
      const { ended } = await flows.finished(await flows.run(id));
      assert.equal(ended.error?.reason, 'WORKFLOW_TOO_DEEP', id);
    }
  });

  it('gives the earlier run for a known request id, and follows its strategy', async () => {
    const id = await flows.define([node('held', 'hold', flows.hold('one-run'))], { strategy: { kind: 'first_only' } });
    const first = await flows.run(id, {}, 'once');
    assert.equal((await flows.run(id, {}, 'once')).id, first.id);
    const second = await flows.run(id);
    assert.equal((await harness.untilEnded(second.id)).state, 'skipped');
    harness.touch('one-run');
    assert.equal((await flows.finished(first)).ended.state, 'succeeded');
  });
});
