import { failureOf } from '../../../workers/queue/job-outcome.ts';
import type { Clock } from '../../core/clock.ts';
import { isPermanent } from '../../core/codes.ts';
import { AppError } from '../../core/errors.ts';
import { workflowFault } from '../job-errors.ts';
import { isTerminal, type JobRecord } from '../job-record.ts';
import type { JobStore } from '../job-store.ts';
import type { ForEachRunner } from './for-each-runner.ts';
import type { CreateNodeJob } from './node-jobs.ts';
import { namesOfEdges, namesOfWork, scopeOf } from './run-scope.ts';
import { hasEnded, type NodeRun, type RunRow, readinessOf } from './run-state.ts';
import { takeEvent } from './signals.ts';
import type { WorkflowNode } from './workflow.ts';

interface NodeStepsDeps {
  readonly store: Pick<JobStore, 'find'>;
  readonly items: ForEachRunner;
  readonly createJob: CreateNodeJob;
  readonly clock: Clock;
}

interface NodeSteps {
  /**
   * The nodes of a run after what has ended was taken in and what may start was started; undefined when nothing
   * changed, which rejects when a node could not be taken on. `verifies` looks at the jobs of all items, not only at
   * those that were told of.
   */
  takeOn(run: JobRecord, row: RunRow, verifies: boolean): Promise<RunRow['nodes'] | undefined>;
}

/** Takes each node of a run as far as it can go now. */
export function createNodeSteps({ store, items, createJob, clock }: NodeStepsDeps): NodeSteps {
  const takeOn: NodeSteps['takeOn'] = async (run, row, verifies) => {
    let now = row;
    const refusals: unknown[] = [];
    for (const node of row.workflow.nodes) {
      const state = now.nodes[node.id];
      if (state === undefined || hasEnded(state)) continue;
      try {
        const after = await guarded(state, () =>
          state.state === 'running' ? goOn(run, node, state, now, verifies) : start(run, node, state, now),
        );
        if (JSON.stringify(after) !== JSON.stringify(state))
          now = { ...now, nodes: { ...now.nodes, [node.id]: after } };
      } catch (error) {
        // What others have begun is stored all the same: else nobody would know of their jobs.
        refusals.push(error);
      }
    }
    if (now !== row) return now.nodes;
    if (refusals.length > 0) throw refusals[0];
    return undefined;
  };
  /** What is the caller's fault fails the node; anything else is tried again. */
  const guarded = async (state: NodeRun, act: () => Promise<NodeRun>): Promise<NodeRun> => {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof AppError) || !isPermanent(error.code)) throw error;
      return { startMs: clock.now(), ...state, state: 'failed', error: failureOf(error), endMs: clock.now() };
    }
  };

  const start = async (run: JobRecord, node: WorkflowNode, state: NodeRun, row: RunRow): Promise<NodeRun> => {
    const readiness = readinessOf(node, row, await scopeOf(run.id, row, namesOfEdges(node), store));
    if (readiness === 'wait') return state;
    if (readiness === 'skip') return { ...state, state: 'skipped', endMs: clock.now() };
    const begun: NodeRun = { ...state, state: 'running', startMs: clock.now() };
    // Stored before its first item starts, so that whoever ends the run knows that there may be some.
    if (node.foreach !== undefined) return begun;
    if (node.work.type === 'signal') return goOn(run, node, begun, row, false);
    const job = await createJob(run, node, await scopeOf(run.id, row, namesOfWork(node), store));
    return goOn(run, node, { ...begun, job: job.id }, row, false);
  };
  const goOn = async (
    run: JobRecord,
    node: WorkflowNode,
    state: NodeRun,
    row: RunRow,
    verifies: boolean,
  ): Promise<NodeRun> => {
    if (node.work.type === 'signal') {
      const signalled = await takeEvent(run.id, row, node, state, store);
      return signalled.event === undefined ? signalled : { ...signalled, state: 'succeeded', endMs: clock.now() };
    }
    if (node.foreach !== undefined) {
      const scope = await scopeOf(run.id, row, namesOfWork(node), store);
      const after = await items.advance(run, node, state, scope, verifies);
      return hasEnded(after) ? { ...after, endMs: clock.now() } : after;
    }
    if (state.job === undefined) return state;
    const job = await store.find(state.job);
    if (job === undefined)
      throw workflowFault('NODE_JOB_GONE', `jobs/${state.job} was deleted before its end was seen`);
    if (!isTerminal(job.state)) return state;
    return {
      ...state,
      state: job.state as NodeRun['state'],
      endMs: job.endMs ?? clock.now(),
      ...(job.error === undefined ? {} : { error: job.error }),
    };
  };

  return { takeOn };
}
