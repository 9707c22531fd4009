import { randomBytes } from 'node:crypto';
import { openStateText } from '../stores/state-file.ts';

/** File of the state folder that holds the local administrator's API key. */
export const apiKeyFile = 'api-key';

/** The key of the local administrator: made at the first start, readable by the server's user only. */
export function openLocalApiKey(stateDir: string): string {
  return openStateText(stateDir, apiKeyFile, () => randomBytes(24).toString('base64url'));
}
