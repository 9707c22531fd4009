import { fromJson, type JsonValue, type MessageInitShape, type MessageShape, toJson } from '@bufbuild/protobuf';
import { ValueSchema } from '@bufbuild/protobuf/wkt';
import {
  WorkflowEdge_On,
  type WorkflowEdgeSchema,
  WorkflowNode_Join,
  WorkflowNodeRun_State,
  type WorkflowNodeRunSchema,
  type WorkflowNodeSchema,
  type WorkflowRunSchema,
  type WorkflowSchema,
} from '../../../proto/gen/showrunner/jobs/v1/workflow_pb.ts';
import type { Json } from '../../../workers/queue/job-kind.ts';
import { invalidField } from '../../core/errors.ts';
import { readResourceName, slugId } from '../../rpc/edge/resource-name.ts';
import { toTimestamp } from '../../rpc/edge/wkt-time.ts';
import { toErrorMessage, toJobState } from '../job-message.ts';
import type { ParameterSchema } from '../templates/parameter-schema.ts';
import type { NodeRun, NodeState } from '../workflows/run-state.ts';
import type { RunView } from '../workflows/watch-run.ts';
import type {
  ForEach,
  NodeWork,
  WorkflowDefinition,
  WorkflowEdge,
  WorkflowNode,
  WorkflowSpec,
} from '../workflows/workflow.ts';
import { readLimits, readStrategy, toLimitsMessage, toStrategyMessage } from './read-limits.ts';

type NodeMessage = MessageShape<typeof WorkflowNodeSchema>;

const defaultParallel = 16;

/** What a caller says of a workflow. Throws INVALID_FIELDS. */
export function readWorkflow(workflow: MessageShape<typeof WorkflowSchema> | undefined): WorkflowSpec {
  if (workflow === undefined) throw invalidField('workflow', 'must be set');
  const strategy = readStrategy(workflow.strategy, 'workflow.strategy');
  return {
    id: readResourceName('workflow.name', workflow.name, ['workflows'], slugId)[0],
    description: workflow.description,
    nodes: workflow.nodes.map((node, index) => readNode(node, `workflow.nodes[${index}]`)),
    labels: { ...workflow.labels },
    ...(workflow.parameterSchema === undefined ? {} : { schema: workflow.parameterSchema as ParameterSchema }),
    ...(workflow.outputs === undefined ? {} : { outputs: workflow.outputs as Json }),
    ...(strategy === undefined ? {} : { strategy }),
  };
}

function readNode(node: NodeMessage, field: string): WorkflowNode {
  const { join } = node;
  if (join !== WorkflowNode_Join.UNSPECIFIED && join !== WorkflowNode_Join.ALL && join !== WorkflowNode_Join.ANY) {
    throw invalidField(`${field}.join`, 'must be a way to join');
  }
  const foreach = readForEach(node);
  const limits = readLimits(node.limits, `${field}.limits`);
  return {
    id: node.id,
    work: readWork(node, field),
    after: node.after.map((edge, index) => readEdge(edge, `${field}.after[${index}]`)),
    join: join === WorkflowNode_Join.ANY ? 'any' : 'all',
    ...(foreach === undefined ? {} : { foreach }),
    ...(limits === undefined ? {} : { limits }),
  };
}

function readWork({ work }: NodeMessage, field: string): NodeWork {
  switch (work.case) {
    case 'job': {
      const { kind, params, priority } = work.value;
      return { type: 'job', kind, params: (params ?? {}) as Json, priority };
    }
    case 'run': {
      const [template] = readResourceName(`${field}.run.template`, work.value.template, ['templates'], slugId);
      return { type: 'run', template, params: (work.value.params ?? {}) as Json, labels: { ...work.value.labels } };
    }
    case 'workflow': {
      const [workflow] = readResourceName(`${field}.workflow.workflow`, work.value.workflow, ['workflows'], slugId);
      return { type: 'workflow', workflow, params: (work.value.params ?? {}) as Json };
    }
    case 'signal': {
      const { eventKind, subject, when } = work.value;
      return { type: 'signal', eventKind, subject, when };
    }
    default:
      throw invalidField(field, 'must have job, run, workflow or signal');
  }
}

const ons: Readonly<Record<WorkflowEdge['on'], WorkflowEdge_On>> = {
  success: WorkflowEdge_On.SUCCESS,
  failure: WorkflowEdge_On.FAILURE,
  always: WorkflowEdge_On.ALWAYS,
};

function readEdge({ node, on, when }: MessageShape<typeof WorkflowEdgeSchema>, field: string): WorkflowEdge {
  if (on === WorkflowEdge_On.UNSPECIFIED) return { node, on: 'success', when };
  const found = (Object.keys(ons) as WorkflowEdge['on'][]).find((name) => ons[name] === on);
  if (found === undefined) throw invalidField(`${field}.on`, 'must be a state of the node before');
  return { node, on: found, when };
}

function readForEach({ foreach }: NodeMessage): ForEach | undefined {
  if (foreach === undefined) return undefined;
  const { items, grid, maxParallel, maxFailed } = foreach;
  return {
    maxParallel: maxParallel === 0 ? defaultParallel : maxParallel,
    maxFailed,
    ...(items === undefined ? {} : { items: toJson(ValueSchema, items) as Json }),
    ...(grid === undefined ? {} : { grid: grid as Readonly<Record<string, Json>> }),
  };
}

/** `blockedBy` is the id of the failed run that holds others back. */
export function toWorkflowMessage(
  workflow: WorkflowDefinition,
  blockedBy: string | undefined,
): MessageInitShape<typeof WorkflowSchema> {
  const { id, description, nodes, labels, schema, outputs, strategy, createMs, updateMs, revision } = workflow;
  return {
    name: `workflows/${id}`,
    description,
    nodes: nodes.map(toNodeMessage),
    labels: { ...labels },
    createTime: toTimestamp(createMs),
    updateTime: toTimestamp(updateMs),
    revision,
    blockedBy: blockedBy === undefined ? '' : `jobs/${blockedBy}`,
    ...(schema === undefined ? {} : { parameterSchema: schema as object }),
    ...(outputs === undefined ? {} : { outputs: outputs as object }),
    ...(strategy === undefined ? {} : { strategy: toStrategyMessage(strategy) }),
  } as MessageInitShape<typeof WorkflowSchema>;
}

function toNodeMessage({
  id,
  work,
  after,
  join,
  foreach,
  limits,
}: WorkflowNode): MessageInitShape<typeof WorkflowNodeSchema> {
  return {
    id,
    work: toWorkMessage(work),
    after: after.map(({ node, on, when }) => ({ node, on: ons[on], when })),
    join: join === 'any' ? WorkflowNode_Join.ANY : WorkflowNode_Join.ALL,
    ...(foreach === undefined ? {} : { foreach: toForEachMessage(foreach) }),
    ...(limits === undefined ? {} : { limits: toLimitsMessage(limits) }),
  } as MessageInitShape<typeof WorkflowNodeSchema>;
}

function toWorkMessage(work: NodeWork) {
  switch (work.type) {
    case 'job':
      return { case: 'job', value: { kind: work.kind, params: work.params, priority: work.priority } };
    case 'run':
      return {
        case: 'run',
        value: { template: `templates/${work.template}`, params: work.params, labels: work.labels },
      };
    case 'workflow':
      return { case: 'workflow', value: { workflow: `workflows/${work.workflow}`, params: work.params } };
    case 'signal':
      return { case: 'signal', value: { eventKind: work.eventKind, subject: work.subject, when: work.when } };
  }
}

function toForEachMessage({ items, grid, maxParallel, maxFailed }: ForEach) {
  return {
    maxParallel,
    maxFailed,
    ...(items === undefined ? {} : { items: fromJson(ValueSchema, items as JsonValue) }),
    ...(grid === undefined ? {} : { grid }),
  };
}

const nodeStates: Readonly<Record<NodeState, WorkflowNodeRun_State>> = {
  waiting: WorkflowNodeRun_State.WAITING,
  running: WorkflowNodeRun_State.RUNNING,
  succeeded: WorkflowNodeRun_State.SUCCEEDED,
  failed: WorkflowNodeRun_State.FAILED,
  cancelled: WorkflowNodeRun_State.CANCELLED,
  timed_out: WorkflowNodeRun_State.TIMED_OUT,
  skipped: WorkflowNodeRun_State.SKIPPED,
};

/** A run as callers see it, its nodes in the order of the workflow as it was when the run began. */
export function toRunMessage({ job, row }: RunView): MessageInitShape<typeof WorkflowRunSchema> {
  return {
    name: `jobs/${job.id}`,
    workflow: `workflows/${row.workflow.id}`,
    revision: row.workflow.revision,
    state: toJobState(job.state),
    nodes: row.workflow.nodes.flatMap(({ id }) => {
      const node = row.nodes[id];
      return node === undefined ? [] : [toNodeRunMessage(id, node)];
    }),
  };
}

function toNodeRunMessage(id: string, node: NodeRun): MessageInitShape<typeof WorkflowNodeRunSchema> {
  const { state, job, error, startMs, endMs, items, reused } = node;
  return {
    id,
    state: nodeStates[state],
    job: job === undefined ? '' : `jobs/${job}`,
    reused: reused ?? false,
    ...(error === undefined ? {} : { error: toErrorMessage(error) }),
    ...(startMs === undefined ? {} : { startTime: toTimestamp(startMs) }),
    ...(endMs === undefined ? {} : { endTime: toTimestamp(endMs) }),
    ...(items === undefined
      ? {}
      : {
          items: {
            total: items.total,
            succeeded: items.succeeded,
            failed: items.failed,
            notRun: items.notRun,
            resultsKey: items.resultsKey ?? '',
          },
        }),
  };
}
