import type { Dirent } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Space that a folder takes. */
export interface FolderUsage {
  readonly bytes: number;
  /** False when it holds more files than were looked at. */
  readonly isWhole: boolean;
}

const perFileBytes = 512;

/** Bytes on disk of everything in a folder, links not followed; stops after `maxFiles` entries. */
export async function folderUsage(root: string, maxFiles: number): Promise<FolderUsage> {
  const pending = [root];
  let bytes = 0;
  let files = 0;
  for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
    const entries: Dirent[] = await readdir(folder, { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      if (++files > maxFiles) return { bytes, isWhole: false };
      const path = join(folder, entry.name);
      if (entry.isDirectory()) pending.push(path);
      // Holes of a sparse file take no space.
      else
        bytes +=
          perFileBytes +
          (await lstat(path).then(
            ({ blocks }) => blocks * 512,
            () => 0,
          ));
    }
  }
  return { bytes, isWhole: true };
}
