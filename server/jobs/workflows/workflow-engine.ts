import type { Json } from '../../../workers/queue/job-kind.ts';
import { failedOutcome, failureOf, type JobOutcome } from '../../../workers/queue/job-outcome.ts';
import { jobTimedOut, startedTooLate } from '../../../workers/queue/queue-errors.ts';
import type { Clock } from '../../core/clock.ts';
import { isPermanent } from '../../core/codes.ts';
import { AppError, messageOf } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import { createTurns } from '../../core/turns.ts';
import { resolveReferences } from '../expressions/resolve-references.ts';
import { jobBusy } from '../job-errors.ts';
import { isTerminal, type JobRecord } from '../job-record.ts';
import type { JobStore } from '../job-store.ts';
import type { ForEachRunner } from './for-each-runner.ts';
import { type CreateNodeJob, nodeRequestKey } from './node-jobs.ts';
import { createNodeSteps } from './node-steps.ts';
import type { RunObjects } from './run-objects.ts';
import type { RunRows } from './run-rows.ts';
import { namesIn, scopeOf } from './run-scope.ts';
import { beginRow, failureOfRun, hasEnded, isOver, type NodeRun, type RunRow } from './run-state.ts';
import { createSignals, type WorkflowEvent } from './signals.ts';
import type { WorkflowDefinition } from './workflow.ts';

/** What runs are kept and taken on with. */
export interface WorkflowEngineDeps {
  readonly store: JobStore;
  readonly rows: RunRows;
  readonly items: ForEachRunner;
  readonly runObjects: Pick<RunObjects, 'note' | 'keepFor'>;
  readonly createJob: CreateNodeJob;
  readonly getWorkflow: (id: string) => Promise<WorkflowDefinition>;
  readonly cancel: (jobId: string) => Promise<unknown>;
  /** Ends a run; one that has ended stays as it is. */
  readonly endRun: (runId: string, outcome: JobOutcome) => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long the row of an ended run is kept, in ms. */
  readonly retentionMs: number;
}

/** Runs workflows on the server; what it knows is stored, so it goes on after a crash where it was. */
export interface WorkflowEngine {
  /** Takes down what a run will do that waits for its turn, so that events find it. Repeating it is harmless. */
  note(run: JobRecord): Promise<void>;
  /** Starts a run, or goes on with it. */
  launch(run: JobRecord): Promise<void>;
  /** The job of a node has ended. */
  nodeEnded(job: JobRecord): Promise<void>;
  /** A run has ended, perhaps from outside: what it still does is cancelled. Repeating it is harmless. */
  stop(run: JobRecord): Promise<void>;
  /** An event may be what runs wait for. The same one again changes nothing. */
  onEvent(event: WorkflowEvent): Promise<void>;
  close(): Promise<void>;
}

const retryMs = 1_000;
const maxTries = 50;

/**
 * Needs no start: the sweep launches what a crash has left. A run that cannot be taken on now is looked at again after
 * a second.
 */
export function createWorkflowEngine(deps: WorkflowEngineDeps): WorkflowEngine {
  const { store, rows, items, createJob, clock, log } = deps;
  const steps = createNodeSteps({ store, items, createJob, clock });
  const signals = createSignals(store, rows, clock);
  const inTurn = createTurns();
  /** Runs that are to be looked at: one look serves all who asked before it began. */
  const asked = new Set<string>();
  const timers = new Map<string, () => void>();
  let closed = false;

  const advance = async (runId: string, verifies = false): Promise<void> => {
    if (asked.has(runId) && !verifies) return;
    asked.add(runId);
    await inTurn(runId, async () => {
      asked.delete(runId);
      if (closed) return;
      try {
        await work(runId, verifies);
      } catch (error) {
        log.warn('workflow run is looked at again', { job_id: runId, error: messageOf(error) });
        later(`${runId} retry`, retryMs, () => advance(runId));
      }
    });
  };
  const later = (key: string, ms: number, run: () => Promise<void>) => {
    if (closed || timers.has(key)) return;
    const cancel = clock.schedule(ms, () => {
      timers.delete(key);
      run().catch((error: unknown) => log.debug('workflow run waits for the next sweep', { error: messageOf(error) }));
    });
    timers.set(key, cancel);
  };

  /** Takes the run on until only others can take it further. */
  const work = async (runId: string, verifies: boolean): Promise<void> => {
    for (let conflicts = 0; conflicts < maxTries; ) {
      const run = await store.find(runId);
      // One that waits for its turn is noted already.
      if (run?.state !== 'running') return;
      const loaded = await rows.find(runId);
      if (loaded === undefined) return;
      const nodes = await steps.takeOn(run, loaded.row, verifies);
      if (nodes === undefined) {
        if (isOver(loaded.row)) await conclude(run, loaded.row);
        return;
      }
      const row = { ...loaded.row, nodes };
      if (await rows.replace(runId, row, loaded.version)) await tell(runId, loaded.row, row);
      else conflicts++;
    }
    throw jobBusy(`jobs/${runId}`);
  };

  /** Progress of the run's own job: watchers of it see each node end. */
  const tell = async (runId: string, before: RunRow, after: RunRow) => {
    const ids = Object.keys(after.nodes);
    const done = ids.filter((id) => hasEnded(after.nodes[id])).length;
    const changed = ids.filter((id) => after.nodes[id]?.state !== before.nodes[id]?.state);
    const last = changed.at(-1) ?? '';
    const progress = {
      fraction: done / ids.length,
      stage: last,
      message: changed
        .map((id) => `${id} ${after.nodes[id]?.state}`)
        .join(', ')
        .slice(0, 500),
      detail: { nodes_done: done, nodes_total: ids.length },
    };
    await store.update(runId, (record) =>
      isTerminal(record.state)
        ? undefined
        : {
            record: changed.length === 0 ? record : { ...record, progress },
            events: changed.length === 0 ? [] : [{ progress }],
            atMs: clock.now(),
          },
    );
  };
  const conclude = async (run: JobRecord, row: RunRow) => {
    const failed = failureOfRun(row);
    if (failed !== undefined) {
      const { id, node } = failed;
      const error = node.error ?? failureOf(new Error(`node ${id} ended as ${node.state}`));
      await deps.endRun(run.id, failedOutcome({ ...error, metadata: { ...error.metadata, node: id } }));
      return;
    }
    const outputs = row.workflow.outputs ?? {};
    let outcome: JobOutcome;
    try {
      const scope = await scopeOf(run.id, row, namesIn(outputs), store);
      outcome = { state: 'succeeded', result: resolveReferences(outputs, scope, 'outputs') };
    } catch (error) {
      if (!(error instanceof AppError) || !isPermanent(error.code)) throw error;
      outcome = failedOutcome(failureOf(error));
    }
    await deps.endRun(run.id, outcome);
  };

  /** The row of a run that begins. */
  const firstRow = async (run: JobRecord): Promise<RunRow> => {
    const { workflow, params = {} } = run.params as { workflow: string; params?: Json };
    const earlier = run.restartOf === undefined ? undefined : await rows.find(run.restartOf);
    if (run.restartOf === undefined || earlier === undefined) return beginRow(await deps.getWorkflow(workflow), params);
    const { row } = earlier;
    const lost = new Set<string>();
    for (const [id, { job, state, items: results }] of Object.entries(row.nodes)) {
      if (job !== undefined && (await store.find(job)) === undefined) lost.add(id);
      if (state !== 'succeeded' || results?.resultsKey === undefined) continue;
      if (!(await deps.runObjects.keepFor(run.id, results.resultsKey))) lost.add(id);
    }
    return beginRow(row.workflow, row.params, { id: run.restartOf, row, lost });
  };
  const note = async (run: JobRecord): Promise<void> => {
    if ((await rows.find(run.id)) !== undefined) return;
    try {
      const row = await firstRow(run);
      await deps.runObjects.note(run.id, row);
      await rows.create(run.id, row);
    } catch (error) {
      if (!(error instanceof AppError) || !isPermanent(error.code)) throw error;
      await deps.endRun(run.id, failedOutcome(failureOf(error)));
    }
  };

  return {
    note,
    launch: async (run) => {
      await note(run);
      let isLate = false;
      const begun = await store.update(run.id, (record) => {
        if (record.state !== 'queued') return undefined;
        const atMs = clock.now();
        isLate = record.startByMs !== undefined && atMs > record.startByMs;
        if (isLate) return undefined;
        return { record: { ...record, state: 'running', startMs: atMs }, events: [{ state: 'running' }], atMs };
      });
      if (isLate) return deps.endRun(run.id, { state: 'skipped', error: failureOf(startedTooLate()) });
      if (begun === undefined) return;
      // Ended while it began: whoever ended it has found no row yet.
      if (isTerminal(begun.state)) return stop(begun);
      watchTime(begun);
      await advance(run.id, true);
    },
    nodeEnded: async (job) => {
      if (job.node === undefined) return;
      items.itemEnded(job);
      await advance(job.node.run);
    },
    stop,
    onEvent: async (event) => {
      const refusals: unknown[] = [];
      for (const runId of await rows.waitingFor(event.kind)) {
        try {
          if (await signals.offer(runId, event)) await advance(runId);
        } catch (error) {
          // The others are told all the same; the bus tries it again for this one.
          refusals.push(error);
        }
      }
      if (refusals.length > 0) throw refusals[0];
    },
    close: async () => {
      closed = true;
      for (const cancel of timers.values()) cancel();
      timers.clear();
      await inTurn.idle();
    },
  };

  async function stop(run: JobRecord): Promise<void> {
    timers.get(`${run.id} limit`)?.();
    timers.delete(`${run.id} limit`);
    await inTurn(run.id, async () => {
      for (let tries = 0; tries < maxTries; tries++) {
        const loaded = await rows.find(run.id);
        if (loaded === undefined) return;
        const nodes = await stopNodes(run, loaded.row);
        await rows.forgetSignals(run.id, loaded.row);
        if (!(await rows.replace(run.id, { ...loaded.row, nodes }, loaded.version, deps.retentionMs))) continue;
        for (const { job } of Object.values(nodes)) if (job !== undefined) await store.expire(job);
        return;
      }
      throw jobBusy(`jobs/${run.id}`);
    });
  }

  async function stopNodes(run: JobRecord, row: RunRow): Promise<RunRow['nodes']> {
    const nodes: Record<string, NodeRun> = { ...row.nodes };
    for (const node of row.workflow.nodes) {
      const state = nodes[node.id];
      if (state === undefined || hasEnded(state)) continue;
      // Made by a server that ended before it could note it.
      const job = state.job ?? (await store.findRequest(nodeRequestKey(run.id, node.id)))?.id;
      if (state.state === 'waiting' && job === undefined) {
        nodes[node.id] = { ...state, state: 'skipped', endMs: clock.now() };
        continue;
      }
      if (job !== undefined) await deps.cancel(job);
      const stopped = node.foreach === undefined ? state : await items.stop(run, node, state);
      nodes[node.id] = { ...stopped, ...(job === undefined ? {} : { job }), state: 'cancelled', endMs: clock.now() };
    }
    return nodes;
  }

  /** Ends a run over its time limit. */
  function watchTime({ id, startMs, limits }: JobRecord): void {
    const timeoutMs = limits?.timeoutMs;
    if (timeoutMs === undefined || startMs === undefined) return;
    const leftMs = Math.max(0, startMs + timeoutMs - clock.now());
    later(`${id} limit`, leftMs, async () => {
      await deps.endRun(id, { state: 'timed_out', error: { ...failureOf(jobTimedOut(timeoutMs)), class: 'timeout' } });
    });
  }
}
