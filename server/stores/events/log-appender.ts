import { metrics } from '@opentelemetry/api';
import type { Clock } from '../../core/clock.ts';
import { AppError } from '../../core/errors.ts';
import type { BatchOperation, RecordsStore } from '../records/records-store.ts';
import { storeOverloaded } from '../store-errors.ts';
import type { AppendOptions, AppendResult } from './event-log.ts';
import { logLimits } from './log-limits.ts';
import { deleteEntry, getHead, getId, type LogHead, putEntry, putHead, putId } from './log-records.ts';

/** Appends of one log that share a batch; with their ids, the head and the trimming they stay within 1,000 operations. */
const maxGroup = 250;
const maxGroupBytes = 8 * 1024 * 1024;
const maxWaiting = 10_000;
const maxWaitingBytes = 32 * 1024 * 1024;
/** Rows removed with one batch beyond what the log may keep. */
const maxTrimmed = 499;
/** How often a group is tried again after another process took its offsets. */
const maxConflicts = 5;

/** Appends to one log. */
export interface LogAppender {
  /** Resolves once it is durable. STORE_OVERLOADED when 10,000 appends, or 32 MiB, wait. */
  append(payload: Uint8Array, options: AppendOptions): Promise<AppendResult>;
  /** Nothing waits and nothing runs. */
  readonly isIdle: boolean;
  /** Resolves once nothing waits and nothing runs. */
  settled(): Promise<void>;
}

interface Waiting {
  readonly payload: Uint8Array;
  readonly options: AppendOptions;
  readonly resolve: (result: AppendResult) => void;
  readonly reject: (error: unknown) => void;
}

interface Plan {
  readonly newest: bigint;
  readonly operations: readonly BatchOperation[];
  readonly results: readonly AppendResult[];
}

/**
 * The one writer of a log in this process: appends that arrive while a batch is under way share the next one, and
 * each batch holds entries, ids and the log's head, so that offsets have no gaps whatever fails.
 */
export function createLogAppender(
  records: RecordsStore,
  clock: Clock,
  log: string,
  onAppended: (newest: bigint) => void,
): LogAppender {
  const refused = metrics.getMeter('showrunner.events').createCounter('event_log_appends_refused');
  const waiting: Waiting[] = [];
  let waitingBytes = 0;
  let running: Promise<void> | undefined;

  function takeGroup(): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const { payload } of waiting) {
      if (count === maxGroup || (count > 0 && bytes + payload.byteLength > maxGroupBytes)) break;
      bytes += payload.byteLength;
      count++;
    }
    waitingBytes -= bytes;
    return waiting.splice(0, count);
  }

  async function appendGroup(group: readonly Waiting[]): Promise<void> {
    for (let conflicts = 0; ; conflicts++) {
      try {
        const { newest, operations, results } = await planGroup(records, clock, log, group);
        await records.batch(operations);
        for (const [index, result] of results.entries()) group[index]?.resolve(result);
        if (operations.length > 0) onAppended(newest);
        return;
      } catch (error) {
        const isConflict = error instanceof AppError && error.reason === 'RECORD_CONFLICT';
        if (isConflict && conflicts < maxConflicts) continue;
        for (const append of group) append.reject(error);
        return;
      }
    }
  }

  async function trimRest(): Promise<void> {
    try {
      for (let head = await getHead(records, log); head.trimmed < head.floor; head = await getHead(records, log)) {
        if (waiting.length > 0) return;
        const trimmed = trimTo(head);
        await records.batch([...deletesOf(log, head.trimmed, trimmed), putHead(log, { ...head, trimmed })]);
      }
    } catch {
      // Only room is at stake: the next append goes on with it and tells its caller what is wrong.
    }
  }

  async function run(): Promise<void> {
    // Lets the appends of this tick gather.
    await Promise.resolve();
    while (waiting.length > 0) {
      await appendGroup(takeGroup());
      await trimRest();
    }
    running = undefined;
  }

  return {
    append: (payload, options) => {
      if (waiting.length >= maxWaiting || waitingBytes + payload.byteLength > maxWaitingBytes) {
        refused.add(1);
        return Promise.reject(storeOverloaded('events', 'appends', waiting.length));
      }
      return new Promise((resolve, reject) => {
        waiting.push({ payload, options, resolve, reject });
        waitingBytes += payload.byteLength;
        running ??= run();
      });
    },
    get isIdle() {
      return running === undefined;
    },
    settled: async () => running,
  };
}

async function planGroup(records: RecordsStore, clock: Clock, log: string, group: readonly Waiting[]): Promise<Plan> {
  const before = await getHead(records, log);
  const operations: BatchOperation[] = [];
  const results: AppendResult[] = [];
  const seen = await findIds(records, log, group);
  let { newest, floor } = before;
  for (const { payload, options } of group) {
    const { id, ttlMs, maxEntries, idempotencyTtlMs = logLimits.defaultIdempotencyTtlMs } = options;
    const earlier = id === undefined ? undefined : seen.get(id);
    if (earlier !== undefined) {
      results.push({ offset: earlier, duplicate: true });
      continue;
    }
    newest += 1n;
    operations.push(putEntry(log, { offset: newest, payload, appendedMs: clock.now() }, ttlMs));
    if (id !== undefined) {
      seen.set(id, newest);
      operations.push(putId(log, id, newest, idempotencyTtlMs));
    }
    if (maxEntries !== undefined && newest - BigInt(maxEntries) > floor) floor = newest - BigInt(maxEntries);
    results.push({ offset: newest, duplicate: false });
  }
  if (newest === before.newest) return { newest, operations, results };
  const trimmed = trimTo({ floor, trimmed: before.trimmed });
  // Entries of this very batch may be trimmed already: deletes come after puts.
  operations.push(...deletesOf(log, before.trimmed, trimmed));
  operations.push(putHead(log, { newest, floor, trimmed, version: before.version }));
  return { newest, operations, results };
}

async function findIds(records: RecordsStore, log: string, group: readonly Waiting[]): Promise<Map<string, bigint>> {
  const ids = new Set(group.flatMap(({ options }) => (options.id === undefined ? [] : [options.id])));
  const found = await Promise.all(Array.from(ids, async (id) => [id, await getId(records, log, id)] as const));
  return new Map(found.flatMap(([id, offset]) => (offset === undefined ? [] : [[id, offset] as const])));
}

function trimTo({ floor, trimmed }: Pick<LogHead, 'floor' | 'trimmed'>): bigint {
  const most = trimmed + BigInt(maxTrimmed);
  return floor < most ? floor : most;
}

function deletesOf(log: string, after: bigint, upTo: bigint): BatchOperation[] {
  const operations: BatchOperation[] = [];
  for (let offset = after + 1n; offset <= upTo; offset++) operations.push(deleteEntry(log, offset));
  return operations;
}
