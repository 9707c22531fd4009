import { Code } from '../../../server/core/codes.ts';
import type { ChainAccount } from '../set/snapshot.ts';
import { type FilterTrace, Status, statusText, statusWords, timesText } from './filter-status.ts';

/** What the filters did in one call, for people. */
export interface CallExplanation {
  readonly callId: string;
  readonly path: string;
  /** Version of the filter set that the call ran on. */
  readonly snapshotVersion: number;
  readonly code: Code;
  /** Unix ms. */
  readonly startMs: number;
  readonly durationMs: number;
  /** Every filter of the set in running order, also those that were ruled out. */
  readonly filters: readonly FilterTrace[];
  /** The same as one line, as FilteredOutcome has it. */
  readonly line: string;
}

/** A call's account while it runs and after: a byte and a time per filter. Reused, so that calls allocate none. */
export interface CallRecord {
  /** Names only: a kept record must not keep closed filters. */
  account: ChainAccount;
  /** Changes when another call takes the record. */
  serial: number;
  callId: string;
  path: string;
  code: Code;
  startMs: number;
  durationMs: number;
  readonly status: Uint8Array;
  /** Nanoseconds per filter. */
  readonly ns: Float64Array;
  /** The part of `ns` in which a filter waited; made by the first call with a wait, so that others have no cost. */
  waitNs: Float64Array | undefined;
  /** Some filter of this call waited: only then is `waitNs` of this call. */
  hasWaited: boolean;
}

/** The latest calls by number, and records to reuse. */
export interface CallRecords {
  take(account: ChainAccount, path: string): CallRecord;
  /** Keeps the record of an ended call in place of the oldest one. */
  keep(record: CallRecord): void;
  /** The latest kept call with this id. */
  find(callId: string): CallRecord | undefined;
}

/** Adds a wait of the filter in place `index`. */
export function addWait(record: CallRecord, index: number, ns: number): void {
  record.waitNs ??= new Float64Array(record.status.length);
  if (!record.hasWaited) record.waitNs.fill(0);
  record.hasWaited = true;
  record.waitNs[index] = (record.waitNs[index] ?? 0) + ns;
}

/** Nanoseconds that the filter in place `index` waited, of its `ns`. */
function waitOf({ hasWaited, waitNs }: CallRecord, index: number): number {
  return hasWaited ? Math.round(waitNs?.[index] ?? 0) : 0;
}

/** Every filter of the call in running order. */
export function tracesOf(record: CallRecord): FilterTrace[] {
  return record.account.labels.map(({ id, version, type, index, status }) => {
    const isInChain = index >= 0;
    const words = statusWords(isInChain ? (record.status[index] ?? Status.pending) : status);
    return {
      id,
      version,
      type,
      ...words,
      ns: isInChain ? Math.round(record.ns[index] ?? 0) : 0,
      waitNs: isInChain ? waitOf(record, index) : 0,
    };
  });
}

/** The same as one line, made without the objects: access logs make one per call. */
export function lineOf(record: CallRecord): string {
  const { account, status, ns } = record;
  const { texts, lineOrder } = account;
  let line = texts[0] ?? '';
  for (const [place, index] of lineOrder.entries()) {
    line += `${statusText(status[index] ?? Status.pending)}/${timesText(Math.round(ns[index] ?? 0), waitOf(record, index))}`;
    line += texts[place + 1] ?? '';
  }
  return line;
}

/** What a record says, for people. */
export function explainRecord(record: CallRecord): CallExplanation {
  const filters = tracesOf(record);
  const { callId, path, code, startMs, durationMs } = record;
  const { snapshotVersion } = record.account;
  return { callId, path, snapshotVersion, code, startMs, durationMs, filters, line: lineOf(record) };
}

/** Keeps the last `most` ended calls; 0 keeps none. */
export function createCallRecords(most: number): CallRecords {
  const ring: CallRecord[] = [];
  const free: CallRecord[] = [];
  const maxFree = Math.max(64, most);
  let next = 0;

  function recycle(record: CallRecord): void {
    if (free.length < maxFree) free.push(record);
  }

  return {
    take: (account, path) => {
      const { size } = account;
      const spare = free.pop();
      if (spare !== undefined && spare.status.length >= size) {
        spare.status.fill(Status.pending, 0, size);
        spare.ns.fill(0, 0, size);
        spare.account = account;
        spare.hasWaited = false;
        spare.serial++;
        spare.path = path;
        return spare;
      }
      // Room to spare, so that a record also fits the somewhat longer chain of another method or a later set.
      const room = Math.ceil((size + 1) / 16) * 16;
      const status = new Uint8Array(room);
      const ns = new Float64Array(room);
      const own = { callId: '', path, code: Code.OK, startMs: 0, durationMs: 0, waitNs: undefined, hasWaited: false };
      return { account, serial: 0, ...own, status, ns };
    },
    keep: (record) => {
      if (most === 0) {
        recycle(record);
        return;
      }
      const oldest = ring[next];
      ring[next] = record;
      next = (next + 1) % most;
      if (oldest !== undefined) recycle(oldest);
    },
    find: (callId) => {
      for (let back = 1; back <= ring.length; back++) {
        const record = ring[(next - back + ring.length) % ring.length];
        if (record?.callId === callId) return record;
      }
      return undefined;
    },
  };
}
