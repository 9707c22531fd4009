import type { Json } from '../../../workers/queue/job-kind.ts';
import { failureOf, type JobFailure } from '../../../workers/queue/job-outcome.ts';
import { isPermanent } from '../../core/codes.ts';
import { AppError } from '../../core/errors.ts';
import type { ObjectStore } from '../../stores/objects/object-store.ts';
import { workflowFault } from '../job-errors.ts';
import { isTerminal, type JobRecord } from '../job-record.ts';
import type { JobStore } from '../job-store.ts';
import { type Items, itemsOf } from './for-each-items.ts';
import { type CreateNodeJob, nodeRequestKey } from './node-jobs.ts';
import { chunkKeyOf, resultsKeyOf } from './run-objects.ts';
import type { ItemsState, NodeRun } from './run-state.ts';
import type { WorkflowNode } from './workflow.ts';

interface ForEachDeps {
  readonly store: Pick<JobStore, 'find' | 'findRequest'>;
  readonly objects: Pick<ObjectStore, 'put' | 'read'>;
  readonly createJob: CreateNodeJob;
  readonly cancel: (jobId: string) => Promise<unknown>;
}

/** Runs the items of nodes with foreach: a window of them at a time, results to the object store in chunks. */
export interface ForEachRunner {
  /**
   * Starts items as there is room and stores full chunks. Gives the node as it is to be stored. `verifies` looks at the
   * jobs of items at once; else that is done when there is no room.
   */
  advance(run: JobRecord, node: WorkflowNode, state: NodeRun, scope: Json, verifies: boolean): Promise<NodeRun>;
  /** The job of an item has ended. */
  itemEnded(job: JobRecord): void;
  /** Cancels what is at work and stores what has ended. */
  stop(run: JobRecord, node: WorkflowNode, state: NodeRun): Promise<NodeRun>;
  /** Items held in memory, for tests. */
  held(): number;
}

/** One line of a chunk. */
interface ItemLine {
  readonly index: number;
  readonly state: JobRecord['state'] | 'not_run';
  readonly job?: string;
  readonly item?: Json;
  readonly result?: Json;
  readonly error?: { readonly reason: string; readonly message: string };
}

interface Progress {
  readonly items: Items;
  /** Chunks before this item are written. */
  base: number;
  readonly atWork: Map<number, string>;
  /** Ended items from `base` on. */
  readonly lines: Map<number, ItemLine>;
  next: number;
  firstError: JobFailure | undefined;
}

const chunkItems = 500;
const maxInlineChars = 4_096;
const maxItemChars = 1_024;

/** A chunk has 500 items; at most two chunks of a node are held in memory. */
export function createForEachRunner({ store, objects, createJob, cancel }: ForEachDeps): ForEachRunner {
  const progresses = new Map<string, Progress>();
  const earlierChunks = new Map<string, Map<number, ItemLine>>();
  const keyOf = (runId: string, nodeId: string) => `${runId}/${nodeId}`;

  /** Items of the run before that succeeded; the last two chunks are kept. */
  const takeOver = async (from: string, nodeId: string, index: number): Promise<ItemLine | undefined> => {
    const key = chunkKeyOf(from, nodeId, Math.floor(index / chunkItems));
    const known = earlierChunks.get(key) ?? (await readChunk(key));
    if (!earlierChunks.has(key) && earlierChunks.size >= 2)
      earlierChunks.delete(earlierChunks.keys().next().value ?? '');
    earlierChunks.set(key, known);
    const line = known.get(index);
    return line?.state === 'succeeded' ? line : undefined;
  };
  const readChunk = async (key: string): Promise<Map<number, ItemLine>> => {
    try {
      const text = Buffer.from(await objects.read(key)).toString('utf8');
      const lines = text.split('\n').filter(Boolean);
      return new Map(lines.map((line) => JSON.parse(line) as ItemLine).map((line) => [line.index, line]));
    } catch (error) {
      if (error instanceof AppError && error.reason === 'OBJECT_NOT_FOUND') return new Map();
      throw error;
    }
  };

  const begin = async (
    run: JobRecord,
    node: WorkflowNode,
    progress: Progress,
    index: number,
    scope: Json,
    takeFrom: string | undefined,
  ) => {
    const earlier = takeFrom === undefined ? undefined : await takeOver(takeFrom, node.id, index);
    if (earlier !== undefined) {
      progress.lines.set(index, earlier);
      return;
    }
    const item = progress.items.at(index);
    try {
      const job = await createJob(run, node, { ...(scope as object), item, index }, index);
      progress.atWork.set(index, job.id);
      if (isTerminal(job.state)) end(progress, index, job);
    } catch (error) {
      // What no further try can change is the end of this item; anything else stops here and is tried again.
      if (!(error instanceof AppError) || !isPermanent(error.code)) throw error;
      progress.firstError ??= failureOf(error);
      const { reason, message } = error;
      progress.lines.set(index, { index, state: 'failed', ...shortItem(item), error: { reason, message } });
    }
  };
  const end = (progress: Progress, index: number, job: JobRecord) => {
    progress.atWork.delete(index);
    if (job.state !== 'succeeded') progress.firstError ??= job.error;
    progress.lines.set(index, lineOf(job, index, progress.items.at(index)));
  };

  const flush = async (runId: string, nodeId: string, progress: Progress, state: ItemsState, all: boolean) => {
    let now = state;
    while (now.base < now.total) {
      const to = Math.min(now.base + chunkItems, now.total);
      const indexes = Array.from({ length: to - now.base }, (_, i) => now.base + i);
      if (!all && !indexes.every((index) => progress.lines.has(index))) return now;
      const lines = indexes.map((index): ItemLine => progress.lines.get(index) ?? { index, state: 'not_run' });
      const body = Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
      await objects.put(chunkKeyOf(runId, nodeId, now.base / chunkItems), body, { contentType: 'application/jsonl' });
      for (const index of indexes) progress.lines.delete(index);
      progress.base = to;
      const count = (of: (line: ItemLine) => boolean) => lines.filter(of).length;
      const succeeded = count(({ state: ended }) => ended === 'succeeded');
      const failed = count(({ state: ended }) => ended === 'failed' || ended === 'timed_out');
      now = {
        ...now,
        base: to,
        succeeded: now.succeeded + succeeded,
        failed: now.failed + failed,
        notRun: now.notRun + lines.length - succeeded - failed,
      };
    }
    return now;
  };
  /** The list of all chunks. */
  const finish = async (runId: string, nodeId: string, state: ItemsState): Promise<ItemsState> => {
    const resultsKey = resultsKeyOf(runId, nodeId);
    const { total, succeeded, failed, notRun } = state;
    const chunks = Array.from({ length: Math.ceil(total / chunkItems) }, (_, chunk) =>
      chunkKeyOf(runId, nodeId, chunk),
    );
    const body = Buffer.from(JSON.stringify({ total, succeeded, failed, notRun, chunks }));
    await objects.put(resultsKey, body, { contentType: 'application/json' });
    progresses.delete(keyOf(runId, nodeId));
    return { ...state, resultsKey };
  };

  /** What is known of a node; nothing when it has come further than what is stored, which then counts. */
  const progressOf = (runId: string, nodeId: string, { base }: ItemsState): Progress | undefined => {
    const known = progresses.get(keyOf(runId, nodeId));
    return known?.base === base ? known : undefined;
  };

  const verify = async (progress: Progress) => {
    for (const [index, jobId] of progress.atWork) {
      const job = await store.find(jobId);
      if (job !== undefined && isTerminal(job.state)) end(progress, index, job);
    }
  };
  const cancelAtWork = async (progress: Progress) => {
    for (const [index, jobId] of progress.atWork) {
      await cancel(jobId);
      const job = await store.find(jobId);
      if (job !== undefined) end(progress, index, job);
    }
  };

  return {
    advance: async (run, node, state, scope, verifies) => {
      const { foreach } = node;
      if (foreach === undefined) return state;
      const known = progressOf(run.id, node.id, state.items ?? emptyItems);
      const items = known?.items ?? itemsOf(foreach, scope);
      let now: ItemsState = { ...(state.items ?? emptyItems), total: items.total };
      const progress: Progress = known ?? {
        items,
        base: now.base,
        atWork: new Map(),
        lines: new Map(),
        next: now.base,
        firstError: undefined,
      };
      progresses.set(keyOf(run.id, node.id), progress);
      if (verifies) await verify(progress);
      for (let isVerified = verifies; ; ) {
        const room = Math.min(
          foreach.maxParallel - progress.atWork.size,
          now.total - progress.next,
          // An item that takes long holds up its chunk; those after it must not pile up in memory.
          now.base + 2 * chunkItems - progress.next,
        );
        const failed = now.failed + [...progress.lines.values()].filter(isFailed).length;
        if (failed > foreach.maxFailed) return giveUp(run, node, progress, { ...state, items: now }, failed);
        if (room <= 0 && progress.atWork.size > 0 && !isVerified) {
          // Another server may have heard of their ends.
          await verify(progress);
          isVerified = true;
          continue;
        }
        const indexes = Array.from({ length: Math.max(0, room) }, (_, i) => progress.next + i);
        progress.next += indexes.length;
        const begun = await Promise.allSettled(
          indexes.map((index) => begin(run, node, progress, index, scope, now.takeFrom)),
        );
        const refused = begun.findIndex(({ status }) => status === 'rejected');
        if (refused >= 0) {
          // Those after it are made again, which gives the same jobs.
          progress.next = indexes[refused] ?? progress.next;
          throw (begun[refused] as PromiseRejectedResult).reason;
        }
        const flushed = await flush(run.id, node.id, progress, now, false);
        const isStill = indexes.length === 0 && flushed === now;
        now = flushed;
        if (now.base >= now.total) return { ...state, state: 'succeeded', items: await finish(run.id, node.id, now) };
        if (isStill) break;
      }
      return { ...state, items: now };
    },
    itemEnded: (job) => {
      const { run = '', id = '', index } = job.node ?? {};
      const progress = progresses.get(keyOf(run, id));
      if (progress !== undefined && index !== undefined && progress.atWork.has(index)) end(progress, index, job);
    },
    stop: async (run, node, state) => {
      const items = state.items ?? emptyItems;
      const progress = progressOf(run.id, node.id, items) ?? (await recall(run.id, node.id, items));
      await cancelAtWork(progress);
      const flushed = await flush(run.id, node.id, progress, items, true);
      return { ...state, items: await finish(run.id, node.id, flushed) };
    },
    held: () => [...progresses.values()].reduce((sum, { lines, atWork }) => sum + lines.size + atWork.size, 0),
  };

  async function giveUp(run: JobRecord, node: WorkflowNode, progress: Progress, state: NodeRun, failed: number) {
    await cancelAtWork(progress);
    const flushed = await flush(run.id, node.id, progress, state.items ?? emptyItems, true);
    const first = progress.firstError;
    const cause = first === undefined ? '' : `; first: ${first.reason}: ${first.message}`;
    const error = failureOf(workflowFault('FOREACH_TOO_MANY_FAILED', `${failed} items failed${cause}`.slice(0, 2_000)));
    return { ...state, state: 'failed' as const, error, items: await finish(run.id, node.id, flushed) };
  }

  /** What a server before this one had at work. */
  async function recall(runId: string, nodeId: string, { base, total }: ItemsState): Promise<Progress> {
    const atWork = new Map<number, string>();
    const lines = new Map<number, ItemLine>();
    // Without a total it had only begun: whatever it had time to start is among the first.
    const end = Math.min(total || Number.POSITIVE_INFINITY, base + 2 * chunkItems);
    for (let index = base; index < end; index++) {
      const id = (await store.findRequest(nodeRequestKey(runId, nodeId, index)))?.id;
      const job = id === undefined ? undefined : await store.find(id);
      if (job === undefined) continue;
      if (isTerminal(job.state)) lines.set(index, lineOf(job, index, null));
      else atWork.set(index, job.id);
    }
    return { items: { total, at: () => null }, base, atWork, lines, next: total, firstError: undefined };
  }
}

const emptyItems: ItemsState = { total: 0, base: 0, succeeded: 0, failed: 0, notRun: 0 };

function isFailed({ state }: ItemLine): boolean {
  return state === 'failed' || state === 'timed_out';
}

/** Large results stay with their job. */
function lineOf(job: JobRecord, index: number, item: Json): ItemLine {
  const isSmall = job.result !== undefined && JSON.stringify(job.result).length <= maxInlineChars;
  return {
    index,
    state: job.state,
    job: `jobs/${job.id}`,
    ...shortItem(item),
    ...(isSmall && job.result !== undefined ? { result: job.result } : {}),
    ...(job.error === undefined ? {} : { error: { reason: job.error.reason, message: job.error.message } }),
  };
}

function shortItem(item: Json): { item?: Json } {
  return item === null || JSON.stringify(item).length > maxItemChars ? {} : { item };
}
