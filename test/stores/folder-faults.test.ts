import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { appendFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../server/core/clock.ts';
import { Code } from '../../server/core/codes.ts';
import { silentLogger } from '../../server/core/log.ts';
import { openFolderObjects } from '../../server/stores/objects/folder-objects.ts';
import { startChildScript } from '../support/child-script.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { mountSmallDisk } from '../support/small-disk.ts';
import { createTempDir, type TempDir } from '../support/temp-dir.ts';

describe('folder objects and faults', () => {
  let dir: TempDir;
  beforeEach(async () => {
    dir = await createTempDir();
  });
  afterEach(() => dir[Symbol.asyncDispose]());

  const open = (path = dir.path) => openFolderObjects({ dir: path, clock: systemClock, log: silentLogger });
  const bytes = (text: string) => new TextEncoder().encode(text);
  const infoFiles = (path = dir.path) =>
    readdirSync(join(path, '.info'), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).length;

  it('refuses a put with DISK_FULL on a full disk, leaves nothing of it, and works again once there is room', async function () {
    const disk = mountSmallDisk(this, dir.path, '1m');
    try {
      const filler = join(dir.path, '.filler');
      writeFileSync(filler, Buffer.alloc(400_000));
      const store = await open();
      const kept = await store.put('kept', bytes('kept'));
      const large = Buffer.alloc(900_000, 1);
      for (const key of ['kept', 'new']) {
        await rejectsWith(store.put(key, large), Code.RESOURCE_EXHAUSTED, 'DISK_FULL');
      }
      assert.deepEqual(await store.stat('kept'), kept);
      assert.equal(await store.stat('new'), undefined);
      assert.deepEqual(await readdir(join(dir.path, '.tmp')), []);
      rmSync(filler);
      assert.equal((await store.put('new', large)).bytes, 900_000);
    } finally {
      disk.unmount();
    }
  });

  it('refuses a put with DISK_FULL when the process may not write files that large', async () => {
    await using child = startChildScript(
      new URL('children/put-large-object.ts', import.meta.url),
      [dir.path],
      ['prlimit', '--fsize=200000'],
    );
    assert.equal(await child.ended, 0, child.errors());
    assert.deepEqual(child.lines, ['DISK_FULL']);
    const store = await open();
    assert.deepEqual(
      (await store.list('')).map((info) => info.key),
      ['small'],
    );
    assert.deepEqual(await readdir(join(dir.path, '.tmp')), []);
  });

  it('keeps one info file per object, also after replaced, refused and deleted ones', async () => {
    const store = await open();
    for (let round = 0; round < 5; round++) await store.put('k', bytes(`body ${round}`));
    await rejectsWith(store.put('k', bytes('x'), { ifAbsent: true }), Code.ALREADY_EXISTS, 'OBJECT_EXISTS');
    const puts = Array.from({ length: 5 }, () => store.put('raced', bytes('x'), { ifAbsent: true }));
    await Promise.allSettled(puts);
    assert.equal(infoFiles(), 2);
    await store.delete('k');
    await store.delete('raced');
    assert.equal(infoFiles(), 0);
  });

  it('computes the info of a file that was laid into the folder, or edited, by hand', async () => {
    const store = await open();
    await mkdir(join(dir.path, 'by'));
    await writeFile(join(dir.path, 'by/hand.txt'), 'hello');
    const laid = await store.stat('by/hand.txt');
    assert.equal(laid?.sha256, '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824');
    assert.equal(laid?.contentType, 'application/octet-stream');
    const put = await store.put('k', bytes('hell'));
    await appendFile(join(dir.path, 'k'), 'o');
    const edited = await store.stat('k');
    assert.notEqual(edited?.sha256, put.sha256);
    assert.equal(edited?.sha256, laid?.sha256);
  });

  it('still knows all infos after the folder was copied to another place', async () => {
    const store = await open(join(dir.path, 'from'));
    const info = await store.put('a/k', bytes('body'), { contentType: 'video/mp4' });
    execFileSync('cp', ['-a', join(dir.path, 'from'), join(dir.path, 'to')]);
    const copy = await open(join(dir.path, 'to'));
    assert.deepEqual(await copy.stat('a/k'), info);
  });
});
