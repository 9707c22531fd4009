import { createHash } from 'node:crypto';
import type { Dirent } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { messageOf } from '../../../server/core/errors.ts';
import { filterLoadFailed } from '../filter-errors.ts';

/** One filter folder on disk. */
export interface FilterFolder {
  /** Absolute path of the folder. */
  readonly folder: string;
  /** Absolute path of its filter file. */
  readonly file: string;
  /** SHA-256 over names and content of all its files, in hex. */
  readonly hash: string;
  /** Text of the filter file, for one that has no folder of its own. */
  readonly text?: string;
  /** URL of the file from whose place packages are resolved; default the importing file. */
  readonly importBase?: string;
}

const fileNames = ['filter.ts', 'filter.mts', 'filter.js', 'filter.mjs'];
const maxFolders = 1000;
const maxFiles = 500;
const maxBytes = 16 * 1024 * 1024;

function isIgnored(name: string): boolean {
  return name.startsWith('.') || name.startsWith('_') || name === 'node_modules' || name.endsWith('~');
}

async function reading<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw filterLoadFailed(path, `cannot be read: ${messageOf(error)}`, error);
  }
}

async function entriesOf(folder: string): Promise<Dirent[]> {
  const entries = await reading(folder, readdir(folder, { withFileTypes: true }));
  return entries.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

async function isDirectory(entry: Dirent, path: string): Promise<boolean> {
  return entry.isSymbolicLink() ? (await reading(path, stat(path))).isDirectory() : entry.isDirectory();
}

/** Hash of a folder's content, file by file, so that calls go on meanwhile. */
export async function hashFolder(root: string): Promise<string> {
  const hash = createHash('sha256');
  let files = 0;
  let bytes = 0;
  const visit = async (folder: string, prefix: string, depth: number): Promise<void> => {
    if (depth > 8) throw filterLoadFailed(root, 'has folders more than 8 deep');
    for (const entry of await entriesOf(folder)) {
      if (isIgnored(entry.name)) continue;
      const path = join(folder, entry.name);
      if (await isDirectory(entry, path)) {
        await visit(path, `${prefix}${entry.name}/`, depth + 1);
        continue;
      }
      const content = await reading(path, readFile(path));
      files += 1;
      bytes += content.length;
      if (files > maxFiles || bytes > maxBytes) {
        throw filterLoadFailed(root, `holds more than ${maxFiles} files or ${maxBytes} bytes`);
      }
      hash.update(`${prefix}${entry.name}\0${content.length}\0`).update(content);
    }
  };
  await visit(root, '', 0);
  return hash.digest('hex');
}

/** The filter of one folder. Throws FILTER_LOAD_FAILED. */
export async function readFolder(folder: string): Promise<FilterFolder> {
  const names = (await entriesOf(folder)).map((inner) => inner.name);
  const [name, second] = fileNames.filter((candidate) => names.includes(candidate));
  if (name === undefined) {
    throw filterLoadFailed(folder, 'holds no filter.ts or filter.js; start its name with _ to have it ignored');
  }
  if (second !== undefined) throw filterLoadFailed(folder, `holds both ${name} and ${second}`);
  return { folder, file: join(folder, name), hash: await hashFolder(folder) };
}

/**
 * All filter folders in `dirs`: each direct subfolder, except those whose name starts with `.` or `_`, must hold one
 * filter.ts (or .mts, .js, .mjs). Throws FILTER_LOAD_FAILED.
 */
export async function readFolders(dirs: readonly string[]): Promise<FilterFolder[]> {
  const found: FilterFolder[] = [];
  for (const dir of dirs) {
    for (const entry of await entriesOf(resolve(dir))) {
      const folder = join(resolve(dir), entry.name);
      if (isIgnored(entry.name) || !(await isDirectory(entry, folder))) continue;
      found.push(await readFolder(folder));
      if (found.length > maxFolders) throw filterLoadFailed(dir, `holds more than ${maxFolders} filters`);
    }
  }
  return found;
}
