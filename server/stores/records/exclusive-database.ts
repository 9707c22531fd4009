import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { Code } from '../../core/codes.ts';
import { AppError, messageOf } from '../../core/errors.ts';
import { diskFailed, diskFull, stateDirInUse, writeFailure } from '../store-errors.ts';

/** An open database file that no other process can open. */
export interface ExclusiveDatabase {
  readonly database: DatabaseSync;
  /** Closes the database and gives up ownership. */
  close(): void;
}

/** SQLite primary result codes, https://sqlite.org/rescode.html */
const busy = 5;
const ioFailed = 10;
const corrupt = 11;
const full = 13;
const cannotOpen = 14;
const notADatabase = 26;

/**
 * Opens a database file for this process alone. `claim` must run a statement that takes the write lock under
 * `locking_mode = EXCLUSIVE`. The lock is an OS file lock: it ends with its process, also on kill -9, and never goes
 * stale. The owner's pid stands in `<path>.pid`, for the error message only, which names `owned` (default: the path).
 * Throws STATE_DIR_IN_USE at once when the file is owned already, DISK_FULL, DISK_FAILED or RECORDS_CORRUPT.
 */
export function openExclusiveDatabase(path: string, claim: string, owned = path): ExclusiveDatabase {
  const pidPath = `${path}.pid`;
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { timeout: 0 });
    database.exec('PRAGMA locking_mode = EXCLUSIVE');
    database.exec(claim);
    writeFileSync(`${pidPath}.new`, `${process.pid}\n`);
    renameSync(`${pidPath}.new`, pidPath);
  } catch (error) {
    database?.close();
    throw resultCode(error) === busy ? stateDirInUse(owned, readOwner(pidPath)) : sqliteFailure(path, error);
  }
  const opened = database;
  return {
    database: opened,
    close: () => {
      rmSync(pidPath, { force: true });
      opened.close();
    },
  };
}

/** An SQLite (or file system) failure as an AppError. */
export function sqliteFailure(path: string, error: unknown): AppError {
  if (error instanceof AppError) return error;
  // Errors of the operating system; SQLite's own name no system call.
  if (error instanceof Error && 'syscall' in error) return writeFailure(path, error);
  switch (resultCode(error)) {
    case full:
      return diskFull(path, error);
    case ioFailed:
    case cannotOpen:
      return diskFailed(path, error);
    case corrupt:
    case notADatabase:
      return new AppError({
        code: Code.DATA_LOSS,
        reason: 'RECORDS_CORRUPT',
        message: `${path} is damaged or not a records database: ${messageOf(error)}`,
        metadata: { path },
        cause: error,
      });
    default:
      return new AppError({
        code: Code.INTERNAL,
        reason: 'RECORDS_FAILED',
        message: `the records store failed: ${messageOf(error)}`,
        cause: error,
      });
  }
}

function resultCode(error: unknown): number | undefined {
  // Extended codes carry the primary code in their low byte.
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number'
    ? error.errcode & 0xff
    : undefined;
}

/** The pid in the file when that process is alive. */
function readOwner(pidPath: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(pidPath, 'utf8'), 10);
    if (!Number.isSafeInteger(pid) || pid < 1) return undefined;
    process.kill(pid, 0);
    return pid;
  } catch {
    // No file, or no such process: the owner is unknown, which the message says.
    return undefined;
  }
}
