import assert from 'node:assert/strict';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createFakeClock } from '../support/fake-clock.ts';
import { createFilterFolders } from './bed/filter-folders.ts';
import { createLogBook } from './bed/log-book.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const versions = 30;

/** Reloads a filter many times, and says what the log says of versions that stay. */
async function reloadMany(fields: (version: number) => string) {
  await using folders = await createFilterFolders();
  const clock = createFakeClock();
  const book = createLogBook();
  await folders.filter('a', fields(0));
  const engine = await folders.engine({ clock, log: book.log });
  for (let version = 1; version <= versions; version++) {
    await folders.filter('a', fields(version));
    assert.equal((await engine.reload()).result, 'ok');
  }
  for (let round = 0; round < 3; round++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve));
  }
  await clock.advance(31 * 60_000);
  await folders.filter('a', fields(versions + 1));
  await engine.reload();
  await engine.close();
  return book.of('closed versions of a filter are not collected');
}

describe('the watch for leaks of closed versions', () => {
  afterEach(() => {
    delete (globalThis as { leaked?: unknown }).leaked;
  });

  it('names a filter whose closed versions something still holds, once', async () => {
    const lines = await reloadMany(
      (version) => `version: '1.0.${version}', run: () => {},
        open: () => { const state = { big: new Array(10) }; (globalThis.leaked ??= []).push(state); return state; },`,
    );
    assert.equal(lines.length, 1);
    assert.equal(lines[0]?.['filter'], 'test.a');
    assert.ok(Number(lines[0]?.['versions']) >= versions - 1, JSON.stringify(lines[0]));
  });

  it('says nothing of versions that go', async () => {
    for (const open of ['open: () => ({ big: new Array(10) }),', '']) {
      assert.deepEqual(await reloadMany((version) => `version: '1.0.${version}', ${open} run: () => {},`), []);
    }
  });
});
