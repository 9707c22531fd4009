import { join } from 'node:path';
import { silentLogger } from '../../server/core/log.ts';
import { openSqliteRecords } from '../../server/stores/records/sqlite-records.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { describeRecordsConformance } from './records-conformance.ts';

describeRecordsConformance('sqlite', async () => {
  const dir = await createTempDir();
  const clock = createFakeClock();
  const store = await openSqliteRecords({ path: join(dir.path, 'records.db'), clock, log: silentLogger });
  return {
    store,
    passTime: (ms) => clock.advance(ms),
    [Symbol.asyncDispose]: async () => {
      await store.close();
      await dir[Symbol.asyncDispose]();
    },
  };
});
