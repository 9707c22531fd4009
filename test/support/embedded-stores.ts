import { join } from 'node:path';
import { type Clock, systemClock } from '../../server/core/clock.ts';
import { silentLogger } from '../../server/core/log.ts';
import type { EventLog } from '../../server/stores/events/event-log.ts';
import { openRecordEventLog } from '../../server/stores/events/record-event-log.ts';
import { openFolderObjects } from '../../server/stores/objects/folder-objects.ts';
import type { ObjectStore } from '../../server/stores/objects/object-store.ts';
import type { RecordsStore } from '../../server/stores/records/records-store.ts';
import { openSqliteRecords } from '../../server/stores/records/sqlite-records.ts';
import { createTempDir } from './temp-dir.ts';

/** The embedded stores in a folder of their own. */
export interface EmbeddedStores {
  readonly records: RecordsStore;
  readonly log: EventLog;
  readonly objects: ObjectStore;
  readonly clock: Clock;
  close(): Promise<void>;
}

/** Opens the embedded stores in a folder, which is left in place when they are closed. */
export async function openEmbeddedStores(path: string, clock: Clock = systemClock): Promise<EmbeddedStores> {
  const records = await openSqliteRecords({ path: join(path, 'records.db'), clock, log: silentLogger });
  const log = await openRecordEventLog({ records, clock });
  const objects = await openFolderObjects({ dir: join(path, 'objects'), clock, log: silentLogger });
  const close = async () => {
    await log.close();
    await objects.close();
    await records.close();
  };
  return { records, log, objects, clock, close };
}

/** Embedded stores in a temporary folder: closed and removed when disposed. */
export async function createEmbeddedStores(clock?: Clock): Promise<EmbeddedStores & AsyncDisposable> {
  const dir = await createTempDir();
  const stores = await openEmbeddedStores(dir.path, clock);
  return {
    ...stores,
    [Symbol.asyncDispose]: async () => {
      await stores.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}
