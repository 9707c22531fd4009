import { jsonDigest } from '../core/canonical-json.ts';
import { Code } from '../core/codes.ts';
import { AppError } from '../core/errors.ts';
import type { RecordsStore } from '../stores/records/records-store.ts';
import type { StoredNotification } from './notification.ts';

type Collapsing = Pick<StoredNotification, 'profile' | 'collapseKey' | 'targets' | 'offset'>;

/**
 * The newest notification of each profile and collapse key. Different categories or capabilities are different keys,
 * so that a device never loses a notification to one that is not for it. An excluded device is no difference: it
 * caused the newer state and must not be given the older one.
 */
export interface CollapseIndex {
  /** Notes a stored notification, unless a newer one was noted. Does nothing without a collapse key. */
  note(notification: Collapsing): Promise<void>;
  /** True when a newer notification of its key was stored. */
  isReplaced(notification: Collapsing): Promise<boolean>;
}

/** An entry is kept for `ttlMs` after its last note, which must be as long as any notification lives. */
export function createCollapseIndex(records: RecordsStore, ttlMs: number): CollapseIndex {
  const addressOf = ({ profile, collapseKey, targets }: Collapsing) => ({
    partition: `notifications/collapse/${profile}`,
    key: jsonDigest([collapseKey, [...targets.categories].sort(), [...targets.capabilities].sort()]),
  });

  /** False when another publish wrote in between. */
  async function tryNote(notification: Collapsing): Promise<boolean> {
    const { partition, key } = addressOf(notification);
    const row = await records.get(partition, key);
    if (row !== undefined && offsetOf(row.value) >= notification.offset) return true;
    try {
      await records.put(partition, key, Buffer.from(String(notification.offset)), {
        ttlMs,
        ifVersion: row?.version ?? 'absent',
      });
      return true;
    } catch (error) {
      if (error instanceof AppError && error.code === Code.ABORTED) return false;
      throw error;
    }
  }

  return {
    note: async (notification) => {
      if (notification.collapseKey === '') return;
      // Each failed try means that another one succeeded, so this ends.
      while (!(await tryNote(notification)));
    },
    isReplaced: async (notification) => {
      if (notification.collapseKey === '') return false;
      const { partition, key } = addressOf(notification);
      const row = await records.get(partition, key);
      return row !== undefined && offsetOf(row.value) > notification.offset;
    },
  };
}

function offsetOf(value: Uint8Array): bigint {
  return BigInt(Buffer.from(value).toString());
}
