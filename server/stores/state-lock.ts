import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { openExclusiveDatabase } from './records/exclusive-database.ts';

/** The ownership of a state folder. */
export interface StateLock {
  /** Lets another process take the folder. Idempotent. */
  release(): void;
}

/**
 * Makes this process the one owner of a state folder, which is created (for this user only) when absent.
 * The lock is an OS file lock on `<dir>/owner.lock`: it ends with the process, also on kill -9.
 * Throws STATE_DIR_IN_USE (FAILED_PRECONDITION) at once, naming the owner's pid, when the folder is owned already.
 */
export function lockStateDir(dir: string): StateLock {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const lock = openExclusiveDatabase(join(dir, 'owner.lock'), 'BEGIN EXCLUSIVE', dir);
  let isHeld = true;
  return {
    release: () => {
      if (!isHeld) return;
      isHeld = false;
      lock.close();
    },
  };
}
