import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import type { Clock } from '../../core/clock.ts';
import { AppError, messageOf } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import { diskFailed, storeClosed } from '../store-errors.ts';
import { createCommitQueue, type Outcome, type Write } from './commit-queue.ts';
import { openExclusiveDatabase, sqliteFailure } from './exclusive-database.ts';
import { checkAddress, checkBatch, checkPut, checkScan } from './record-limits.ts';
import { prepareRecordTable, type RecordTable } from './record-table.ts';
import type { BatchOperation, RecordsStore } from './records-store.ts';
import { openWalSync } from './wal-sync.ts';

/** Where the records are and how often expired ones go. */
export interface SqliteRecordsOptions {
  /** Database file; its folder is created when absent. One process at a time may have it open. */
  readonly path: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Pause between two passes that remove expired rows, in ms; default 1,000. */
  readonly sweepIntervalMs?: number;
}

/** Expired rows removed in one pass, at most; a full pass is followed by another soon. */
const sweepRows = 500;
const sweepAgainMs = 20;

/**
 * The embedded records store, on node:sqlite. A resolved write survives kill -9 and a power cut; concurrent writes
 * share one transaction and one flush, which runs off the event loop. Reads see a write from its commit on, which may
 * be moments before it is durable. Expired rows are hidden at once and removed in small passes.
 * Rejects with STATE_DIR_IN_USE (FAILED_PRECONDITION) when the file is open elsewhere, RECORDS_CORRUPT (DATA_LOSS),
 * RECORDS_TOO_NEW. After a failed flush the store refuses everything with DISK_FAILED until it is opened again,
 * since what reached the disk is then unknown. Once closed: STORE_CLOSED.
 */
export async function openSqliteRecords(options: SqliteRecordsOptions): Promise<RecordsStore> {
  const { path, log } = options;
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const { database, close: closeDatabase } = openExclusiveDatabase(
    path,
    `PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0;
     PRAGMA cache_size = -16384; BEGIN IMMEDIATE; COMMIT`,
  );
  const { table, wal } = await prepare(database, options).catch((error) => {
    closeDatabase();
    throw sqliteFailure(path, error);
  });

  let isClosed = false;
  let failure: AppError | undefined;
  const settle = async () => {
    try {
      await wal.sync();
      await wal.checkpointIfDue();
    } catch (error) {
      failure = diskFailed(path, error);
      log.error('records store failed', { path, error: messageOf(error) });
      throw failure;
    }
  };
  const commit = (group: readonly Write[]): readonly Outcome[] => {
    if (failure !== undefined) throw failure;
    try {
      return commitGroup(database, table, group);
    } catch (error) {
      throw sqliteFailure(path, error);
    }
  };
  const queue = createCommitQueue({ commit, settle });
  const stopSweeping = startSweeping(options, async () => {
    if (isClosed || failure !== undefined || !table.hasExpired()) return 0;
    return queue.add({ bytes: 0, isCompound: false, apply: () => table.sweep(sweepRows) });
  });

  function read<T>(work: () => T): T {
    if (isClosed) throw storeClosed('records');
    if (failure !== undefined) throw failure;
    try {
      return work();
    } catch (error) {
      throw sqliteFailure(path, error);
    }
  }

  async function close(): Promise<void> {
    if (isClosed) return;
    isClosed = true;
    stopSweeping();
    await queue.close();
    closeDatabase();
    await wal.close();
  }

  return {
    get: async (partition, key) => {
      checkAddress(partition, key);
      return read(() => table.get(partition, key));
    },
    scan: async (partition, range = {}) => {
      const limit = checkScan(partition, range);
      return read(() => table.scan(partition, range, limit));
    },
    put: async (partition, key, value, putOptions = {}) => {
      checkAddress(partition, key);
      checkPut(value, putOptions.ttlMs);
      const apply = () => table.put(partition, key, value, putOptions);
      return queue.add({ bytes: value.byteLength, isCompound: false, apply });
    },
    delete: async (partition, key, { ifVersion } = {}) => {
      checkAddress(partition, key);
      return queue.add({ bytes: 0, isCompound: false, apply: () => table.delete(partition, key, ifVersion) });
    },
    batch: async (operations) => {
      checkBatch(operations);
      if (operations.length === 0) return;
      await queue.add({ bytes: batchBytes(operations), isCompound: true, apply: () => table.apply(operations) });
    },
    close,
  };
}

async function prepare(database: DatabaseSync, { path, clock, log }: SqliteRecordsOptions) {
  const table = prepareRecordTable(database, () => clock.now());
  return { table, wal: await openWalSync(database, path, log) };
}

/** Repeats `pass`, which gives the rows it removed, until the returned function is called. */
function startSweeping(options: SqliteRecordsOptions, pass: () => Promise<number>): () => void {
  const { path, clock, log, sweepIntervalMs = 1_000 } = options;
  let isStopped = false;
  let cancel = clock.schedule(sweepIntervalMs, run);
  function run(): void {
    void pass()
      .catch((error) => {
        if (!isStopped) log.warn('removing expired records failed', { path, error: messageOf(error) });
        return 0;
      })
      .then((removed) => {
        if (!isStopped) cancel = clock.schedule(removed === sweepRows ? sweepAgainMs : sweepIntervalMs, run);
      });
  }
  return () => {
    isStopped = true;
    cancel();
  };
}

function commitGroup(database: DatabaseSync, table: RecordTable, group: readonly Write[]): readonly Outcome[] {
  try {
    database.exec('BEGIN IMMEDIATE');
    const outcomes = group.map((write) => applyWrite(database, write));
    table.saveSequence();
    database.exec('COMMIT');
    return outcomes;
  } catch (error) {
    // SQLite has rolled back by itself after some failures, a full disk among them.
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}

function applyWrite(database: DatabaseSync, write: Write): Outcome {
  if (write.isCompound) database.exec('SAVEPOINT one');
  try {
    const value = write.apply();
    if (write.isCompound) database.exec('RELEASE one');
    return { value };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    if (write.isCompound) database.exec('ROLLBACK TO one; RELEASE one');
    return { error };
  }
}

function batchBytes(operations: readonly BatchOperation[]): number {
  return operations.reduce((sum, operation) => sum + (operation.kind === 'put' ? operation.value.byteLength : 0), 0);
}
