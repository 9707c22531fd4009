import assert from 'node:assert/strict';
import type { JobRecord } from '../../server/jobs/job-record.ts';
import { createForEachRunner } from '../../server/jobs/workflows/for-each-runner.ts';
import { beginRow, type NodeRun, type RunRow } from '../../server/jobs/workflows/run-state.ts';
import type { WorkflowDefinition, WorkflowNode } from '../../server/jobs/workflows/workflow.ts';
import { node } from './fixtures/workflow-runs.ts';

const run = { id: 'run' } as JobRecord;

describe('a foreach whose run could not be stored after a chunk was', () => {
  const items = Array.from({ length: 600 }, (_, i) => i);
  const each = node('each', 'noop', {}, [], { foreach: { items, maxParallel: 250, maxFailed: 0 } });
  const before: NodeRun = { state: 'running' };

  /** A runner whose first 500 items have ended, as a chunk that was written; further ones run until they are ended. */
  async function begun() {
    const jobs = new Map<string, JobRecord>();
    const chunks = new Map<string, string>();
    const runner = createForEachRunner({
      store: {
        find: async (id) => jobs.get(id),
        findRequest: async (key) => ({ id: `item-${key.split('/').at(-1)}`, digest: '' }),
      },
      objects: {
        put: async (key, body) => {
          chunks.set(key, Buffer.from(body as Uint8Array).toString());
          return undefined as never;
        },
        read: async () => new Uint8Array(),
      },
      createJob: async (_run, _node, _scope, index = 0) => {
        const id = `item-${index}`;
        const state = index < 500 ? 'succeeded' : 'running';
        const job = jobs.get(id) ?? ({ id, state, result: {}, node: { run: 'run', id: 'each', index } } as never);
        jobs.set(id, job);
        return job;
      },
      cancel: async (id) => void jobs.set(id, { ...(jobs.get(id) as JobRecord), state: 'cancelled' }),
    });
    const after = await runner.advance(run, each, before, {}, false);
    assert.deepEqual([after.items?.base, after.items?.succeeded], [500, 500]);
    const endAll = () => {
      for (const [id, job] of jobs) jobs.set(id, { ...job, state: 'succeeded' });
    };
    return { runner, chunks, endAll };
  }

  it('goes on from what is stored', async () => {
    const { runner, endAll } = await begun();
    // Another node was noted meanwhile, say: the run is read again and its first chunk is not known to be done.
    const again = await runner.advance(run, each, before, {}, false);
    assert.equal(again.items?.base, 500);
    endAll();
    const ended = await runner.advance(run, each, again, {}, true);
    assert.deepEqual([ended.state, ended.items?.succeeded], ['succeeded', 600]);
  });

  it('keeps the results of the chunk when the run ends', async () => {
    const { runner, chunks } = await begun();
    const { items: counts } = await runner.stop(run, each, { ...before, items: { ...empty, total: 600 } });
    assert.deepEqual([counts?.succeeded, counts?.notRun], [500, 100]);
    const lines = (chunks.get('jobs/run/each/items-000.jsonl') ?? '').split('\n').filter(Boolean);
    assert.ok(lines.every((line) => (JSON.parse(line) as { state: string }).state === 'succeeded'));
  });
});

describe('a foreach of which another server heard that items ended', () => {
  it('finds out when it has no room, instead of waiting for the next sweep', async () => {
    const jobs = new Map<string, JobRecord>();
    const each = node('each', 'noop', {}, [], { foreach: { items: [0, 1, 2, 3, 4, 5], maxParallel: 2, maxFailed: 0 } });
    const runner = createForEachRunner({
      store: { find: async (id) => jobs.get(id), findRequest: async () => undefined },
      objects: { put: async () => undefined as never, read: async () => new Uint8Array() },
      createJob: async (_run, _node, _scope, index = 0) => {
        const job = { id: `item-${index}`, state: 'running', result: {} } as unknown as JobRecord;
        jobs.set(job.id, job);
        return job;
      },
      cancel: async () => {},
    });
    let state: NodeRun = { state: 'running' };
    for (const begun of [2, 4, 6]) {
      state = await runner.advance(run, each, state, {}, false);
      assert.equal(jobs.size, begun);
      for (const [id, job] of jobs) jobs.set(id, { ...job, state: 'succeeded' });
    }
    state = await runner.advance(run, each, state, {}, false);
    assert.deepEqual([state.state, state.items?.succeeded], ['succeeded', 6]);
  });
});

const empty = { total: 0, base: 0, succeeded: 0, failed: 0, notRun: 0 };

describe('the restart of a run with foreach', () => {
  const each = (after: WorkflowNode['after']) =>
    node('each', 'noop', {}, [], { after, foreach: { items: [], maxParallel: 1, maxFailed: 0 } });
  const rowOf = (nodes: readonly WorkflowNode[], states: Record<string, NodeRun>): RunRow => ({
    workflow: { id: 'w', description: '', nodes, labels: {} } as unknown as WorkflowDefinition,
    params: {},
    nodes: states,
  });
  const failedItems: NodeRun = { state: 'failed', items: { ...empty, total: 3, base: 3, succeeded: 2, failed: 1 } };
  const restarted = (row: RunRow) => beginRow(row.workflow, {}, { id: 'before', row }).nodes['each'];

  it('takes items over only when what comes before them is the same', () => {
    const always = { on: 'always', when: '' } as const;
    const nodes = [
      node('fetch', 'noop', {}),
      node('split', 'noop', {}, [{ node: 'fetch', on: 'always' }]),
      each([{ node: 'split', ...always }]),
    ];
    const split: NodeRun = { state: 'succeeded', job: 'split-job' };
    const same = rowOf(nodes, { fetch: { state: 'succeeded' }, split, each: failedItems });
    assert.equal(restarted(same)?.items?.takeFrom, 'before');
    const other = rowOf(nodes, { fetch: { state: 'failed' }, split, each: failedItems });
    assert.equal(restarted(other)?.items, undefined, 'split runs again, and may give other items');
  });
});
