import assert from 'node:assert/strict';
import type { JobRecord } from '../../server/jobs/job-record.ts';
import { createNodeSteps } from '../../server/jobs/workflows/node-steps.ts';
import type { NodeRun, RunRow } from '../../server/jobs/workflows/run-state.ts';
import type { WorkflowNode } from '../../server/jobs/workflows/workflow.ts';
import { createFakeClock } from '../support/fake-clock.ts';

const run = { id: 'run', kind: 'workflow', labels: {}, priority: 0 } as unknown as JobRecord;
const nodeOf = (id: string, more: Partial<WorkflowNode> = {}): WorkflowNode => ({
  id,
  work: { type: 'job', kind: 'echo', params: {}, priority: 0 },
  after: [],
  join: 'all',
  ...more,
});

describe('the nodes of a workflow run', () => {
  const refusal = new Error('the store is away');
  const rowOf = (...nodes: WorkflowNode[]): RunRow => ({
    workflow: { id: 'w', description: '', nodes, labels: {}, revision: 1, createMs: 0, updateMs: 0 },
    params: {},
    nodes: Object.fromEntries(nodes.map(({ id }): [string, NodeRun] => [id, { state: 'waiting' }])),
  });
  const advanced: string[] = [];
  const steps = createNodeSteps({
    store: { find: async (id) => (id === 'gone' ? undefined : { ...run, id, state: 'running' }) },
    items: {
      advance: async (_run, node, state) => {
        advanced.push(node.id);
        return state;
      },
      itemEnded: () => {},
      stop: async (_run, _node, state) => state,
      held: () => 0,
    },
    createJob: async (_run, { id }) => {
      if (id === 'refused') throw refusal;
      return { ...run, id: `job-of-${id}` };
    },
    clock: createFakeClock(0),
  });

  it('are noted when they start, also while another one cannot', async () => {
    const row = rowOf(nodeOf('refused'), nodeOf('other'));
    const nodes = await steps.takeOn(run, row, false);
    assert.deepEqual(nodes, {
      refused: { state: 'waiting' },
      other: { state: 'running', startMs: 0, job: 'job-of-other' },
    });
    await assert.rejects(steps.takeOn(run, { ...row, nodes: nodes ?? {} }, false), refusal);
  });

  it('with items are noted before the first item starts, so that a cancel finds them', async () => {
    const row = rowOf(nodeOf('each', { foreach: { items: [1], maxParallel: 1, maxFailed: 0 } }));
    const nodes = await steps.takeOn(run, row, false);
    assert.deepEqual([nodes?.['each']?.state, advanced], ['running', []]);
    assert.equal(await steps.takeOn(run, { ...row, nodes: nodes ?? {} }, false), undefined);
    assert.deepEqual(advanced, ['each']);
  });

  it('fail when their job is no more, instead of waiting for ever', async () => {
    const row = rowOf(nodeOf('a'));
    const nodes = await steps.takeOn(run, { ...row, nodes: { a: { state: 'running', job: 'gone' } } }, false);
    assert.deepEqual([nodes?.['a']?.state, nodes?.['a']?.error?.reason], ['failed', 'NODE_JOB_GONE']);
  });
});
