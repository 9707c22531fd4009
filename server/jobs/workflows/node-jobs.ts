import type { Json } from '../../../workers/queue/job-kind.ts';
import type { JobSpec } from '../check-job.ts';
import type { Created, CreateOptions } from '../create-job-options.ts';
import { resolveReferences } from '../expressions/resolve-references.ts';
import { workflowFault } from '../job-errors.ts';
import type { JobRecord } from '../job-record.ts';
import type { JobTemplates, TemplateJob } from '../templates/job-templates.ts';
import { type WorkflowNode, workflowKind } from './workflow.ts';

interface NodeJobsDeps {
  readonly templates: JobTemplates;
  readonly create: (spec: JobSpec, options: CreateOptions) => Promise<Created>;
}

/** Workflows within workflows at most. */
const maxDepth = 5;
/**
 * Results of nodes are needed by the nodes after them, those of items until their chunk is stored: they are kept for a
 * day at least, those of items, which stand in the chunk, no longer.
 */
const leastKeepMs = 86_400_000;

/** Gives the job of a node, or of its item `index`; `scope` is what references see. */
export type CreateNodeJob = (run: JobRecord, node: WorkflowNode, scope: Json, index?: number) => Promise<JobRecord>;

/**
 * Makes the job of a node, or of one item of it; the same one again gives the job that is there. Rejects with what is
 * the caller's fault (REFERENCE_UNKNOWN, INVALID_FIELDS, TEMPLATE_NOT_FOUND, WORKFLOW_TOO_DEEP …).
 */
export function createNodeJobs({ templates, create }: NodeJobsDeps): CreateNodeJob {
  const jobOf = async ({ work, limits }: WorkflowNode, scope: Json, run: JobRecord): Promise<TemplateJob> => {
    if (work.type === 'signal') throw new Error('a signal has no job');
    const params = resolveReferences(work.params, scope, 'params');
    const { labels, priority } = run;
    switch (work.type) {
      case 'job': {
        const spec = { kind: work.kind, params, labels, priority: work.priority || priority };
        return { spec, policy: limits === undefined ? {} : { limits } };
      }
      case 'run':
        return templates.instantiate(
          await templates.get(work.template),
          params,
          { ...labels, ...work.labels },
          'params',
        );
      case 'workflow':
        return {
          spec: { kind: workflowKind, params: { workflow: work.workflow, params }, labels, priority },
          policy: {},
        };
    }
  };
  return async (run, node, scope, index) => {
    const depth = (run.node?.depth ?? 0) + 1;
    const key = requestIdOf(run.id, node.id, index);
    const { spec, policy } = await jobOf(node, scope, run);
    // Jobs and templates of that kind too: a workflow that runs itself must come to an end.
    if (spec.kind === workflowKind && depth >= maxDepth) {
      throw workflowFault('WORKFLOW_TOO_DEEP', `workflows nest at most ${maxDepth} deep`);
    }
    const keepMs = index === undefined ? policy.keepMs && Math.max(policy.keepMs, leastKeepMs) : leastKeepMs;
    const { job } = await create(spec, {
      requestId: key,
      requestScope: workflowKind,
      requestContent: key,
      policy,
      node: { run: run.id, id: node.id, depth, ...(index === undefined ? {} : { index }) },
      ...(run.owner === undefined ? {} : { owner: run.owner }),
      ...(keepMs === undefined ? {} : { keepMs }),
    });
    return job;
  };
}

/** Key of the request of a node's job, or of that of one item of it, see `createNodeJobs`. */
export function nodeRequestKey(runId: string, nodeId: string, index?: number): string {
  return `${workflowKind}/${requestIdOf(runId, nodeId, index)}`;
}

function requestIdOf(runId: string, nodeId: string, index: number | undefined): string {
  return `${runId}/${nodeId}${index === undefined ? '' : `/${index}`}`;
}
