import assert from 'node:assert/strict';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { Code } from '../../server/core/codes.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { startManifestService } from './open-manifest.ts';

const bunny = {
  name: 'titles/big-buck-bunny',
  displayName: 'Big Buck Bunny',
  genres: ['animation'],
  regions: ['de', 'US'],
};

describe('titles', () => {
  it('are created once, whatever is repeated, and not under a name with other content', async () => {
    await using app = await startManifestService();
    const { title } = await app.client.createTitle({ title: bunny });
    assert.deepEqual(title?.regions, ['DE', 'US']);
    assert.equal(title.currentEncodeSet, '');
    assert.ok(title.etag !== '');
    await app.clock.advance(1_000);
    assert.deepEqual((await app.client.createTitle({ title: bunny })).title, title);
    assert.deepEqual((await app.client.getTitle({ name: bunny.name })).title, title);
    const other = app.client.createTitle({ title: { ...bunny, displayName: 'Another' } });
    await rejectsWith(other, Code.ALREADY_EXISTS, 'TITLE_EXISTS');
    await rejectsWith(app.client.getTitle({ name: 'titles/nope' }), Code.NOT_FOUND, 'TITLE_NOT_FOUND');
  });

  it('are listed in pages by name', async () => {
    await using app = await startManifestService();
    for (const id of ['c', 'a', 'e', 'b', 'd']) await app.client.createTitle({ title: { name: `titles/${id}` } });
    const names: string[] = [];
    let pageToken = '';
    do {
      const page = await app.client.listTitles({ pageSize: 2, pageToken });
      names.push(...page.titles.map(({ name }) => name));
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    assert.deepEqual(
      names,
      ['a', 'b', 'c', 'd', 'e'].map((id) => `titles/${id}`),
    );
  });

  it('change only in the fields of the mask', async () => {
    await using app = await startManifestService();
    await app.client.createTitle({ title: bunny });
    const change = { name: bunny.name, displayName: 'Rabbit', genres: ['comedy'], launchTime: timestampFromMs(1_000) };
    const update = async (title: object, paths: string[]) =>
      (await app.client.updateTitle({ title: { name: bunny.name, ...title }, updateMask: { paths } })).title;
    const named = await update(change, ['display_name']);
    assert.deepEqual([named?.displayName, named?.genres, named?.launchTime], ['Rabbit', ['animation'], undefined]);
    const populated = await update({ genres: ['comedy'] }, []);
    assert.deepEqual(
      [populated?.displayName, populated?.genres, populated?.regions],
      ['Rabbit', ['comedy'], ['DE', 'US']],
    );
    const cleared = await update({}, ['regions']);
    assert.deepEqual([cleared?.regions, cleared?.displayName], [[], 'Rabbit']);
    const replaced = await update({ launchTime: timestampFromMs(5_000) }, ['*']);
    assert.deepEqual([replaced?.displayName, replaced?.genres], ['', []]);
    assert.deepEqual(replaced?.launchTime, timestampFromMs(5_000));
    assert.equal((await update({}, ['launch_time']))?.launchTime, undefined);
  });

  it('refuse an update of an etag that is no longer theirs', async () => {
    await using app = await startManifestService();
    const { title } = await app.client.createTitle({ title: bunny });
    const update = (displayName: string, etag = '') =>
      app.client.updateTitle({ title: { name: bunny.name, displayName, etag } });
    const first = await update('One', title?.etag);
    assert.notEqual(first.title?.etag, title?.etag);
    await rejectsWith(update('Two', title?.etag), Code.ABORTED, 'ETAG_MISMATCH');
    await rejectsWith(update('Two', 'W/"made-up"'), Code.ABORTED, 'ETAG_MISMATCH');
    assert.equal((await update('Three')).title?.displayName, 'Three');
  });

  it('let one of many racing updates with the same etag win, and all without', async () => {
    await using app = await startManifestService();
    const { title } = await app.client.createTitle({ title: bunny });
    const update = (n: number, etag: string) =>
      app.client.updateTitle({ title: { name: bunny.name, displayName: `${n}`, etag } });
    const guarded = await Promise.allSettled(Array.from({ length: 8 }, (_, n) => update(n, title?.etag ?? '')));
    assert.equal(guarded.filter(({ status }) => status === 'fulfilled').length, 1);
    await Promise.all(Array.from({ length: 8 }, (_, n) => update(n, '')));
  });

  it('are refused with the faulty fields named', async () => {
    await using app = await startManifestService();
    await app.client.createTitle({ title: bunny });
    const { name } = bunny;
    const faults: [Promise<unknown>, string][] = [
      [app.client.createTitle({}), 'title'],
      [app.client.createTitle({ title: { name: 'titles/Upper' } }), 'title.name'],
      [app.client.createTitle({ title: { name: 'titles/' } }), 'title.name'],
      [app.client.createTitle({ title: { name: `titles/${'x'.repeat(64)}` } }), 'title.name'],
      [app.client.createTitle({ title: { name, displayName: 'x'.repeat(257) } }), 'title.display_name'],
      [app.client.createTitle({ title: { name, genres: [''] } }), 'title.genres'],
      [app.client.createTitle({ title: { name, regions: ['Germany'] } }), 'title.regions'],
      [app.client.createTitle({ title: { name, launchTime: { seconds: 0n, nanos: -1 } } }), 'title.launch_time'],
      [app.client.updateTitle({ title: { name }, updateMask: { paths: ['etag'] } }), 'update_mask'],
      [app.client.updateTitle({ title: { name }, updateMask: { paths: ['*', 'genres'] } }), 'update_mask'],
      [app.client.getTitle({ name: 'movies/a' }), 'name'],
      [app.client.listTitles({ pageSize: -5 }), 'page_size'],
      [app.client.listTitles({ pageToken: 'AAAA' }), 'page_token'],
    ];
    for (const [call, field] of faults) {
      const error = await rejectsWith(call, Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
      assert.deepEqual(
        error.fields.map((fault) => fault.field),
        [field],
      );
    }
  });
});
