import { readdir, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../core/clock.ts';
import { newId } from '../../core/ids.ts';
import { writeFailure } from '../store-errors.ts';
import { ifPresent, makeFolder } from './synced-files.ts';

/** A temp file of another host (a container that shares the folder) is left alone for this long. */
const foreignTempMs = 24 * 60 * 60 * 1000;

/** Temp files of this process that are being written: a fresh process may have the pid of a dead one. */
const inUse = new Set<string>();

/** A name that no other process uses. */
export interface TempFile {
  readonly path: string;
  /** Removes the file where it is still there. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Takes a new name `<folder>/<host>~<pid>~<id>`; the caller creates the file. */
export function takeTempFile(folder: string, clock: Clock): TempFile {
  const name = `${encodeURIComponent(hostname())}~${process.pid}~${newId(clock.now())}`;
  const path = join(folder, name);
  inUse.add(path);
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      await rm(path, { force: true });
      inUse.delete(path);
    },
  };
}

/**
 * Makes the folder when it is absent, removes the temp files of processes that are gone and gives their number; those
 * of living processes stay. Throws DISK_FULL or DISK_FAILED.
 */
export async function openTempFolder(folder: string, clock: Clock): Promise<number> {
  try {
    await makeFolder(folder);
    return await removeDeadTempFiles(folder, clock);
  } catch (error) {
    throw writeFailure(folder, error);
  }
}

async function removeDeadTempFiles(folder: string, clock: Clock): Promise<number> {
  let removed = 0;
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    if (!(await isDead(path, name, clock))) continue;
    await rm(path, { force: true });
    removed++;
  }
  return removed;
}

async function isDead(path: string, name: string, clock: Clock): Promise<boolean> {
  const [host, pid] = name.split('~');
  if (host !== encodeURIComponent(hostname())) {
    const found = await ifPresent(stat(path));
    return found !== undefined && clock.now() - found.mtimeMs > foreignTempMs;
  }
  if (Number(pid) === process.pid) return !inUse.has(path);
  return !isRunning(Number(pid));
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it runs, as somebody else.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
