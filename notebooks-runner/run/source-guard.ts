import { createHash } from 'node:crypto';
import { open, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { notebookInvalid, notebookUnreadable, outputIsSource } from '../errors.ts';

/** A source file as it was when the run began. */
export interface SourceFile {
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly sha256: string;
  readonly device: number;
  readonly inode: number;
}

/** Reads a source notebook, opened read-only; NOTEBOOK_NOT_FOUND or NOTEBOOK_INVALID (too large). */
export async function readSource(path: string, maxBytes: number): Promise<SourceFile> {
  try {
    await using file = await open(path, 'r');
    const { size, dev, ino } = await file.stat();
    if (size > maxBytes) throw notebookInvalid('', `has ${size} bytes, over the limit of ${maxBytes}`);
    const bytes = await file.readFile();
    return { path, bytes, sha256: sha256Of(bytes), device: dev, inode: ino };
  } catch (error) {
    throw error instanceof Error && 'code' in error && typeof error.code === 'string'
      ? notebookUnreadable(path, error)
      : error;
  }
}

/** True when the file still is the same inode with the same bytes. */
export async function isUnchanged(source: SourceFile): Promise<boolean> {
  try {
    await using file = await open(source.path, 'r');
    const { dev, ino } = await file.stat();
    return dev === source.device && ino === source.inode && sha256Of(await file.readFile()) === source.sha256;
  } catch {
    return false;
  }
}

/** Throws NOTEBOOK_OUTPUT_IS_SOURCE when both paths lead to one file, also by links. */
export async function refuseSamePath(
  source: Pick<SourceFile, 'path' | 'device' | 'inode'>,
  outputPath: string,
): Promise<void> {
  const target = resolve(outputPath);
  const found = await statIfThere(target);
  if (found !== undefined && found.dev === source.device && found.ino === source.inode)
    throw outputIsSource(outputPath);
  const folder = await realpath(dirname(target)).catch(() => dirname(target));
  if (join(folder, basename(target)) === (await realpath(source.path))) throw outputIsSource(outputPath);
}

/** Lower-case hex digest. */
export function sha256Of(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

async function statIfThere(path: string): Promise<{ dev: number; ino: number } | undefined> {
  try {
    return await stat(path);
  } catch {
    return undefined;
  }
}
