import { systemClock } from '../../server/core/clock.ts';
import { silentLogger } from '../../server/core/log.ts';
import { openFolderObjects } from '../../server/stores/objects/folder-objects.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { describeObjectsConformance } from './objects-conformance.ts';

describeObjectsConformance('folder', async () => {
  const dir = await createTempDir();
  const store = await openFolderObjects({ dir: dir.path, clock: systemClock, log: silentLogger });
  return {
    store,
    [Symbol.asyncDispose]: async () => {
      await store.close();
      await dir[Symbol.asyncDispose]();
    },
  };
});
