import { randomBytes } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../stores/store-errors.ts';

/** File of the state folder that holds the local administrator's API key. */
export const apiKeyFile = 'api-key';

/** The key of the local administrator: made at the first start, readable by the server's user only. */
export function openLocalApiKey(stateDir: string): string {
  const path = join(stateDir, apiKeyFile);
  const stored = readKey(path);
  if (stored !== '') return stored;
  const key = randomBytes(24).toString('base64url');
  // In one step: a crash or a full disk must not leave half a key.
  writeFileSync(`${path}.new`, `${key}\n`, { mode: 0o600, flush: true });
  renameSync(`${path}.new`, path);
  return key;
}

/** Empty when there is none. */
function readKey(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return '';
    throw error;
  }
}
