import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { messageOf } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';

/** Pages in the write-ahead log that start a checkpoint (8 MiB at 4 KiB a page). */
const checkpointPages = 2048;

/** The flushes and checkpoints of one database. */
export interface WalSync {
  /** Makes all commits so far survive a power cut. */
  sync(): Promise<void>;
  /**
   * Moves the log's pages into the database file when enough have gathered. No transaction may run from the call
   * until the promise resolves.
   */
  checkpointIfDue(): Promise<void>;
  /** To be called after the database was closed: closing a database file earlier drops its POSIX locks. */
  close(): Promise<void>;
}

/**
 * Durability of a WAL database without ever blocking the event loop on fsync. SQLite itself runs with
 * `synchronous = NORMAL` (no fsync on commit); the flushes that FULL would make happen here, on the thread pool:
 * the log after every group of commits, the database file after a checkpoint and before the next commit, because
 * that commit may overwrite the log from its start. See https://sqlite.org/wal.html and sqlite3WalCheckpoint.
 */
export async function openWalSync(database: DatabaseSync, path: string, log: Logger): Promise<WalSync> {
  const wal = await open(`${path}-wal`, 'r+');
  const main = await open(path, 'r+');
  // NOOP only reports; an SQLite without it (before 3.51) checkpoints with its own fsyncs, which is slower but safe.
  const measure = database.prepare('PRAGMA wal_checkpoint(NOOP)');
  await syncDirectory(dirname(path));
  let dueAt = checkpointPages;

  return {
    sync: () => wal.datasync(),
    checkpointIfDue: async () => {
      const { log: total, checkpointed } = measure.get() ?? {};
      const pages = Number(total) - Number(checkpointed);
      if (pages < dueAt) return;
      database.exec('PRAGMA synchronous = OFF');
      try {
        database.exec('PRAGMA wal_checkpoint(PASSIVE)');
        dueAt = checkpointPages;
      } catch (error) {
        // The log still holds everything, so no write is lost; on a full disk it may work once there is room.
        dueAt = pages + checkpointPages;
        log.warn('records checkpoint failed', { path, pages, error: messageOf(error) });
        return;
      } finally {
        database.exec('PRAGMA synchronous = NORMAL');
      }
      await main.datasync();
    },
    close: async () => {
      await wal.close();
      await main.close();
    },
  };
}

async function syncDirectory(path: string): Promise<void> {
  let directory: FileHandle | undefined;
  try {
    directory = await open(path, 'r');
    await directory.sync();
  } finally {
    await directory?.close();
  }
}
