import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/** How a file is replaced. */
export interface ReplaceFileOptions {
  /** Where it is written first, in the same folder. Default: `<path>.tmp`, for files that one writer at a time has. */
  readonly temp?: string;
  /** Permissions of the file. Default 0o644. */
  readonly mode?: number;
  /** Whether content and name survive a power cut before the call returns. Default true. */
  readonly isDurable?: boolean;
}

/**
 * Writes a whole file beside `path` and gives it that name, so that a reader sees the old one or the new one, never a
 * part. Rejects with the error of Node; the temporary file may stay then.
 */
export async function replaceFile(path: string, text: string, options: ReplaceFileOptions = {}): Promise<void> {
  const { temp = `${path}.tmp`, mode = 0o644, isDurable = true } = options;
  {
    await using file = await open(temp, 'w', mode);
    await file.writeFile(text);
    if (isDurable) await file.sync();
  }
  await rename(temp, path);
  if (!isDurable) return;
  await using folder = await open(dirname(path), 'r');
  await folder.sync();
}
