import { objectKeyConflict } from './object-key.ts';
import type { S3Caller } from './s3-caller.ts';
import { headObject, listTargets } from './s3-head.ts';

/** How long a key that was found free of an object is taken for a folder, in ms. */
const knownMs = 60_000;
const maxKnown = 4_096;

/** Keeps keys such that they could also be files in folders, so that objects can move to a folder store and back. */
export interface FolderRule {
  /**
   * Throws OBJECT_KEY_CONFLICT when an object lies above or below the key. S3 has no such rule: of two puts at the same
   * moment, or of one that another process made less than a minute ago, a conflict may go unseen; both can be read then.
   */
  check(key: string, signal?: AbortSignal): Promise<void>;
}

/** Remembers for a minute which keys are folders, 4,096 of them at most. */
export function createFolderRule(caller: S3Caller): FolderRule {
  const { clock, location } = caller;
  /** Until when each key is taken for a folder. */
  const folders = new Map<string, number>();

  async function checkFolder(folder: string, key: string, signal?: AbortSignal): Promise<void> {
    if ((folders.get(folder) ?? 0) > clock.monotonic()) return;
    if ((await headObject(caller, location.prefix + folder, signal)) !== undefined) throw objectKeyConflict(key);
    folders.delete(folder);
    folders.set(folder, clock.monotonic() + knownMs);
    const [oldest] = folders.keys();
    if (folders.size > maxKnown && oldest !== undefined) folders.delete(oldest);
  }

  async function checkBelow(key: string): Promise<void> {
    const below = await listTargets(caller, `${location.prefix}${key}/`, undefined, 1).next();
    if ((below.value ?? []).length > 0) throw objectKeyConflict(key);
  }

  return {
    check: async (key, signal) => {
      folders.delete(key);
      const parts = key.split('/');
      const above = parts.slice(1).map((_part, index) => parts.slice(0, index + 1).join('/'));
      await Promise.all([checkBelow(key), ...above.map((folder) => checkFolder(folder, key, signal))]);
    },
  };
}
