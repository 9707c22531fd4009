import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Clock } from '../../core/clock.ts';
import { errnoOf } from '../store-errors.ts';
import { ifPresent, makeFolder, removeEmptyFolders, syncFolder, writeAll } from './synced-files.ts';
import { takeTempFile } from './temp-files.ts';

/** What an info file says beyond what the body's own stat tells. */
export interface StoredInfo {
  readonly sha256: string;
  readonly contentType: string;
}

/** An info file that belongs to no body is the rest of a killed put; after this time it is removed. */
const orphanMs = 60 * 60 * 1000;

/**
 * Info files, one per body, that cannot be taken for another body's: an info file is named by its body's identity
 * (`<mtime ns>-<bytes>-<inode>`), is complete and durable before the body gets its key, and is removed after the
 * body is gone. So whoever sees a body finds exactly its info, whatever was killed in between, and the body itself
 * stays a plain file.
 */
export interface ObjectInfoFiles {
  write(key: string, body: BigIntStats, info: StoredInfo): Promise<void>;
  /** Undefined when the body has no info file: it was copied or edited by hand, or was replaced just now. */
  read(key: string, body: BigIntStats): Promise<StoredInfo | undefined>;
  remove(key: string, body: BigIntStats): Promise<void>;
  /** Removes info files of the key that are old and belong to no present body. */
  removeOrphans(key: string, body: BigIntStats): Promise<void>;
}

/** Info files below `folder`, written by way of `tempFolder`, which is on the same file system. */
export function createObjectInfoFiles(folder: string, tempFolder: string, clock: Clock): ObjectInfoFiles {
  const folderOf = (key: string) => {
    const hash = createHash('sha256').update(key).digest('hex');
    return join(folder, hash.slice(0, 2), hash.slice(2));
  };
  const nameOf = (body: BigIntStats) => `${body.mtimeNs}-${body.size}-${body.ino}`;

  return {
    write: async (key, body, info) => {
      await using temp = takeTempFile(tempFolder, clock);
      {
        await using file = await open(temp.path, 'wx', 0o644);
        await writeAll(file, Buffer.from(JSON.stringify({ key, ...info })));
        await file.datasync();
      }
      // The folder may vanish in between, with the last info file of the key.
      for (let attempt = 0; ; attempt++) {
        await makeFolder(folderOf(key));
        try {
          await rename(temp.path, join(folderOf(key), nameOf(body)));
          break;
        } catch (error) {
          if (errnoOf(error) !== 'ENOENT' || attempt === 5) throw error;
        }
      }
      await syncFolder(folderOf(key));
    },
    read: async (key, body) => {
      const exact = await ifPresent(readFile(join(folderOf(key), nameOf(body)), 'utf8'));
      if (exact !== undefined) return parse(exact);
      // A folder restored from a backup has other inodes: time and size tell the body too, when they tell only one.
      const names = (await ifPresent(readdir(folderOf(key)))) ?? [];
      const alike = names.filter((name) => name.startsWith(`${body.mtimeNs}-${body.size}-`));
      const [name] = alike;
      if (name === undefined || alike.length > 1) return undefined;
      const found = await ifPresent(readFile(join(folderOf(key), name), 'utf8'));
      return found === undefined ? undefined : parse(found);
    },
    remove: async (key, body) => {
      await rm(join(folderOf(key), nameOf(body)), { force: true });
      await removeEmptyFolders(folderOf(key), dirname(folderOf(key)));
    },
    removeOrphans: async (key, body) => {
      for (const name of (await ifPresent(readdir(folderOf(key)))) ?? []) {
        if (name === nameOf(body)) continue;
        const path = join(folderOf(key), name);
        const found = await ifPresent(stat(path));
        if (found !== undefined && clock.now() - found.mtimeMs > orphanMs) await rm(path, { force: true });
      }
    },
  };
}

/** Undefined for anything but a whole info file: the caller then computes the info from the body. */
function parse(text: string): StoredInfo | undefined {
  try {
    const { sha256, contentType } = JSON.parse(text) as Record<string, unknown>;
    if (typeof sha256 === 'string' && typeof contentType === 'string') return { sha256, contentType };
  } catch {
    // Damaged by hand or by the disk: as good as absent.
  }
  return undefined;
}
