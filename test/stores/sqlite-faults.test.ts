import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { open as openFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Code } from '../../server/core/codes.ts';
import { createLogger, silentLogger } from '../../server/core/log.ts';
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

  it('refuses everything with DISK_FAILED after a flush that failed, says so once, and has what was flushed when opened again', async () => {
    const path = join(dir.path, 'records.db');
    const clock = createFakeClock();
    const lines: string[] = [];
    const log = createLogger({ level: 'warn', write: (line) => lines.push(line) });
    const records = await openSqliteRecords({ path, clock, log });
    await records.put('p', 'kept', new Uint8Array(1), { ttlMs: 10_000 });
    const restore = await failNextFlush();
    try {
      await rejectsWith(records.put('p', 'lost', new Uint8Array(1)), Code.UNAVAILABLE, 'DISK_FAILED');
    } finally {
      restore();
    }
    await rejectsWith(records.put('p', 'more', new Uint8Array(1)), Code.UNAVAILABLE, 'DISK_FAILED');
    await rejectsWith(records.get('p', 'kept'), Code.UNAVAILABLE, 'DISK_FAILED');
    // There is an expired row from now on, which no pass can remove.
    for (let pass = 0; pass < 15; pass++) await clock.advance(1_000);
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).message),
      ['records store failed'],
    );
    await records.close();
    const again = await open(path);
    assert.equal((await again.get('p', 'kept'))?.value.byteLength, 1);
    await again.close();
  });

  it('names a failure of the file system for what it is', async () => {
    mkdirSync(join(dir.path, 'records.db.pid.new'));
    const error = await rejectsWith(open(join(dir.path, 'records.db')), Code.UNAVAILABLE, 'DISK_FAILED');
    assert.match(String(error.cause), /EISDIR/);
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
      message: `${path} is in use by process ${process.pid}; stop it or set SHOWRUNNER_STATE_DIR to another folder`,
    });
    lock.release();
    lock.release();
    lockStateDir(path).release();
  });
});

/** Lets the next flush of any open file fail, as a broken device would; the function given undoes it. */
async function failNextFlush(): Promise<() => void> {
  await using file = await openFile('/dev/null');
  const prototype: { datasync(): Promise<void> } = Object.getPrototypeOf(file);
  const { datasync } = prototype;
  const restore = () => {
    prototype.datasync = datasync;
  };
  prototype.datasync = () => {
    restore();
    return Promise.reject(Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' }));
  };
  return restore;
}
