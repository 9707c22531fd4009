import { randomUUID } from 'node:crypto';
import { mkdirSync, realpathSync } from 'node:fs';
import { hostname } from 'node:os';
import { openStateText } from './state-file.ts';

/** What tells a state folder from all others. */
export interface StateOwner {
  /** Made at the first start; a copy of the folder has the same. */
  readonly id: string;
  /** `host:/folder`. */
  readonly place: string;
}

/** Who owns what belongs to a state folder but lies elsewhere, such as a Redis. Creates the folder when absent. */
export function openStateOwner(stateDir: string): StateOwner {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const id = openStateText(stateDir, 'state-id', randomUUID);
  return { id, place: `${hostname()}:${realpathSync(stateDir)}` };
}
