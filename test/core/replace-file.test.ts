import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile } from '../../server/core/replace-file.ts';
import { createTempDir } from '../support/temp-dir.ts';

describe('a replaced file', () => {
  it('has the new content and its own permissions, and nothing is left beside it', async () => {
    await using dir = await createTempDir();
    const path = join(dir.path, 'kept.json');
    await writeFile(path, 'old and longer', { mode: 0o644 });
    await replaceFile(path, 'new', { mode: 0o600 });
    assert.equal(await readFile(path, 'utf8'), 'new');
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.deepEqual(await readdir(dir.path), ['kept.json']);
  });

  it('stays as it was when the new one cannot be written', async () => {
    await using dir = await createTempDir();
    const path = join(dir.path, 'kept.json');
    await writeFile(path, 'old');
    await mkdir(`${path}.tmp`);
    await assert.rejects(replaceFile(path, 'new'), { code: 'EISDIR' });
    assert.equal(await readFile(path, 'utf8'), 'old');
  });

  it('is read as the old or the new one, never as a part, while it is replaced', async () => {
    await using dir = await createTempDir();
    const path = join(dir.path, 'kept.json');
    const contents = ['a', 'b'].map((letter) => letter.repeat(1_000_000));
    await writeFile(path, contents[0] ?? '');
    let isWriting = true;
    const write = async () => {
      for (let turn = 1; turn <= 20; turn++) await replaceFile(path, contents[turn % 2] ?? '', { isDurable: false });
      isWriting = false;
    };
    const read = async () => {
      while (isWriting) assert.ok(contents.includes(await readFile(path, 'utf8')), 'a part was read');
    };
    await Promise.all([write(), read()]);
  });
});
