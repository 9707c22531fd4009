import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { silentLogger } from '../../server/core/log.ts';
import { openRecordEventLog } from '../../server/stores/events/record-event-log.ts';
import type { RecordsStore } from '../../server/stores/records/records-store.ts';
import { openSqliteRecords } from '../../server/stores/records/sqlite-records.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { waitUntil } from '../support/wait-until.ts';
import { describeEventsConformance } from './events-conformance.ts';

async function openRecords() {
  const dir = await createTempDir();
  const clock = createFakeClock();
  const records = await openSqliteRecords({ path: join(dir.path, 'records.db'), clock, log: silentLogger });
  const dispose = async () => {
    await records.close();
    await dir[Symbol.asyncDispose]();
  };
  return { records, clock, [Symbol.asyncDispose]: dispose };
}

describeEventsConformance('on records', async () => {
  const { records, clock, [Symbol.asyncDispose]: dispose } = await openRecords();
  const store = await openRecordEventLog({ records, clock });
  return {
    store,
    reopen: async () => {
      await store.close();
      return openRecordEventLog({ records, clock });
    },
    passTime: (ms) => clock.advance(ms),
    [Symbol.asyncDispose]: async () => {
      await store.close();
      await dispose();
    },
  };
});

describe('event log on records', () => {
  const payload = new Uint8Array(10);

  it('leaves no gap when a batch fails', async () => {
    await using subject = await openRecords();
    const { records, clock } = subject;
    let failures = 0;
    const flaky: RecordsStore = {
      ...records,
      batch: (operations) => {
        if (failures-- > 0) {
          return Promise.reject(new AppError({ code: Code.RESOURCE_EXHAUSTED, reason: 'DISK_FULL', message: 'full' }));
        }
        return records.batch(operations);
      },
    };
    const log = await openRecordEventLog({ records: flaky, clock });
    await log.append('log', payload, { id: 'a' });
    failures = 1;
    await rejectsWith(log.append('log', payload, { id: 'b' }), Code.RESOURCE_EXHAUSTED, 'DISK_FULL');
    assert.deepEqual(await log.append('log', payload, { id: 'b' }), { offset: 2n, duplicate: false });
    await log.close();
  });

  it('goes on from the right offset after another opener has written', async () => {
    await using subject = await openRecords();
    const [one, two] = await Promise.all([openRecordEventLog(subject), openRecordEventLog(subject)]);
    for (let round = 0; round < 20; round++) {
      await Promise.all([one.append('log', payload), two.append('log', payload), one.append('log', payload)]);
    }
    const offsets = (await one.read('log', 0n, 1_000)).map((entry) => Number(entry.offset));
    assert.deepEqual(
      offsets,
      Array.from({ length: 60 }, (_, index) => index + 1),
    );
    assert.equal((await one.position('log')).epoch, (await two.position('log')).epoch);
    await Promise.all([one.close(), two.close()]);
  });

  it('removes the rows of trimmed entries', async () => {
    await using subject = await openRecords();
    const { records } = subject;
    const log = await openRecordEventLog(subject);
    await Promise.all(Array.from({ length: 1_800 }, () => log.append('log', payload)));
    await log.append('log', payload, { maxEntries: 5 });
    const rows = async () => (await records.scan('event-log/log', { prefix: 'e/', limit: 10_000 })).length;
    await waitUntil('the rows are gone', async () => (await rows()) === 5);
    await log.close();
  });

  it('bounds the appends that wait', async () => {
    await using subject = await openRecords();
    const log = await openRecordEventLog(subject);
    const results = await Promise.allSettled(Array.from({ length: 10_010 }, () => log.append('log', payload)));
    const refused = results.filter((result) => result.status === 'rejected');
    assert.equal(refused.length, 10);
    for (const { reason } of refused) assert.equal(reason.reason, 'STORE_OVERLOADED');
    assert.equal((await log.position('log')).newest, 10_000n);
    await log.close();
  });
});
