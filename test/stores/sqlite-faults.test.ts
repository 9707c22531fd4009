import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Code } from '../../server/core/codes.ts';
import { silentLogger } from '../../server/core/log.ts';
import { openSqliteRecords } from '../../server/stores/records/sqlite-records.ts';
import { lockStateDir } from '../../server/stores/state-lock.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { mountSmallDisk } from '../support/small-disk.ts';
import { createTempDir, type TempDir } from '../support/temp-dir.ts';
import { waitUntil } from '../support/wait-until.ts';

describe('sqlite records and faults', () => {
  let dir: TempDir;
  beforeEach(async () => {
    dir = await createTempDir();
  });
  afterEach(() => dir[Symbol.asyncDispose]());

  const open = (path: string, clock = createFakeClock()) => openSqliteRecords({ path, clock, log: silentLogger });

  it('refuses writes with DISK_FULL on a full disk, keeps what it had, and works again once there is room', async function () {
    const disk = mountSmallDisk(this, dir.path, '1m');
    try {
      const filler = join(dir.path, 'filler');
      writeFileSync(filler, Buffer.alloc(500_000));
      const records = await open(join(dir.path, 'records.db'));
      await records.put('p', 'kept', new Uint8Array(100));
      await rejectsWith(records.put('p', 'big', new Uint8Array(900_000)), Code.RESOURCE_EXHAUSTED, 'DISK_FULL');
      assert.equal((await records.get('p', 'kept'))?.value.byteLength, 100);
      assert.equal(await records.get('p', 'big'), undefined);
      rmSync(filler);
      await records.put('p', 'after', new Uint8Array(100_000));
      await records.close();
      const again = await open(join(dir.path, 'records.db'));
      assert.deepEqual(
        (await again.scan('p')).map((row) => row.key),
        ['after', 'kept'],
      );
      await again.close();
    } finally {
      disk.unmount();
    }
  });

  it('removes expired rows from the file in bounded passes', async () => {
    const path = join(dir.path, 'records.db');
    const clock = createFakeClock();
    const records = await open(path, clock);
    const puts = Array.from({ length: 1_200 }, (_, index) =>
      records.put('p', `k${index}`, new Uint8Array(10), { ttlMs: 500 }),
    );
    await Promise.all([...puts, records.put('p', 'stays', new Uint8Array(10))]);
    for (const pause of [1_000, 20, 20]) {
      await clock.advance(pause);
      await waitUntil('the pass is over and the next one planned', () => clock.waiting === 1);
    }
    await records.close();
    const database = new DatabaseSync(path);
    assert.equal(database.prepare('SELECT count(*) AS n FROM records').get()?.['n'], 1);
    database.close();
  });

  it('refuses a file of a newer format, and one that is no database', async () => {
    const path = join(dir.path, 'records.db');
    await (await open(path)).close();
    copyFileSync(path, join(dir.path, 'new.db'));
    const database = new DatabaseSync(join(dir.path, 'new.db'));
    database.exec('PRAGMA user_version = 99');
    database.close();
    await rejectsWith(open(join(dir.path, 'new.db')), Code.FAILED_PRECONDITION, 'RECORDS_TOO_NEW');
    writeFileSync(join(dir.path, 'text.db'), 'this is a text file, not a database. '.repeat(50));
    await rejectsWith(open(join(dir.path, 'text.db')), Code.DATA_LOSS, 'RECORDS_CORRUPT');
    await rejectsWith(open(join(dir.path, 'new.db')), Code.FAILED_PRECONDITION, 'RECORDS_TOO_NEW');
  });

  it('bounds the writes that wait and refuses the rest with STORE_OVERLOADED', async () => {
    const records = await open(join(dir.path, 'records.db'));
    const puts = Array.from({ length: 20_005 }, (_, index) => records.put('p', `k${index}`, new Uint8Array(1)));
    const results = await Promise.allSettled(puts);
    const refused = results.filter((result) => result.status === 'rejected');
    assert.equal(refused.length, 5);
    for (const { reason } of refused) assert.equal(reason.reason, 'STORE_OVERLOADED');
    await records.close();
  });
});

describe('lockStateDir', () => {
  it('gives a folder to one owner at a time, and creates it for this user only', async () => {
    await using dir = await createTempDir();
    const path = join(dir.path, 'state', 'deep');
    const lock = lockStateDir(path);
    assert.equal(execFileSync('stat', ['-c', '%a', path], { encoding: 'utf8' }).trim(), '700');
    assert.throws(() => lockStateDir(path), {
      reason: 'STATE_DIR_IN_USE',
      message: `${join(path, 'owner.lock')} is in use by process ${process.pid}; stop it or choose another state folder`,
    });
    lock.release();
    lock.release();
    lockStateDir(path).release();
  });
});
