import type { JobService } from '../../../proto/gen/showrunner/jobs/v1/job_service_pb.ts';
import type { Json } from '../../../workers/queue/job-kind.ts';
import { readPageSize } from '../../rpc/edge/page-size.ts';
import { encodePageToken, readPageToken } from '../../rpc/edge/page-token.ts';
import { findResourceIds, readResourceName, slugId } from '../../rpc/edge/resource-name.ts';
import type { ServiceImplementation } from '../../rpc/handler.ts';
import { toJobMessage } from '../job-message.ts';
import type { Jobs } from '../jobs.ts';
import { drawGraph } from '../workflows/draw-graph.ts';
import { type WorkflowDefinition, workflowKind } from '../workflows/workflow.ts';
import { jobId } from './job-id.ts';
import { pageSizes } from './page-sizes.ts';
import { readWorkflow, toRunMessage, toWorkflowMessage } from './workflow-message.ts';

type WorkflowHandlers = Pick<
  ServiceImplementation<typeof JobService>,
  | 'createWorkflow'
  | 'getWorkflow'
  | 'listWorkflows'
  | 'updateWorkflow'
  | 'deleteWorkflow'
  | 'runWorkflow'
  | 'unblockWorkflow'
  | 'getWorkflowRun'
  | 'watchWorkflowRun'
  | 'getWorkflowGraph'
>;

/** The methods of JobService about workflows. */
export function workflowHandlers(jobs: Jobs): WorkflowHandlers {
  const { workflows, runs, gate } = jobs;
  const idOf = (name: string) => readResourceName('name', name, ['workflows'], slugId)[0];
  const runIdOf = (name: string) => readResourceName('name', name, ['jobs'], jobId)[0];
  const show = async (workflow: WorkflowDefinition) =>
    toWorkflowMessage(workflow, await gate.blockedBy(`workflow/${workflow.id}`));
  return {
    createWorkflow: async ({ workflow }) => ({
      workflow: await show(await workflows.create(readWorkflow(workflow))),
    }),
    getWorkflow: async ({ name }) => ({ workflow: await show(await workflows.get(idOf(name))) }),
    listWorkflows: async (request) => {
      const size = readPageSize(request.pageSize, pageSizes);
      const found = await workflows.list(readPageToken('workflows', request.pageToken), size + 1);
      const page = found.slice(0, size);
      return {
        workflows: await Promise.all(page.map(show)),
        nextPageToken: found.length > size ? encodePageToken('workflows', page.at(-1)?.id ?? '') : '',
      };
    },
    updateWorkflow: async ({ workflow }) => {
      const updated = await workflows.update(readWorkflow(workflow), workflow?.revision ?? 0);
      return { workflow: await show(updated) };
    },
    deleteWorkflow: async ({ name }) => {
      await workflows.delete(idOf(name));
      return {};
    },
    runWorkflow: async ({ name, params, requestId, labels }, { principal }) => {
      const given = { workflow: idOf(name), params: (params ?? {}) as Json };
      const spec = { kind: workflowKind, params: given, labels: { ...labels }, priority: 0 };
      const { job, existed } = await jobs.create(spec, { requestId, owner: principal?.id ?? '' });
      return { job: toJobMessage(job), existed };
    },
    unblockWorkflow: async ({ name }) => {
      const workflow = await workflows.get(idOf(name));
      await gate.unblock(`workflow/${workflow.id}`);
      return { workflow: await show(workflow) };
    },
    getWorkflowRun: async ({ name }) => ({ run: toRunMessage(await runs.get(runIdOf(name))) }),
    watchWorkflowRun: async function* ({ name }, { signal }) {
      for await (const view of runs.watch(runIdOf(name), signal)) yield { run: toRunMessage(view) };
    },
    getWorkflowGraph: async ({ name }) => {
      const run = findResourceIds(name, ['jobs'], jobId);
      if (run === undefined) return { svg: drawGraph(await workflows.get(idOf(name))) };
      const { row } = await runs.get(run[0]);
      return { svg: drawGraph(row.workflow, row.nodes) };
    },
  };
}
