import type { Json } from '../../../workers/queue/job-kind.ts';
import { parseCondition } from '../expressions/condition.ts';
import { findReferences } from '../expressions/resolve-references.ts';
import type { JobStore } from '../job-store.ts';
import type { NodeRun, RunRow } from './run-state.ts';
import type { WorkflowNode } from './workflow.ts';

/** What references and conditions see: params, run, and each named node that has begun. */
export async function scopeOf(
  runId: string,
  row: RunRow,
  names: ReadonlySet<string>,
  store: Pick<JobStore, 'find'>,
): Promise<{ readonly [name: string]: Json }> {
  const nodes = await Promise.all(
    [...names].map(async (name) => {
      const node = row.nodes[name];
      return node === undefined ? undefined : ([name, await nodeScope(node, store)] as const);
    }),
  );
  const found = Object.fromEntries(nodes.filter((entry) => entry !== undefined));
  return { ...found, params: row.params, run: { id: runId } };
}

async function nodeScope({ state, job, error, items, event }: NodeRun, store: Pick<JobStore, 'find'>): Promise<Json> {
  const result = job === undefined ? undefined : (await store.find(job))?.result;
  const counts = items && {
    total: items.total,
    succeeded: items.succeeded,
    failed: items.failed,
    notRun: items.notRun,
  };
  return {
    state,
    ...(error === undefined ? {} : { error: { reason: error.reason, message: error.message } }),
    ...(result === undefined ? {} : { result }),
    ...(event === undefined ? {} : { result: event }),
    ...(counts === undefined ? {} : { counts, result: { ...counts, resultsKey: items?.resultsKey ?? '' } }),
  };
}

/** Names that a node's edges look at. */
export function namesOfEdges({ after }: WorkflowNode): Set<string> {
  const paths = after.flatMap(({ when }) => (when === '' ? [] : parseCondition(when, 'when').paths));
  return rootsOf(paths);
}

/** Names that a node's work refers to. */
export function namesOfWork({ work, foreach }: WorkflowNode): Set<string> {
  const value: Json = [
    work.type === 'signal' ? work.subject : work.params,
    foreach?.items ?? null,
    foreach?.grid ?? null,
  ];
  return namesIn(value);
}

/** Names that the references in a value begin with. Throws REFERENCE_INVALID. */
export function namesIn(value: Json): Set<string> {
  return rootsOf(findReferences(value, '').map(({ path }) => path));
}

function rootsOf(paths: readonly (readonly string[])[]): Set<string> {
  return new Set(paths.flatMap(([root]) => root ?? []));
}
