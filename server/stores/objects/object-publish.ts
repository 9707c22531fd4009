import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { type FileHandle, link, open, rename, rmdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock } from '../../core/clock.ts';
import { errnoOf, writeFailure } from '../store-errors.ts';
import { objectExists, objectKeyConflict } from './object-key.ts';
import { makeFolder, syncFolder, writeAll } from './synced-files.ts';

/** A body on disk that has not got its key yet. */
export interface WrittenBody {
  readonly stats: BigIntStats;
  readonly sha256: string;
}

/** How often a name is tried again after another process removed its folder in between. */
const maxAttempts = 6;

let writes = 0;

/**
 * Writes the pieces to a new file and flushes it. Failures of the disk come as DISK_FULL or DISK_FAILED, failures of
 * the source as they are.
 */
export async function writeBody(path: string, pieces: AsyncIterable<Uint8Array>, clock: Clock): Promise<WrittenBody> {
  const onDisk = <T>(work: Promise<T>) => work.catch((error) => Promise.reject(writeFailure(path, error)));
  await using file = await onDisk(open(path, 'wx', 0o644));
  const hash = createHash('sha256');
  for await (const piece of pieces) {
    hash.update(piece);
    await onDisk(writeAll(file, piece));
  }
  return { stats: await onDisk(finish(file, clock)), sha256: hash.digest('hex') };
}

async function finish(file: FileHandle, clock: Clock): Promise<BigIntStats> {
  // Microseconds that count up tell bodies apart that were written within one tick of the file system's clock.
  const seconds = (clock.now() + (writes++ % 1_000) / 1_000) / 1_000;
  await file.utimes(seconds, seconds);
  await file.sync();
  return file.stat({ bigint: true });
}

/**
 * Gives a finished file its name at once and durably: by rename, or with `ifAbsent` by an exclusive hard link (the
 * temp name then stays). Throws OBJECT_EXISTS, OBJECT_KEY_CONFLICT, DISK_FULL or DISK_FAILED.
 */
export async function placeFile(key: string, tempPath: string, path: string, ifAbsent: boolean): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await makeFolder(dirname(path));
      await (ifAbsent ? link(tempPath, path) : rename(tempPath, path));
      await syncFolder(dirname(path));
      return;
    } catch (error) {
      const isLast = attempt === maxAttempts;
      switch (errnoOf(error)) {
        case 'ENOENT':
          if (isLast) throw writeFailure(path, error);
          break;
        case 'EEXIST':
        case 'EISDIR':
        case 'ENOTEMPTY':
        case 'ENOTDIR':
          if (isLast || !(await makeWay(path))) throw await obstacle(key, path);
          break;
        default:
          throw writeFailure(path, error);
      }
    }
  }
}

/** True when an empty folder stood at the path and was removed. */
async function makeWay(path: string): Promise<boolean> {
  try {
    await rmdir(path);
    return true;
  } catch {
    // Whatever stands there is no empty folder; `obstacle` says what it is.
    return false;
  }
}

async function obstacle(key: string, path: string): Promise<Error> {
  try {
    return (await stat(path)).isDirectory() ? objectKeyConflict(key) : objectExists(key);
  } catch (error) {
    return errnoOf(error) === 'ENOTDIR' ? objectKeyConflict(key) : writeFailure(path, error);
  }
}
