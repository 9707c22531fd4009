import type { Json } from '../../../workers/queue/job-kind.ts';
import type { Clock } from '../../core/clock.ts';
import { parseCondition } from '../expressions/condition.ts';
import { resolveReferences } from '../expressions/resolve-references.ts';
import { jobBusy } from '../job-errors.ts';
import { isTerminal } from '../job-record.ts';
import type { JobStore } from '../job-store.ts';
import type { RunRows } from './run-rows.ts';
import { namesOfWork, scopeOf } from './run-scope.ts';
import { hasEnded, type NodeRun, type RunRow } from './run-state.ts';
import type { WorkflowNode } from './workflow.ts';

/** An event of the bus, as much as workflows see of it. */
export interface WorkflowEvent {
  readonly eventId: string;
  readonly kind: string;
  readonly subject: string;
  readonly profile: string;
  readonly data: Json;
  /** Unix ms. */
  readonly acceptedMs: number;
}

interface Signals {
  /** Notes an event at the nodes of a run that wait for it; true when one does. The same one again changes nothing. */
  offer(runId: string, event: WorkflowEvent): Promise<boolean>;
}

type Finder = Pick<JobStore, 'find'>;

const maxTries = 50;
/** Events kept for a node whose subject is not known yet; older ones are dropped. */
const maxHeld = 20;

/** An event older than its run is left out. `offer` throws JOB_BUSY when the run changes again and again. */
export function createSignals(store: Finder, rows: RunRows, clock: Clock): Signals {
  return {
    offer: async (runId, event) => {
      for (let tries = 0; tries < maxTries; tries++) {
        const run = await store.find(runId);
        const loaded = await rows.find(runId);
        if (run === undefined || loaded === undefined || isTerminal(run.state)) return false;
        // After the clock was set back times say nothing: what comes now is taken for new, as it nearly always is.
        if (event.acceptedMs < run.createMs && clock.now() >= run.createMs) return false;
        const { row, version } = loaded;
        const nodes: Record<string, NodeRun> = { ...row.nodes };
        for (const node of row.workflow.nodes) {
          const state = nodes[node.id];
          if (state !== undefined) nodes[node.id] = await noted(runId, row, node, state, event, store);
        }
        if (Object.keys(nodes).every((id) => nodes[id] === row.nodes[id])) return false;
        if (await rows.replace(runId, { ...row, nodes }, version)) return true;
      }
      throw jobBusy(`jobs/${runId}`);
    },
  };
}

/** A node after an event: the one that it waits for, one that may be it once its subject is known, or none of both. */
async function noted(
  runId: string,
  row: RunRow,
  node: WorkflowNode,
  state: NodeRun,
  event: WorkflowEvent,
  store: Finder,
): Promise<NodeRun> {
  const { work: signal } = node;
  if (signal.type !== 'signal' || signal.eventKind !== event.kind) return state;
  if (hasEnded(state) || state.event !== undefined) return state;
  const { eventId, kind, subject, profile, data } = event;
  const value = { eventId, kind, subject, profile, data };
  const scope = await scopeOf(runId, row, namesOfWork(node), store);
  if (signal.when !== '' && !parseCondition(signal.when, 'when').holds({ ...scope, event: value })) return state;
  const wanted = subjectOf(signal.subject, scope);
  if (wanted === '' || wanted === subject) return { ...state, event: value };
  const { held = [] } = state;
  // What the subject is made of has not ended: the event may be the one.
  if (wanted !== undefined || held.some((other) => other.eventId === eventId)) return state;
  return { ...state, held: [...held, value].slice(-maxHeld) };
}

/** A signal node at work, with the event that came before its subject was known, if one did. */
export async function takeEvent(
  runId: string,
  row: RunRow,
  node: WorkflowNode,
  state: NodeRun,
  store: Finder,
): Promise<NodeRun> {
  const { held, ...rest } = state;
  if (held === undefined || node.work.type !== 'signal') return state;
  const wanted = resolveReferences(node.work.subject, await scopeOf(runId, row, namesOfWork(node), store), 'subject');
  const event = rest.event ?? held.find(({ subject }) => subject === wanted);
  return event === undefined ? rest : { ...rest, event };
}

/** Undefined while the node that it comes from has no result. */
function subjectOf(subject: string, scope: Readonly<Record<string, Json>>): Json | undefined {
  if (subject === '') return '';
  try {
    return resolveReferences(subject, scope, 'subject');
  } catch {
    return undefined;
  }
}
