import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join, matchesGlob, relative } from 'node:path';
import { notebookUnreadable } from '../errors.ts';

const leftOut = new Set(['node_modules', '__pycache__']);
const maxNotebooks = 10_000;

/**
 * The notebooks of a folder and of those in it, by path; folders with a dot or of packages are left out, and what
 * matches one of `exclude` (globs relative to the folder). A file is given back as it is.
 */
export async function findNotebooks(root: string, exclude: readonly string[] = []): Promise<string[]> {
  const found: string[] = [];
  const info = await stat(root).catch((error: unknown) => {
    throw notebookUnreadable(root, error);
  });
  if (info.isFile()) return [root];
  const pending = [root];
  for (let folder = pending.pop(); folder !== undefined && found.length < maxNotebooks; folder = pending.pop()) {
    const entries: Dirent[] = await readdir(folder, { withFileTypes: true });
    for (const entry of entries) {
      const path = join(folder, entry.name);
      if (entry.name.startsWith('.') || leftOut.has(entry.name)) continue;
      if (exclude.some((glob) => matchesGlob(relative(root, path), glob))) continue;
      if (entry.isDirectory()) pending.push(path);
      else if (entry.isFile() && entry.name.endsWith('.ipynb')) found.push(path);
    }
  }
  return found.sort();
}
