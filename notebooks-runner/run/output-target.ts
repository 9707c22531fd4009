import { realpath, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { outputUnwritable } from '../errors.ts';

/**
 * The file that an output path leads to, through links, so that a link stays one. Throws NOTEBOOK_OUTPUT_UNWRITABLE for
 * a sink: a run would put a file in its place.
 */
export async function outputTarget(path: string): Promise<string> {
  if (await isSink(path)) throw outputUnwritable(path, new Error('it is a device, a pipe or a socket'));
  return realpath(path).catch(() => resolve(path));
}

/** True where something is that takes bytes and is no file, e.g. `/dev/null` or a pipe. */
export async function isSink(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => !found.isFile() && !found.isDirectory(),
    () => false,
  );
}
