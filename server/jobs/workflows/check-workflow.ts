import type { Json } from '../../../workers/queue/job-kind.ts';
import { jsonBytes } from '../../core/canonical-json.ts';
import { type FieldViolation, invalidFields } from '../../core/errors.ts';
import { type JobKindInfo, labelFaults } from '../check-job.ts';
import { parseCondition } from '../expressions/condition.ts';
import { findReferences } from '../expressions/resolve-references.ts';
import { checkSchema } from '../templates/parameter-schema.ts';
import type { WorkflowNode, WorkflowSpec } from './workflow.ts';

const maxNodes = 200;
const maxBytes = 256 * 1024;
const maxDescriptionChars = 1_000;
const nodeId = /^[a-z0-9_-]{1,63}$/;
const reserved = new Set(['params', 'run', 'item', 'index', 'event', '__proto__']);
const mostParallel = 256;

/**
 * Checks a workflow: its nodes, edges without a cycle, and that references and conditions look only at what comes
 * before. Throws INVALID_FIELDS that names every fault, REFERENCE_INVALID, CONDITION_INVALID.
 */
export function checkWorkflow(spec: WorkflowSpec, kinds: ReadonlyMap<string, JobKindInfo>): void {
  const faults: FieldViolation[] = [...labelFaults(spec.labels, 'workflow')];
  const fault = (field: string, description: string) => faults.push({ field: `workflow.${field}`, description });
  const { nodes } = spec;
  if (nodes.length === 0 || nodes.length > maxNodes) fault('nodes', `must be 1 to ${maxNodes}, got ${nodes.length}`);
  if (spec.description.length > maxDescriptionChars)
    fault('description', `must be at most ${maxDescriptionChars} characters`);
  if (jsonBytes(spec) > maxBytes) fault('nodes', `must be at most ${maxBytes} bytes with all they hold`);
  const ids = new Set<string>();
  for (const [index, { id }] of nodes.entries()) {
    const at = `nodes[${index}].id`;
    if (!nodeId.test(id)) fault(at, 'must be 1 to 63 characters of [a-z0-9_-]');
    else if (reserved.has(id)) fault(at, `must not be ${[...reserved].join(', ')}`);
    else if (ids.has(id)) fault(at, `"${id}" is taken by another node`);
    ids.add(id);
  }
  for (const [index, node] of nodes.entries()) faults.push(...nodeFaults(node, `workflow.nodes[${index}]`, ids, kinds));
  if (faults.length > 0) throw invalidFields(faults);
  if (spec.schema !== undefined) checkSchema(spec.schema as Json, 'workflow.parameter_schema');
  const order = orderOf(nodes);
  if (order === undefined)
    throw invalidFields([{ field: 'workflow.nodes', description: 'must not depend on each other in a cycle' }]);
  const before = predecessorsOf(nodes, order);
  for (const [index, node] of nodes.entries())
    checkPaths(node, `workflow.nodes[${index}]`, before.get(node.id) ?? new Set());
  for (const { path, field } of findReferences(spec.outputs ?? {}, 'workflow.outputs')) checkRoot(path, field, ids);
}

function nodeFaults(
  node: WorkflowNode,
  path: string,
  ids: ReadonlySet<string>,
  kinds: ReadonlyMap<string, JobKindInfo>,
): FieldViolation[] {
  const { work, after, foreach } = node;
  const faults: FieldViolation[] = [];
  const fault = (field: string, description: string) => faults.push({ field: `${path}.${field}`, description });
  if (work.type === 'job' && !kinds.has(work.kind)) fault('job.kind', `no job kind "${work.kind.slice(0, 100)}"`);
  if (work.type === 'signal' && !/^[a-z0-9._-]{1,63}$/.test(work.eventKind))
    fault('signal.event_kind', 'must be a kind of event');
  if (work.type !== 'job' && node.limits !== undefined) fault('limits', 'must be set for a job only');
  for (const [index, edge] of after.entries()) {
    if (!ids.has(edge.node)) fault(`after[${index}].node`, `there is no node "${edge.node.slice(0, 63)}"`);
  }
  if (new Set(after.map((edge) => edge.node)).size !== after.length) fault('after', 'must name each node once');
  if (foreach === undefined) return faults;
  if (work.type === 'signal') fault('foreach', 'must not be set for a signal');
  if ((foreach.items === undefined) === (foreach.grid === undefined))
    fault('foreach', 'must have either items or grid');
  if (foreach.maxParallel < 1 || foreach.maxParallel > mostParallel)
    fault('foreach.max_parallel', `must be 0 to ${mostParallel}`);
  if (foreach.maxFailed < 0) fault('foreach.max_failed', 'must not be negative');
  return faults;
}

/** Nodes such that each comes after those before it; undefined when there is a cycle. */
export function orderOf(nodes: readonly WorkflowNode[]): readonly WorkflowNode[] | undefined {
  const done = new Set<string>();
  const order: WorkflowNode[] = [];
  while (order.length < nodes.length) {
    const ready = nodes.filter(({ id, after }) => !done.has(id) && after.every((edge) => done.has(edge.node)));
    if (ready.length === 0) return undefined;
    for (const node of ready) done.add(node.id);
    order.push(...ready);
  }
  return order;
}

/** All nodes that come before each node, near and far. */
function predecessorsOf(nodes: readonly WorkflowNode[], order: readonly WorkflowNode[]): Map<string, Set<string>> {
  const before = new Map<string, Set<string>>(nodes.map(({ id }) => [id, new Set()]));
  for (const { id, after } of order) {
    for (const { node } of after)
      before.set(id, new Set([...(before.get(id) ?? []), ...(before.get(node) ?? []), node]));
  }
  return before;
}

function checkPaths({ work, after, foreach }: WorkflowNode, path: string, before: ReadonlySet<string>): void {
  const perItem = foreach === undefined ? [] : ['item', 'index'];
  const params = work.type === 'signal' ? work.subject : work.params;
  const field = `${path}.${work.type}.${work.type === 'signal' ? 'subject' : 'params'}`;
  for (const reference of findReferences(params, field)) checkRoot(reference.path, reference.field, before, perItem);
  for (const reference of findReferences(
    { items: foreach?.items ?? null, grid: foreach?.grid ?? null },
    `${path}.foreach`,
  )) {
    checkRoot(reference.path, reference.field, before);
  }
  const conditions = after.map(({ when }, index) => [when, `${path}.after[${index}].when`] as const);
  for (const [when, at] of conditions) {
    if (when !== '') for (const conditionPath of parseCondition(when, at).paths) checkRoot(conditionPath, at, before);
  }
  if (work.type !== 'signal' || work.when === '') return;
  const at = `${path}.signal.when`;
  for (const conditionPath of parseCondition(work.when, at).paths) checkRoot(conditionPath, at, new Set(), ['event']);
}

function checkRoot(
  path: readonly string[],
  field: string,
  nodes: ReadonlySet<string>,
  also: readonly string[] = [],
): void {
  const [root = ''] = path;
  if (root === 'params' || root === 'run' || nodes.has(root) || also.includes(root)) return;
  throw invalidFields([{ field, description: `"${root}" is neither params, run nor a node that comes before` }]);
}
