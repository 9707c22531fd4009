import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** File of the state folder that holds the local administrator's API key. */
export const apiKeyFile = 'api-key';

/** The key of the local administrator: made at the first start, readable by the server's user only. */
export function openLocalApiKey(stateDir: string): string {
  const path = join(stateDir, apiKeyFile);
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
  const key = randomBytes(24).toString('base64url');
  writeFileSync(path, `${key}\n`, { mode: 0o600, flag: 'wx' });
  return key;
}
