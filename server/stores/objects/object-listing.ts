import { opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { compareUtf8 } from '../utf8-order.ts';
import { ifPresent } from './synced-files.ts';

interface Entry {
  /** Key of the object, or of the folder with a closing `/`. */
  readonly key: string;
  readonly isFolder: boolean;
}

/** Keys of all objects under `top` that have the prefix and sort after `after`, in the order of their UTF-8 bytes. */
export async function* listKeys(top: string, prefix: string, after: string): AsyncGenerator<string> {
  yield* walk(top, prefix.slice(0, prefix.lastIndexOf('/') + 1), prefix, after);
}

/** `folder` is the key of a folder: empty for the top, else with a closing `/`. */
async function* walk(top: string, folder: string, prefix: string, after: string): AsyncGenerator<string> {
  for (const { key, isFolder } of await entriesOf(top, folder)) {
    if (isFolder) {
      const mayMatch = key.startsWith(prefix) || prefix.startsWith(key);
      // All keys below sort after the folder's own key; they may sort after `after` only when it is not past them all.
      const mayFollow = after.startsWith(key) || compareUtf8(key, after) > 0;
      if (mayMatch && mayFollow) yield* walk(top, key, prefix, after);
    } else if (key.startsWith(prefix) && compareUtf8(key, after) > 0) {
      yield key;
    }
  }
}

/** A folder's entries in key order: folders sort with their `/`, so that `a-b` comes before `a/b`. */
async function entriesOf(top: string, folder: string): Promise<Entry[]> {
  const entries: Entry[] = [];
  const directory = await ifPresent(opendir(join(top, folder)));
  if (directory === undefined) return entries;
  for await (const found of directory) {
    // Names that start with "." at the top are the store's own.
    if (folder === '' && found.name.startsWith('.')) continue;
    if (found.isDirectory()) entries.push({ key: `${folder}${found.name}/`, isFolder: true });
    else if (found.isFile()) entries.push({ key: `${folder}${found.name}`, isFolder: false });
  }
  return entries.sort((a, b) => compareUtf8(a.key, b.key));
}
