import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../server/core/clock.ts';
import { Code } from '../../server/core/codes.ts';
import { silentLogger } from '../../server/core/log.ts';
import { createSeededRandom } from '../../server/core/random.ts';
import { openSqliteRecords } from '../../server/stores/records/sqlite-records.ts';
import { startChildScript } from '../support/child-script.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createTempDir, type TempDir } from '../support/temp-dir.ts';
import { waitUntil } from '../support/wait-until.ts';

const writer = new URL('children/write-records.ts', import.meta.url);
const rounds = 8;

describe('sqlite records after kill -9', () => {
  let dir: TempDir;
  let path: string;
  beforeEach(async () => {
    dir = await createTempDir();
    path = join(dir.path, 'records.db');
  });
  afterEach(() => dir[Symbol.asyncDispose]());

  const open = () => openSqliteRecords({ path, clock: systemClock, log: silentLogger });

  it('still holds every acknowledged row whole, and both or none of each batch', async () => {
    const random = createSeededRandom(11);
    const acknowledged: string[] = [];
    for (let round = 0; round < rounds; round++) {
      await using child = startChildScript(writer, [path, String(round)]);
      const enough = 1 + Math.floor(random.next() * 400);
      await waitUntil('the child has written', () => child.lines.length > enough, 20_000);
      await child.kill();
      acknowledged.push(...child.lines.slice(1));
    }
    const records = await open();
    for (const key of acknowledged) {
      const [, , count] = key.split('/');
      const row = await records.get('single', key);
      assert.equal(Buffer.from(row?.value ?? []).toString(), key.repeat(1 + (Number(count) % 300)), key);
    }
    const sides = (await records.scan('pairs', { limit: 10_000 })).map((row) => row.key);
    assert.ok(acknowledged.length > rounds && sides.length > 0);
    for (const key of sides) {
      const other = key.endsWith('left') ? key.replace(/left$/, 'right') : key.replace(/right$/, 'left');
      assert.ok(sides.includes(other), `${key} stands alone`);
    }
    await records.close();
  });

  it('is refused to a second opener while the owner lives, naming its pid, and free once it was killed', async () => {
    await using child = startChildScript(writer, [path, '0']);
    await waitUntil('the child has the store', () => child.lines.length > 0, 20_000);
    const error = await rejectsWith(open(), Code.FAILED_PRECONDITION, 'STATE_DIR_IN_USE');
    assert.match(error.message, new RegExp(`in use by process ${child.process.pid};`));
    await child.kill();
    await (await open()).close();
  });

  it('is refused to a second opener in the same process, and the first goes on working', async () => {
    const records = await open();
    await rejectsWith(open(), Code.FAILED_PRECONDITION, 'STATE_DIR_IN_USE');
    await records.put('p', 'k', new Uint8Array(1));
    await records.close();
    const again = await open();
    assert.ok(await again.get('p', 'k'));
    await again.close();
  });

  it('never gives a version again after the newest row was deleted and the store reopened', async () => {
    const first = await open();
    await first.put('p', 'k', new Uint8Array(1));
    const newest = await first.put('p', 'k', new Uint8Array(1));
    await first.delete('p', 'k');
    await first.close();
    const second = await open();
    assert.ok((await second.put('p', 'k', new Uint8Array(1))) > newest);
    await second.close();
  });

  it('keeps its log file bounded under steady writing', async () => {
    const records = await open();
    let largest = 0;
    for (let round = 0; round < 40; round++) {
      const puts = Array.from({ length: 50 }, (_, index) =>
        records.put('p', `k${(round * 50 + index) * 7919}`, new Uint8Array(20_000)),
      );
      await Promise.all(puts);
      largest = Math.max(largest, statSync(`${path}-wal`).size);
    }
    assert.ok(largest < 24 * 1024 * 1024, `log grew to ${largest} bytes while 40 MB were written`);
    assert.ok(statSync(path).size > 30 * 1024 * 1024);
    await records.close();
  });
});
