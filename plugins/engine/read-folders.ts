import { createHash } from 'node:crypto';
import { type Dirent, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { messageOf } from '../../server/core/errors.ts';
import { filterLoadFailed } from './filter-errors.ts';

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

function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true }).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    throw filterLoadFailed(folder, `cannot be read: ${messageOf(error)}`, error);
  }
}

/** Hash of a folder's content. Reads synchronously: a few small files, and no other reload can come between. */
export function hashFolder(root: string): string {
  const hash = createHash('sha256');
  let files = 0;
  let bytes = 0;
  const visit = (folder: string, prefix: string, depth: number): void => {
    if (depth > 8) throw filterLoadFailed(root, 'has folders more than 8 deep');
    for (const entry of entriesOf(folder)) {
      if (isIgnored(entry.name)) continue;
      const path = join(folder, entry.name);
      const isFolder = entry.isSymbolicLink() ? statSync(path).isDirectory() : entry.isDirectory();
      if (isFolder) {
        visit(path, `${prefix}${entry.name}/`, depth + 1);
        continue;
      }
      const content = readFileSync(path);
      files += 1;
      bytes += content.length;
      if (files > maxFiles || bytes > maxBytes) {
        throw filterLoadFailed(root, `holds more than ${maxFiles} files or ${maxBytes} bytes`);
      }
      hash.update(`${prefix}${entry.name}\0${content.length}\0`).update(content);
    }
  };
  visit(root, '', 0);
  return hash.digest('hex');
}

/** The filter of one folder. Throws FILTER_LOAD_FAILED. */
export function readFolder(folder: string): FilterFolder {
  const names = entriesOf(folder).map((inner) => inner.name);
  const [name, second] = fileNames.filter((candidate) => names.includes(candidate));
  if (name === undefined) {
    throw filterLoadFailed(folder, 'holds no filter.ts or filter.js; start its name with _ to have it ignored');
  }
  if (second !== undefined) throw filterLoadFailed(folder, `holds both ${name} and ${second}`);
  return { folder, file: join(folder, name), hash: hashFolder(folder) };
}

/**
 * All filter folders in `dirs`: each direct subfolder, except those whose name starts with `.` or `_`, must hold one
 * filter.ts (or .mts, .js, .mjs). Throws FILTER_LOAD_FAILED.
 */
export function readFolders(dirs: readonly string[]): FilterFolder[] {
  const found: FilterFolder[] = [];
  for (const dir of dirs) {
    for (const entry of entriesOf(resolve(dir))) {
      const folder = join(resolve(dir), entry.name);
      if (isIgnored(entry.name) || !(entry.isSymbolicLink() ? statSync(folder) : entry).isDirectory()) continue;
      found.push(readFolder(folder));
      if (found.length > maxFolders) throw filterLoadFailed(dir, `holds more than ${maxFolders} filters`);
    }
  }
  return found;
}
