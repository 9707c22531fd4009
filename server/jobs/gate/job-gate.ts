import type { Clock } from '../../core/clock.ts';
import { createTurns } from '../../core/turns.ts';
import type { BatchOperation, RecordsStore } from '../../stores/records/records-store.ts';
import { jobBusy } from '../job-errors.ts';
import { isTerminal, type JobRecord } from '../job-record.ts';
import { decode, encode, isConflict, type JobStore } from '../job-store.ts';
import type { AppliedLimit, JobLimitsStore } from './job-limits-store.ts';
import {
  arrive,
  type DroppedReason,
  depart,
  emptyRow,
  type GateRow,
  isEmpty,
  isIn,
  letThrough,
  roomOf,
  withStrategy,
} from './run-strategy.ts';

interface JobGateDeps {
  readonly records: RecordsStore;
  readonly store: JobStore;
  readonly limits: JobLimitsStore;
  readonly clock: Clock;
  /** Queues a run that was let through. Never rejects: a sweep queues what is not queued. */
  readonly launch: (job: JobRecord) => Promise<void>;
  /** Ends a run that is not to run, or not any longer. */
  readonly drop: (id: string, reason: DroppedReason) => Promise<void>;
}

/** Holds runs back until their strategy and the limits let them start. */
export interface JobGate {
  /** Lets a held run in: it starts, waits or is dropped. The same run again changes nothing. */
  admit(job: JobRecord): Promise<void>;
  /** A run has ended: others may start. */
  leave(job: JobRecord): Promise<void>;
  /** Starts what may start, e.g. after a limit was changed. */
  recheck(): Promise<void>;
  /** How many runs of the scope wait. */
  waitingOf(scope: string): Promise<number>;
  /** Id of the failed run that holds back the others of the scope. */
  blockedBy(scope: string): Promise<string | undefined>;
  /** Lets the others of the scope go on; the failed run stays failed. */
  unblock(scope: string): Promise<void>;
  /** Jobs that hold a permit of this limit. */
  permitsTaken(key: string): Promise<number>;
}

/** Waiting runs of a scope at most. */
export const maxWaiting = 1_000;
const gates = 'jobs/gates';
const permits = 'jobs/permits';
const maxTries = 50;
/** Waiting runs that are looked at for one whose limits have room. */
const lookAhead = 100;
const scanRows = 1_000;
/** A limit that nobody falls under any more leaves its row for this long. */
const emptyPermitsTtlMs = 86_400_000;

interface Loaded {
  readonly row: GateRow;
  readonly version: bigint | 'absent';
}

/**
 * One row per scope and per limit, so that several servers decide one after the other. Its methods throw JOB_BUSY when
 * others change a row again and again.
 */
export function createJobGate({ records, store, limits, clock, launch, drop }: JobGateDeps): JobGate {
  // One change of a scope after the other within this process; those of other processes conflict and are repeated.
  const inTurn = createTurns();
  const load = async (scope: string): Promise<Loaded> => {
    const stored = await records.get(gates, scope);
    if (stored === undefined) return { row: emptyRow({ kind: 'unlimited' }), version: 'absent' };
    return { row: decode<GateRow>(stored.value), version: stored.version };
  };
  const change = async (
    scope: string,
    decide: (row: GateRow) => Promise<{ readonly row: GateRow; readonly more: readonly BatchOperation[] } | undefined>,
  ): Promise<GateRow> => {
    for (let tries = 1; ; tries++) {
      const { row, version } = await load(scope);
      const decided = await decide(row);
      if (decided === undefined) return row;
      const put = {
        kind: 'put',
        partition: gates,
        key: scope,
        value: encode(decided.row),
        ifVersion: version,
      } as const;
      try {
        await records.batch([put, ...decided.more]);
        return decided.row;
      } catch (error) {
        if (!isConflict(error)) throw error;
        if (tries === maxTries) throw jobBusy(scope);
        await clock.sleep(Math.min(tries, 10));
      }
    }
  };

  /** Permits with `id` added or removed, each on condition that nobody changed it meanwhile. */
  const permitOperations = async (keys: readonly string[], id: string, adds: boolean): Promise<BatchOperation[]> =>
    Promise.all(
      keys.map(async (key): Promise<BatchOperation> => {
        const { holders, version } = await permitRow(key);
        const others = holders.filter((holder) => holder !== id);
        const now = adds ? [...others, id] : others;
        const ttl = now.length === 0 ? { ttlMs: emptyPermitsTtlMs } : {};
        return { kind: 'put', partition: permits, key, value: encode(now), ifVersion: version, ...ttl };
      }),
    );
  const permitRow = async (key: string) => {
    const stored = await records.get(permits, key);
    if (stored === undefined) return { holders: [] as string[], version: 'absent' as const };
    return { holders: decode<string[]>(stored.value), version: stored.version };
  };
  const hasRoom = async (applied: readonly AppliedLimit[], id: string) => {
    for (const { permits: key, maxRunning } of applied) {
      const { holders } = await permitRow(key);
      if (!holders.includes(id) && holders.length >= maxRunning) return false;
    }
    return true;
  };

  /** A failed run that is no more can be restarted no more: it blocks nobody. */
  const unblocked = async (row: GateRow): Promise<GateRow> => {
    const { blockedBy, ...rest } = row;
    return blockedBy === undefined || (await store.find(blockedBy)) !== undefined ? row : rest;
  };
  /** The first waiting run that may start; also runs that wait and are no more. */
  const nextOf = async (row: GateRow) => {
    const gone: string[] = [];
    for (const id of roomOf(row) > 0 ? row.waiting.slice(0, lookAhead) : []) {
      const job = await store.find(id);
      if (job === undefined || isTerminal(job.state)) {
        gone.push(id);
        continue;
      }
      const applied = limits.applied(job);
      if (await hasRoom(applied, id)) return { gone, next: { job, applied } };
      await hold(job, 'CONCURRENCY_LIMIT');
    }
    return { gone };
  };
  const hold = async (job: JobRecord, heldBy: 'RUN_STRATEGY' | 'CONCURRENCY_LIMIT') => {
    if (job.heldBy === heldBy) return;
    await store.update(job.id, (record) =>
      isTerminal(record.state) || record.heldBy === undefined || record.heldBy === heldBy
        ? undefined
        : { record: { ...record, heldBy }, events: [], atMs: clock.now() },
    );
  };

  /** Lets through what may start, one by one, and drops what is to be dropped. Gives what was let through. */
  const promote = async (scope: string): Promise<readonly string[]> => {
    const all: string[] = [];
    for (;;) {
      let started: JobRecord | undefined;
      const row = await change(scope, async (stored) => {
        const before = await unblocked(stored);
        const { gone, next } = await nextOf(before);
        started = next?.job;
        const without = gone.reduce((kept, id) => depart(kept, id, false), before);
        if (next === undefined) return without === stored ? undefined : { row: without, more: [] };
        const keys = next.applied.map((limit) => limit.permits);
        return { row: letThrough(without, next.job.id), more: await permitOperations(keys, next.job.id, true) };
      });
      for (const [id, reason] of Object.entries(row.dropped)) await drop(id, reason);
      if (started === undefined) return all;
      all.push(started.id);
    }
  };
  /**
   * Begins with runs that were let through; what is not begun with for a crash, a sweep finds. Never in a turn of the
   * scope: a run of a workflow makes jobs at once, which may be of the same scope.
   */
  const letGo = async (ids: readonly string[]): Promise<void> => {
    for (const id of ids) {
      let isFreed = false;
      const job = await store.update(id, (record) => {
        isFreed = !isTerminal(record.state) && record.heldBy !== undefined;
        if (!isFreed) return undefined;
        const { heldBy: _free, ...free } = record;
        return { record: free, events: [], atMs: clock.now() };
      });
      if (isFreed && job !== undefined) await launch(job);
    }
  };

  /** Removes the scope's row once nothing is in it. */
  const tidy = async (scope: string) => {
    const { row, version } = await load(scope);
    if (version === 'absent' || !isEmpty(row)) return;
    await records.delete(gates, scope, { ifVersion: version }).catch((error: unknown) => {
      if (!isConflict(error)) throw error;
    });
  };
  const recheck = async (besides?: string) => {
    for (let from = ''; ; ) {
      const rows = await records.scan(gates, { limit: scanRows, ...(from === '' ? {} : { from }) });
      for (const { key, value } of rows) {
        const { waiting, dropped } = decode<GateRow>(value);
        if (key === besides || waiting.length + Object.keys(dropped).length === 0) continue;
        await letGo(await inTurn(key, () => promote(key)));
      }
      if (rows.length < scanRows) return;
      from = `${rows.at(-1)?.key}\0`;
    }
  };

  return {
    admit: async ({ id, gate, restartOf }) => {
      if (gate === undefined) return;
      const { scope, strategy } = gate;
      const started = await inTurn(scope, async () => {
        const row = await change(scope, async (before) => {
          // Looked at after the row was read: a run that has left the row since has ended, and must not come back.
          const job = await store.find(id);
          if (job === undefined || isTerminal(job.state)) return undefined;
          // The newest run brings the strategy as it is now.
          const after = arrive(withStrategy(before, strategy), id, restartOf);
          const isSame = after.waiting === before.waiting && after.dropped === before.dropped;
          return isSame ? undefined : { row: after, more: [] };
        });
        // Let through before, by a server that ended before it could begin with it.
        return [...(row.running.includes(id) ? [id] : []), ...(await promote(scope))];
      });
      await letGo(started);
    },
    leave: async ({ id, gate, state }) => {
      if (gate === undefined) return;
      const { scope } = gate;
      let freed = false;
      const started = await inTurn(scope, async () => {
        await change(scope, async (row) => {
          // Its end is told more than once.
          if (!isIn(row, id)) return undefined;
          const held = await heldPermits(id, row);
          freed = held.length > 0;
          const after = depart(row, id, state === 'failed' || state === 'timed_out');
          return { row: after, more: await permitOperations(held, id, false) };
        });
        const all = await promote(scope);
        await tidy(scope);
        return all;
      });
      await letGo(started);
      // Runs of other scopes may wait for the permits of this one.
      if (freed) await recheck(scope);
    },
    recheck: () => recheck(),
    waitingOf: async (scope) => (await load(scope)).row.waiting.length,
    blockedBy: async (scope) => (await load(scope)).row.blockedBy,
    unblock: async (scope) => {
      const started = await inTurn(scope, async () => {
        await change(scope, async ({ blockedBy, ...row }) => (blockedBy === undefined ? undefined : { row, more: [] }));
        const all = await promote(scope);
        await tidy(scope);
        return all;
      });
      await letGo(started);
    },
    permitsTaken: async (key) => (await permitRow(key)).holders.length,
  };

  /** Keys of the permits that a run holds, also of limits that are gone. */
  async function heldPermits(id: string, row: GateRow): Promise<string[]> {
    if (!row.running.includes(id)) return [];
    const job = await store.find(id);
    const keys = [
      ...(job?.owner === undefined ? [] : [`owner/${job.owner}`]),
      ...(job?.tags ?? []).map((tag) => `tag/${tag}`),
    ];
    const rows = await Promise.all(keys.map(permitRow));
    return keys.filter((_, index) => rows[index]?.holders.includes(id));
  }
}
