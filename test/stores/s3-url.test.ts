import assert from 'node:assert/strict';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { systemClock } from '../../server/core/clock.ts';
import { Code } from '../../server/core/codes.ts';
import { readConfig } from '../../server/core/config/read-config.ts';
import { silentLogger } from '../../server/core/log.ts';
import { openObjects } from '../../server/stores/objects/open-objects.ts';
import { parseS3Url } from '../../server/stores/objects/s3-url.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createTempDir } from '../support/temp-dir.ts';

describe('the URL of the object store', () => {
  it('names bucket and prefix, and leaves the rest to AWS', () => {
    const rest = { endpoint: undefined, region: undefined, pathStyle: false };
    assert.deepEqual(parseS3Url('s3://titles'), { bucket: 'titles', prefix: '', ...rest });
    assert.deepEqual(parseS3Url('s3://titles.eu/a/b%20c'), { bucket: 'titles.eu', prefix: 'a/b c/', ...rest });
    assert.deepEqual(parseS3Url('s3://titles/a//b/'), { bucket: 'titles', prefix: 'a/b/', ...rest });
  });

  it('names a server that is asked path-style unless it says otherwise, and a region', () => {
    const url = 's3://titles/x?endpoint=http://127.0.0.1:9000&region=eu-west-1';
    const expected = {
      bucket: 'titles',
      prefix: 'x/',
      endpoint: 'http://127.0.0.1:9000',
      region: 'eu-west-1',
      pathStyle: true,
    };
    assert.deepEqual(parseS3Url(url), expected);
    assert.deepEqual(parseS3Url(`${url}&pathStyle=false`), { ...expected, pathStyle: false });
  });

  it('refuses what it cannot read, credentials above all, and never repeats them', () => {
    const bad = [
      ...['https://titles/x', 's3://', 's3://ab', 's3://Titles_1', 's3://titles:9000/x', 's3://titles/x#part'],
      ...[
        's3://AKIA:hush-hush@titles/x',
        's3://titles/%ff',
        's3://titles/x?secret=hush-hush',
        's3://titles?region=a%20b',
      ],
      ...[
        's3://titles?endpoint=host:9000',
        's3://titles?endpoint=http://u:hush-hush@host',
        's3://titles?endpoint=http://h/p',
      ],
      ...['s3://titles?pathStyle=yes', `s3://titles/${'x/'.repeat(201)}`],
    ];
    for (const url of bad) {
      assert.throws(
        () => parseS3Url(url),
        (error: Error & { code?: number; reason?: string }) =>
          error.code === Code.INVALID_ARGUMENT &&
          error.reason === 'OBJECTS_URL_INVALID' &&
          !error.message.includes('hush'),
        url,
      );
    }
  });

  it('may name a folder; without one it is the state folder’s', async () => {
    await using dir = await createTempDir();
    const parts = { stateDir: join(dir.path, 'state'), clock: systemClock, log: silentLogger };
    for (const [url, folder] of [
      [undefined, join(dir.path, 'state/objects')],
      [pathToFileURL(join(dir.path, 'shared')).href, join(dir.path, 'shared')],
    ] as const) {
      const store = await openObjects({ url, ...parts });
      await store.put('a/b', Buffer.from('x'));
      assert.equal(await store.localPath('a/b'), join(folder, 'a/b'));
      await store.close();
    }
    for (const url of ['file://elsewhere/x', 's3://']) {
      await rejectsWith(openObjects({ url, ...parts }), Code.INVALID_ARGUMENT, 'OBJECTS_URL_INVALID');
    }
  });

  it('is read from the settings', () => {
    const url = 's3://titles/x';
    assert.equal(readConfig({ SHOWRUNNER_OBJECTS_URL: url }).OBJECTS_URL, url);
    assert.equal(readConfig({}).OBJECTS_URL, undefined);
    assert.throws(() => readConfig({ SHOWRUNNER_OBJECTS_URL: 'ftp://titles' }), /OBJECTS_URL/);
  });
});
