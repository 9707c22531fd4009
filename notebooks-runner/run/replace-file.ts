import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Writes a whole file beside `path` and gives it that name, so that a reader sees the old or the new one, never a
 * part. Durable: both file and name survive a power cut.
 */
export async function replaceFile(path: string, temp: string, text: string, isDurable: boolean): Promise<void> {
  {
    await using file = await open(temp, 'w', 0o644);
    await file.writeFile(text);
    if (isDurable) await file.sync();
  }
  await rename(temp, path);
  if (!isDurable) return;
  await using folder = await open(dirname(path), 'r');
  await folder.sync();
}
