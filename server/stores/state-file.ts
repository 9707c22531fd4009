import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from './store-errors.ts';

/** The text of a small file of a state folder: made at the first start, readable by the server's user only. */
export function openStateText(stateDir: string, name: string, make: () => string): string {
  const path = join(stateDir, name);
  const stored = readText(path);
  if (stored !== '') return stored;
  const text = make();
  // In one step: a crash or a full disk must not leave half of it.
  writeFileSync(`${path}.new`, `${text}\n`, { mode: 0o600, flush: true });
  renameSync(`${path}.new`, path);
  return text;
}

/** Empty when there is none. */
function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return '';
    throw error;
  }
}
