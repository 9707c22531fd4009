import { stat } from 'node:fs/promises';
import { refuseSamePath } from '../../../notebooks-runner/run/source-guard.ts';

/** Throws NOTEBOOK_OUTPUT_IS_SOURCE when a file that a command writes is the notebook that it reads (`-` = stdin). */
export async function refuseSource(inputPath: string, written: readonly (string | undefined)[]): Promise<void> {
  const source = inputPath === '-' ? undefined : await stat(inputPath).catch(() => undefined);
  if (source === undefined) return;
  const file = { path: inputPath, device: source.dev, inode: source.ino };
  for (const path of written) if (path !== undefined) await refuseSamePath(file, path);
}
