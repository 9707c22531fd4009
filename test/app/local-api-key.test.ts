import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { apiKeyFile, openLocalApiKey } from '../../server/app/api-key.ts';
import { createTempDir } from '../support/temp-dir.ts';

describe('the key of the local administrator', () => {
  it('is made once, for this user only, and stays', async () => {
    await using temp = await createTempDir();
    const key = openLocalApiKey(temp.path);
    assert.match(key, /^[A-Za-z0-9_-]{32}$/);
    const path = join(temp.path, apiKeyFile);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(readFileSync(path, 'utf8'), `${key}\n`);
    assert.equal(openLocalApiKey(temp.path), key);
    assert.deepEqual(readdirSync(temp.path), [apiKeyFile]);
  });

  it('is made anew where a crash or a full disk left an empty file', async () => {
    await using temp = await createTempDir();
    writeFileSync(join(temp.path, apiKeyFile), '\n');
    const key = openLocalApiKey(temp.path);
    assert.match(key, /^[A-Za-z0-9_-]{32}$/);
    assert.equal(openLocalApiKey(temp.path), key);
  });
});
