// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references are written so
import assert from 'node:assert/strict';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { ValueSchema } from '@bufbuild/protobuf/wkt';
import { Job_State } from '../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import {
  WorkflowEdge_On,
  WorkflowNode_Join,
  WorkflowNodeRun_State,
  type WorkflowSchema,
} from '../../proto/gen/showrunner/jobs/v1/workflow_pb.ts';
import { Code } from '../../server/core/codes.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import type { JobsHarness } from './fixtures/harness.ts';
import { openServedJobs, type ServedJobs } from './fixtures/served-jobs.ts';

const items = create(ValueSchema, { kind: { case: 'stringValue', value: '${params.list}' } });

describe('workflows over gRPC', () => {
  let harness: JobsHarness;
  let served: ServedJobs;
  let client: ServedJobs['client'];
  before(async () => {
    served = await openServedJobs();
    ({ harness, client } = served);
    await harness.startWorker({ work: 4 });
    await client.createTemplate({ template: { name: 'templates/say', kind: 'echo', priority: 3 } });
  });
  after(() => served.close());

  const flow = (): MessageInitShape<typeof WorkflowSchema> => ({
    name: 'workflows/flow',
    description: 'all kinds of nodes',
    parameterSchema: { properties: { list: { type: 'array' }, log: { type: 'string' } }, required: ['list'] },
    nodes: [
      {
        id: 'each',
        work: { case: 'job', value: { kind: 'echo', params: { value: '${item}' } } },
        foreach: { items, maxParallel: 2 },
      },
      { id: 'say', work: { case: 'run', value: { template: 'templates/say', params: { value: '<&>' } } } },
      {
        id: 'bad',
        work: { case: 'job', value: { kind: 'bad-input', params: { log: '${params.log}' } } },
        limits: { timeout: { seconds: 9n, nanos: 0 } },
      },
      {
        id: 'then',
        work: { case: 'job', value: { kind: 'noop' } },
        after: [
          { node: 'each', when: 'each.counts.total == 2' },
          { node: 'bad', on: WorkflowEdge_On.FAILURE },
        ],
        join: WorkflowNode_Join.ANY,
      },
      { id: 'wait', work: { case: 'signal', value: { eventKind: 'model.published', when: 'event.data.ok' } } },
    ],
    outputs: { said: '${say.result.echo}' },
    labels: { team: 'flow' },
  });

  it('are created, shown as they were given, listed, changed and deleted', async () => {
    const { workflow } = await client.createWorkflow({ workflow: flow() });
    assert.deepEqual(
      workflow?.nodes.map(({ id, work }) => [id, work.case]),
      [
        ['each', 'job'],
        ['say', 'run'],
        ['bad', 'job'],
        ['then', 'job'],
        ['wait', 'signal'],
      ],
    );
    assert.equal(workflow?.nodes[0]?.foreach?.items?.kind.value, '${params.list}');
    assert.equal(workflow?.nodes[2]?.limits?.timeout?.seconds, 9n);
    assert.deepEqual(
      workflow?.nodes[3]?.after.map(({ on }) => on),
      [WorkflowEdge_On.SUCCESS, WorkflowEdge_On.FAILURE],
    );
    const again = await client.createWorkflow({ workflow: workflow ?? {} });
    assert.equal(again.workflow?.revision, 1, 'what is shown is what was given');
    const other = client.createWorkflow({ workflow: { ...flow(), description: 'x' } });
    await rejectsWith(other, Code.ALREADY_EXISTS, 'WORKFLOW_EXISTS');
    const stale = client.updateWorkflow({ workflow: { ...flow(), revision: 7 } });
    await rejectsWith(stale, Code.ABORTED, 'WORKFLOW_CHANGED');
    await client.createWorkflow({
      workflow: { name: 'workflows/a', nodes: [{ id: 'n', work: { case: 'job', value: { kind: 'noop' } } }] },
    });
    const page = await client.listWorkflows({ pageSize: 1 });
    const next = await client.listWorkflows({ pageSize: 1, pageToken: page.nextPageToken });
    assert.deepEqual(
      [...page.workflows, ...next.workflows].map(({ name }) => name),
      ['workflows/a', 'workflows/flow'],
    );
    await client.deleteWorkflow({ name: 'workflows/a' });
    await rejectsWith(client.getWorkflow({ name: 'workflows/a' }), Code.NOT_FOUND, 'WORKFLOW_NOT_FOUND');
  });

  it('are run, watched to the end and drawn with their states', async () => {
    const params = { list: [1, 2], log: harness.path('bad') };
    const { job } = await client.runWorkflow({ name: 'workflows/flow', params, requestId: 'r', labels: { by: 'me' } });
    const name = job?.name ?? '';
    assert.deepEqual([job?.kind, job?.labels], ['workflow', { team: 'flow', by: 'me' }]);
    const seen: string[] = [];
    for await (const { run } of client.watchWorkflowRun({ name })) {
      const of = (id: string) => run?.nodes.find((node) => node.id === id);
      seen.push(run?.nodes.map(({ state }) => state).join('') ?? '');
      if (of('then')?.state !== WorkflowNodeRun_State.SUCCEEDED || of('wait')?.state !== WorkflowNodeRun_State.RUNNING)
        continue;
      const event = { eventId: 'e', kind: 'model.published', subject: '', profile: '', data: { ok: true } };
      await harness.jobs.onEvent({ ...event, acceptedMs: Date.now() });
    }
    assert.ok(seen.length > 1 && new Set(seen).size > 1, seen.join(' '));
    const { run } = await client.getWorkflowRun({ name });
    assert.equal(run?.state, Job_State.SUCCEEDED);
    assert.deepEqual(
      run?.nodes.map(({ id, state }) => [id, state]),
      [
        ['each', WorkflowNodeRun_State.SUCCEEDED],
        ['say', WorkflowNodeRun_State.SUCCEEDED],
        ['bad', WorkflowNodeRun_State.FAILED],
        ['then', WorkflowNodeRun_State.SUCCEEDED],
        ['wait', WorkflowNodeRun_State.SUCCEEDED],
      ],
    );
    assert.deepEqual([run?.nodes[0]?.items?.total, run?.nodes[0]?.items?.succeeded], [2, 2]);
    assert.equal(run?.nodes[2]?.error?.reason, 'INVALID_FIELDS');
    assert.deepEqual((await client.getJob({ name })).job?.result, { said: '<&>' });
    const { jobs } = await client.listJobs({ includeChildren: true, labels: { by: 'me' }, kinds: ['noop'] });
    assert.deepEqual(
      jobs.map(({ parent, node }) => [parent, node]),
      [[name, 'then']],
    );
    const { svg } = await client.getWorkflowGraph({ name });
    assert.match(svg, /data-node="bad" data-state="failed"/);
    assert.match(svg, /2\/2/);
    const plain = await client.getWorkflowGraph({ name: 'workflows/flow' });
    assert.match(plain.svg, /each\.counts\.total == 2/);
  });

  it('are told apart from jobs that are no runs', async () => {
    const { job } = await client.createJob({ job: { kind: 'noop' } });
    const name = job?.name ?? '';
    for (const read of [
      client.getWorkflowRun({ name }),
      client.getWorkflowGraph({ name }),
      client.watchWorkflowRun({ name }).next(),
    ]) {
      await rejectsWith(read, Code.NOT_FOUND, 'WORKFLOW_RUN_NOT_FOUND');
    }
    await rejectsWith(client.getWorkflowGraph({ name: 'x/y' }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
  });

  it('are refused when a node is malformed', async () => {
    const work = { case: 'job' as const, value: { kind: 'noop' } };
    for (const node of [
      { id: 'a' },
      { id: 'a', work, join: 9 as WorkflowNode_Join },
      { id: 'a', work, after: [{ node: 'b', on: 9 as WorkflowEdge_On }] },
      { id: 'a', work: { case: 'run' as const, value: { template: 'x' } } },
      { id: 'a', work: { case: 'workflow' as const, value: { workflow: 'templates/x' } } },
    ]) {
      const workflow = { name: 'workflows/bad', nodes: [node] };
      await rejectsWith(client.createWorkflow({ workflow }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    }
    await rejectsWith(client.createWorkflow({}), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    const run = client.runWorkflow({ name: 'workflows/flow', params: { list: 'no' } });
    await rejectsWith(run, Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
  });
});

describe('the picture of a workflow', () => {
  it('is well-formed, also with markup in names, and puts nodes after those before them', async () => {
    const { drawGraph } = await import('../../server/jobs/workflows/draw-graph.ts');
    const edge = (node: string, when = '') => ({ node, on: 'success' as const, when });
    const work = { type: 'job' as const, kind: '<script>"&', params: {}, priority: 0 };
    const node = (id: string, ...after: ReturnType<typeof edge>[]) => ({ id, work, after, join: 'all' as const });
    const nodes = [node('c', edge('b'), edge('a')), node('b', edge('a', 'a.x < 3 && "<"')), node('a')];
    const svg = drawGraph({ id: 'pic', description: '', nodes, labels: {} });
    assert.ok(!svg.includes('<script'));
    const xOf = (id: string) => Number(new RegExp(`data-node="${id}".*?<rect x="(\\d+)"`).exec(svg)?.[1]);
    assert.ok(xOf('a') < xOf('b') && xOf('b') < xOf('c'));
    const open = [...svg.matchAll(/<([a-z]+)(?:\s[^>]*[^/>])?>/g)].map(([, tag]) => tag);
    const closed = [...svg.matchAll(/<\/([a-z]+)>/g)].map(([, tag]) => tag);
    assert.deepEqual(open.toSorted(), closed.toSorted());
  });
});
