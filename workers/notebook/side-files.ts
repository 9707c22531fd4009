import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ObjectStore } from '../../server/stores/objects/object-store.ts';

/** A file that a notebook wrote into its working directory. */
export type SideFile = {
  /** Path in the working directory. */
  readonly path: string;
  /** Object key of its copy. */
  readonly key: string;
  readonly bytes: number;
};

/** What became of the files that a notebook wrote. */
export interface SideFiles {
  readonly files: readonly SideFile[];
  /** Files beyond the bounds, or with names that no object key takes. */
  readonly omitted: number;
}

interface StoreSideFiles {
  readonly dir: string;
  readonly prefix: string;
  readonly except: ReadonlySet<string>;
  /** Takes secrets out of a text: a file whose name holds one is left out. */
  redact(text: string): string;
}

const maxFiles = 100;
const maxBytes = 256 * 1_048_576;
/** Looked at: a notebook that makes more keeps the first ones. */
const maxLooked = 10_000;
const fileSegment = /^[A-Za-z0-9_][A-Za-z0-9_. -]{0,199}$/;

/**
 * Stores the files of a directory below `prefix`, at most 100 of 256 MiB together, but for those named in `except` and
 * whatever begins with a dot. Links are not followed: they could lead anywhere.
 */
export async function storeSideFiles(
  objects: Pick<ObjectStore, 'putFile'>,
  { dir, prefix, except, redact }: StoreSideFiles,
  signal: AbortSignal,
): Promise<SideFiles> {
  const files: SideFile[] = [];
  let [omitted, total] = [0, 0];
  for await (const path of filesBelow(dir, '', { left: maxLooked })) {
    if (except.has(path)) continue;
    const { size } = await lstat(join(dir, path));
    const isTaken = path.split('/').every((segment) => fileSegment.test(segment)) && redact(path) === path;
    if (!isTaken || files.length === maxFiles || total + size > maxBytes) {
      omitted++;
      continue;
    }
    const key = `${prefix}${path}`;
    await objects.putFile(key, join(dir, path), { contentType: 'application/octet-stream', signal });
    files.push({ path, key, bytes: size });
    total += size;
  }
  return { files: files.toSorted((a, b) => (a.path < b.path ? -1 : 1)), omitted };
}

/** Paths of regular files, folder by folder. */
async function* filesBelow(top: string, below: string, bound: { left: number }): AsyncGenerator<string> {
  for await (const entry of await opendir(join(top, below))) {
    if (bound.left-- <= 0) return;
    if (entry.name.startsWith('.')) continue;
    const path = below === '' ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory()) yield* filesBelow(top, path, bound);
    else if (entry.isFile()) yield path;
  }
}
