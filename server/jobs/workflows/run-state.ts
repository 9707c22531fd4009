import type { Json } from '../../../workers/queue/job-kind.ts';
import type { JobFailure } from '../../../workers/queue/job-outcome.ts';
import { parseCondition } from '../expressions/condition.ts';
import type { WorkflowDefinition, WorkflowNode } from './workflow.ts';

/** Where a node of a run stands; all but the first two are final. */
export type NodeState = 'waiting' | 'running' | 'succeeded' | 'failed' | 'cancelled' | 'timed_out' | 'skipped';

/** Items of a node with foreach. All before `base` have ended and stand in the object store. */
export interface ItemsState {
  readonly total: number;
  readonly base: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly notRun: number;
  readonly resultsKey?: string;
  /** Id of the run whose items are taken over where they succeeded. */
  readonly takeFrom?: string;
}

/** An event as conditions and results see it. */
export type HeldEvent = {
  readonly eventId: string;
  readonly kind: string;
  readonly subject: string;
  readonly profile: string;
  readonly data: Json;
};

/** A node within a run. Times in Unix ms. */
export interface NodeRun {
  readonly state: NodeState;
  /** Id of its job. */
  readonly job?: string;
  readonly error?: JobFailure;
  readonly startMs?: number;
  readonly endMs?: number;
  readonly items?: ItemsState;
  /** The event that a signal waited for; may come before its node is at work. */
  readonly event?: Json;
  /** Events that may be it, come before the signal's subject was known. */
  readonly held?: readonly HeldEvent[];
  /** True when its result is that of the run which this one restarts. */
  readonly reused?: boolean;
}

/** A run as it is stored, in one row; results of nodes stay with their jobs. */
export interface RunRow {
  readonly workflow: WorkflowDefinition;
  readonly params: Json;
  readonly nodes: Readonly<Record<string, NodeRun>>;
}

const endStates: ReadonlySet<NodeState> = new Set(['succeeded', 'failed', 'cancelled', 'timed_out', 'skipped']);
const failedStates: ReadonlySet<NodeState> = new Set(['failed', 'cancelled', 'timed_out']);

/** True in a final state; false for a node that the run does not have. */
export function hasEnded(node: NodeRun | undefined): boolean {
  return endStates.has(node?.state ?? 'waiting');
}

function hasFailed(node: NodeRun | undefined): boolean {
  return failedStates.has(node?.state ?? 'waiting');
}

/** True once nothing waits or runs. */
export function isOver({ nodes }: RunRow): boolean {
  return Object.values(nodes).every(hasEnded);
}

/** Whether a waiting node may start, will never run, or has to wait; `scope` holds what conditions look at. */
export function readinessOf(node: WorkflowNode, row: RunRow, scope: Json): 'start' | 'skip' | 'wait' {
  const { after, join } = node;
  if (!after.every((edge) => hasEnded(row.nodes[edge.node]))) return 'wait';
  const lets = after.map(({ node: before, on, when }) => {
    const source = row.nodes[before];
    const fits = on === 'always' || (on === 'success' ? source?.state === 'succeeded' : hasFailed(source));
    return fits && (when === '' || parseCondition(when, 'when').holds(scope));
  });
  if (after.length === 0) return 'start';
  return (join === 'all' ? lets.every(Boolean) : lets.some(Boolean)) ? 'start' : 'skip';
}

/** The failed node that fails the run: the first one whose failure no edge deals with. */
export function failureOfRun({ workflow, nodes }: RunRow): { readonly id: string; readonly node: NodeRun } | undefined {
  const dealtWith = new Set(
    workflow.nodes.flatMap(({ after }) => after.flatMap(({ node, on }) => (on === 'success' ? [] : [node]))),
  );
  const failed = workflow.nodes
    .flatMap(({ id }) => {
      const node = nodes[id];
      return node !== undefined && hasFailed(node) && !dealtWith.has(id) ? [{ id, node }] : [];
    })
    .toSorted((a, b) => (a.node.endMs ?? 0) - (b.node.endMs ?? 0));
  return failed[0];
}

/** The run that another one restarts. */
export interface EarlierRun {
  readonly id: string;
  readonly row: RunRow;
  /** Ids of nodes whose results are kept no longer. */
  readonly lost?: ReadonlySet<string>;
}

/** The first row of a run; of one that restarts another, what succeeded there with all before it is kept. */
export function beginRow(workflow: WorkflowDefinition, params: Json, earlier?: EarlierRun): RunRow {
  const kept: Record<string, NodeRun> = {};
  for (const node of workflow.nodes) kept[node.id] = { state: 'waiting' };
  let grows = earlier !== undefined;
  while (grows) {
    grows = false;
    for (const { id, after } of workflow.nodes) {
      const before = earlier?.row.nodes[id];
      if (before?.state !== 'succeeded' || earlier?.lost?.has(id) || kept[id]?.reused) continue;
      if (!after.every((edge) => kept[edge.node]?.reused)) continue;
      kept[id] = { ...before, reused: true };
      grows = true;
    }
  }
  for (const { id, foreach, after } of workflow.nodes) {
    if (earlier === undefined || foreach === undefined || kept[id]?.reused) continue;
    // What runs again before it may give other items, or other parameters for the same ones.
    if (!after.every((edge) => kept[edge.node]?.reused)) continue;
    const before = earlier.row.nodes[id]?.items;
    if (before === undefined) continue;
    kept[id] = {
      state: 'waiting',
      items: { total: 0, base: 0, succeeded: 0, failed: 0, notRun: 0, takeFrom: earlier.id },
    };
  }
  return { workflow, params, nodes: kept };
}
