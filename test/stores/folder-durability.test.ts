import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../server/core/clock.ts';
import { silentLogger } from '../../server/core/log.ts';
import { createSeededRandom } from '../../server/core/random.ts';
import { openFolderObjects } from '../../server/stores/objects/folder-objects.ts';
import { startChildScript } from '../support/child-script.ts';
import { createTempDir, type TempDir } from '../support/temp-dir.ts';
import { waitUntil } from '../support/wait-until.ts';

const putter = new URL('children/put-objects.ts', import.meta.url);
const rounds = 20;
const partLength = 8 * 4_000;

describe('folder objects after kill -9', () => {
  let dir: TempDir;
  beforeEach(async () => {
    dir = await createTempDir();
  });
  afterEach(() => dir[Symbol.asyncDispose]());

  const open = () => openFolderObjects({ dir: dir.path, clock: systemClock, log: silentLogger });

  it('shows every acknowledged object whole with its own info, and no part of any other', async function () {
    this.timeout(60_000);
    const random = createSeededRandom(23);
    const acknowledged: number[] = [];
    for (let round = 0; round < rounds; round++) {
      await using child = startChildScript(putter, [dir.path, String(round * 1_000)]);
      const enough = Math.floor(random.next() * 6);
      await waitUntil('the child puts', () => child.lines.length > enough, 20_000);
      // A busy wait of microseconds spreads the kills over the steps of a put.
      for (const end = performance.now() + random.next() * 3; performance.now() < end; );
      await child.kill();
      acknowledged.push(...child.lines.map(Number));
    }
    const store = await open();
    const infos = await store.list('', { limit: 10_000 });
    for (const info of infos) {
      const content = Buffer.from(await store.read(info.key)).toString();
      const number = content.slice(0, content.indexOf('\n'));
      assert.equal(content, `${number}\n`.repeat(partLength), `${info.key} is torn`);
      assert.equal(info.contentType, `text/x-${number}`, `${info.key} has the info of another body`);
      assert.equal(info.sha256, createHash('sha256').update(content).digest('hex'));
    }
    const keys = new Set(infos.map((info) => info.key));
    assert.ok(acknowledged.length >= rounds);
    for (const number of acknowledged) assert.ok(keys.has(`once/${number}`), `acknowledged once/${number} is gone`);
    assert.deepEqual(await readdir(join(dir.path, '.tmp')), []);
  });

  it('removes temp files of dead processes at open, and leaves those of living ones and of other hosts', async () => {
    await (await open()).close();
    const host = encodeURIComponent(hostname());
    await using child = startChildScript(putter, [dir.path, '0']);
    await waitUntil('the child puts', () => child.lines.length > 0, 20_000);
    const living = `${host}~${child.process.pid}~x`;
    const own = `${host}~${process.pid}~from-a-former-life`;
    const foreign = `another-host~1~x`;
    for (const name of [living, own, foreign]) await writeFile(join(dir.path, '.tmp', name), 'half a body');
    await (await open()).close();
    const kept = await readdir(join(dir.path, '.tmp'));
    assert.ok(kept.includes(living) && kept.includes(foreign) && !kept.includes(own), kept.join(' '));
    await child.kill();
    await (await open()).close();
    assert.deepEqual(await readdir(join(dir.path, '.tmp')), [foreign]);
    const later = { ...systemClock, now: () => Date.now() + 25 * 60 * 60 * 1000 };
    await (await openFolderObjects({ dir: dir.path, clock: later, log: silentLogger })).close();
    assert.deepEqual(await readdir(join(dir.path, '.tmp')), []);
  });

  it('leaves the put of another opener in the same process alone', async () => {
    const [first, second] = [await open(), Promise.withResolvers<void>()];
    async function* slow() {
      yield Buffer.from('begin ');
      await second.promise;
      yield Buffer.from('end');
    }
    const pending = first.put('k', slow());
    await waitUntil('the temp file is there', async () => (await readdir(join(dir.path, '.tmp'))).length === 1);
    await (await open()).close();
    second.resolve();
    assert.equal((await pending).bytes, 9);
    assert.equal(Buffer.from(await first.read('k')).toString(), 'begin end');
  });
});
