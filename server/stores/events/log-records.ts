import type { BatchOperation, RecordRow, RecordsStore } from '../records/records-store.ts';
import type { LogEntry } from './event-log.ts';

/** Where a log stands. Offsets up to `floor` are no longer part of it; up to `trimmed` their rows are gone too. */
export interface LogHead {
  readonly newest: bigint;
  readonly floor: bigint;
  readonly trimmed: bigint;
  /** Of the head's row: a head is replaced only where nobody else has replaced it. */
  readonly version: bigint | 'absent';
}

const headKey = 'head';
const entryPrefix = 'e/';

const partitionOf = (log: string) => `event-log/${log}`;
const idPartitionOf = (log: string) => `event-log-ids/${log}`;
/** Fixed width, so that keys sort as offsets do. */
const entryKey = (offset: bigint) => entryPrefix + offset.toString(16).padStart(16, '0');

/** Fails with RECORD_CONFLICT where another process has written to the log since the head was read. */
export function putHead(log: string, head: LogHead): BatchOperation {
  const value = Buffer.alloc(24);
  value.writeBigUInt64BE(head.newest, 0);
  value.writeBigUInt64BE(head.floor, 8);
  value.writeBigUInt64BE(head.trimmed, 16);
  return { kind: 'put', partition: partitionOf(log), key: headKey, value, ifVersion: head.version };
}

/** Where the log stands; offset 0 and version `absent` for one that nobody wrote to. */
export async function getHead(records: RecordsStore, log: string): Promise<LogHead> {
  const row = await records.get(partitionOf(log), headKey);
  if (row === undefined) return { newest: 0n, floor: 0n, trimmed: 0n, version: 'absent' };
  const view = viewOf(row.value);
  const [newest, floor, trimmed] = [view.getBigUint64(0), view.getBigUint64(8), view.getBigUint64(16)];
  return { newest, floor, trimmed, version: row.version };
}

/** The write of an entry, for a batch; `ttlMs` undefined = for ever. */
export function putEntry(log: string, entry: LogEntry, ttlMs: number | undefined): BatchOperation {
  const value = Buffer.allocUnsafe(8 + entry.payload.byteLength);
  value.writeDoubleBE(entry.appendedMs, 0);
  value.set(entry.payload, 8);
  const operation = { kind: 'put', partition: partitionOf(log), key: entryKey(entry.offset), value } as const;
  return ttlMs === undefined ? operation : { ...operation, ttlMs };
}

/** The removal of an entry, for a batch. */
export function deleteEntry(log: string, offset: bigint): BatchOperation {
  return { kind: 'delete', partition: partitionOf(log), key: entryKey(offset) };
}

/** Live entries with offset > `after`, in order. */
export async function getEntries(
  records: RecordsStore,
  log: string,
  after: bigint,
  limit: number,
): Promise<LogEntry[]> {
  const range = { prefix: entryPrefix, from: entryKey(after + 1n), limit };
  return (await records.scan(partitionOf(log), range)).map(toEntry);
}

function toEntry(row: RecordRow): LogEntry {
  return {
    offset: BigInt(`0x${row.key.slice(entryPrefix.length)}`),
    payload: row.value.subarray(8),
    appendedMs: viewOf(row.value).getFloat64(0),
  };
}

/** The write that remembers the offset of an idempotency id for `ttlMs`, for a batch. */
export function putId(log: string, id: string, offset: bigint, ttlMs: number): BatchOperation {
  const value = Buffer.alloc(8);
  value.writeBigUInt64BE(offset);
  return { kind: 'put', partition: idPartitionOf(log), key: id, value, ttlMs };
}

/** The offset that was given for the idempotency id, while it is remembered. */
export async function getId(records: RecordsStore, log: string, id: string): Promise<bigint | undefined> {
  const row = await records.get(idPartitionOf(log), id);
  return row === undefined ? undefined : viewOf(row.value).getBigUint64(0);
}

function viewOf(value: Uint8Array): DataView {
  return new DataView(value.buffer, value.byteOffset, value.byteLength);
}
