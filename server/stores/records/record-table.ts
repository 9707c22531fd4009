import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { Code } from '../../core/codes.ts';
import { AppError } from '../../core/errors.ts';
import { prefixSuccessor } from '../utf8-order.ts';
import { recordConflict, recordLimits, scanTooLarge } from './record-limits.ts';
import type { BatchOperation, PutOptions, RecordRow, ScanRange } from './records-store.ts';

/** `user_version` of the file; a newer file is refused. */
const schemaVersion = 1;

const schema = `
  CREATE TABLE IF NOT EXISTS records (
    partition TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, version INTEGER NOT NULL,
    expires_at INTEGER NOT NULL, PRIMARY KEY (partition, key)
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS records_expiry ON records (expires_at) WHERE expires_at > 0;
  CREATE TABLE IF NOT EXISTS sequence (id INTEGER PRIMARY KEY CHECK (id = 1), last INTEGER NOT NULL);
  INSERT OR IGNORE INTO sequence VALUES (1, 0);
  UPDATE sequence SET last = last;
  PRAGMA user_version = ${schemaVersion};`;

/** Greater than every text in SQLite's order, so it stands for "no upper bound". */
const noUpperBound = new Uint8Array(0);

/** The one table of the store with its prepared statements. Callers own transactions. */
export interface RecordTable {
  get(partition: string, key: string): RecordRow | undefined;
  scan(partition: string, range: ScanRange, limit: number): RecordRow[];
  /** Throws RECORD_CONFLICT before anything is written. */
  put(partition: string, key: string, value: Uint8Array, options: PutOptions): bigint;
  /** Throws RECORD_CONFLICT before anything is written. */
  delete(partition: string, key: string, ifVersion: bigint | undefined): boolean;
  apply(operations: readonly BatchOperation[]): void;
  hasExpired(): boolean;
  /** Removes at most `limit` expired rows and gives their number. */
  sweep(limit: number): number;
  /** Writes down the last version given; part of every transaction, so that versions are never given twice. */
  saveSequence(): void;
}

type Row = Record<string, SQLOutputValue>;

function toRow(row: Row): RecordRow {
  return row as unknown as RecordRow;
}

/** Creates or checks the schema and prepares the statements. Throws RECORDS_TOO_NEW for a file of a later showrunner. */
export function prepareRecordTable(database: DatabaseSync, now: () => number): RecordTable {
  const found = Number(database.prepare('PRAGMA user_version').get()?.['user_version'] ?? 0);
  if (found > schemaVersion) throw recordsTooNew(found);
  database.exec(`BEGIN IMMEDIATE; ${schema} COMMIT`);

  const prepare = (sql: string) => {
    const statement = database.prepare(sql);
    statement.setReadBigInts(true);
    return statement;
  };
  const live = '(expires_at = 0 OR expires_at > ?)';
  const range = `partition = ? AND key >= max(?, ?) AND key < min(?, ?) AND ${live}`;
  const getRow = prepare(`SELECT key, value, version FROM records WHERE partition = ? AND key = ? AND ${live}`);
  const getVersion = prepare(`SELECT version FROM records WHERE partition = ? AND key = ? AND ${live}`);
  const scanUp = prepare(`SELECT key, value, version FROM records WHERE ${range} ORDER BY key LIMIT ?`);
  const scanDown = prepare(`SELECT key, value, version FROM records WHERE ${range} ORDER BY key DESC LIMIT ?`);
  const putRow = prepare(
    `INSERT INTO records VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE
     SET value = excluded.value, version = excluded.version, expires_at = excluded.expires_at`,
  );
  const deleteRow = prepare('DELETE FROM records WHERE partition = ? AND key = ?');
  const firstExpired = prepare('SELECT 1 FROM records WHERE expires_at > 0 AND expires_at <= ? LIMIT 1');
  const sweepRows = prepare(
    `DELETE FROM records WHERE (partition, key) IN (
       SELECT partition, key FROM records WHERE expires_at > 0 AND expires_at <= ? ORDER BY expires_at LIMIT ?)`,
  );
  const saveLast = prepare('UPDATE sequence SET last = ?');
  let last = prepare('SELECT last FROM sequence').get()?.['last'] as bigint;

  const versionOf = (partition: string, key: string): bigint | undefined =>
    getVersion.get(partition, key, now())?.['version'] as bigint | undefined;

  const table: RecordTable = {
    get: (partition, key) => {
      const row = getRow.get(partition, key, now());
      return row === undefined ? undefined : toRow(row);
    },
    scan: (partition, { from = '', to, prefix = '', reverse = false }, limit) => {
      const upper = prefix === '' ? undefined : prefixSuccessor(prefix);
      const statement = reverse ? scanDown : scanUp;
      const rows: RecordRow[] = [];
      let bytes = 0;
      const bounds = [from, prefix, to ?? noUpperBound, upper ?? noUpperBound] as const;
      for (const found of statement.iterate(partition, ...bounds, now(), limit)) {
        const row = toRow(found);
        bytes += row.value.byteLength;
        if (bytes > recordLimits.maxScanBytes) throw scanTooLarge(partition);
        rows.push(row);
      }
      return rows;
    },
    put: (partition, key, value, { ttlMs, ifVersion }) => {
      if (ifVersion !== undefined) {
        const present = versionOf(partition, key);
        if (ifVersion === 'absent' ? present !== undefined : present !== ifVersion) {
          throw recordConflict(partition, key, ifVersion);
        }
      }
      last += 1n;
      putRow.run(partition, key, value, last, ttlMs === undefined ? 0 : Math.ceil(now() + ttlMs));
      return last;
    },
    delete: (partition, key, ifVersion) => {
      const present = versionOf(partition, key);
      if (ifVersion !== undefined && present !== ifVersion) throw recordConflict(partition, key, ifVersion);
      if (present === undefined) return false;
      deleteRow.run(partition, key);
      return true;
    },
    apply: (operations) => {
      for (const operation of operations) {
        if (operation.kind === 'put') table.put(operation.partition, operation.key, operation.value, operation);
        else table.delete(operation.partition, operation.key, undefined);
      }
    },
    hasExpired: () => firstExpired.get(now()) !== undefined,
    sweep: (limit) => Number(sweepRows.run(now(), limit).changes),
    saveSequence: () => {
      saveLast.run(last);
    },
  };
  return table;
}

function recordsTooNew(found: number): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'RECORDS_TOO_NEW',
    message: `the records file has format ${found}; this version reads up to ${schemaVersion}`,
    metadata: { found: String(found), supported: String(schemaVersion) },
  });
}
