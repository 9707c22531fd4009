import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createTempDir } from '../support/temp-dir.ts';
import { createFilterFolders } from './bed/filter-folders.ts';
import { createLogBook } from './bed/log-book.ts';
import { answering, answerOf, sourceOf } from './bed/staged.ts';

describe('staged filters across a restart', () => {
  it('are there again: versions, trials, switches and configurations', async () => {
    await using folders = await createFilterFolders();
    await using state = await createTempDir();
    const stateDir = join(state.path, 'filters');
    const config = 'config: schema.shape({ text: schema.withDefault(schema.text(), "default") }),';
    await folders.filter('a', `${config} onRequestMessage: (m, call, { config }) => m + ' a ' + config.text,`);
    await folders.filter('b', "order: 1, onRequestMessage: (m) => m + ' b',");
    const first = await folders.engine({ stateDir });
    const active = await first.admin.stage([sourceOf('c', '1.0.0', "order: 2, onRequestMessage: (m) => m + ' c',")]);
    await first.admin.promote(active.group, { stage: 'active', share: 0, principals: [] });
    const trial = await first.admin.stage([sourceOf('c', '2.0.0', "order: 2, onRequestMessage: (m) => m + ' c2',")]);
    await first.admin.promote(trial.group, { stage: 'canary', share: 0.25, principals: ['p'] });
    const waiting = await first.admin.stage([sourceOf('d', '1.0.0', answering('d'))]);
    await first.admin.setConfig('test.a', { text: 'changed' });
    await first.admin.setDisabled('test.b', true);
    assert.equal(await answerOf(first), 'request a changed c');
    await first.close();

    const second = await folders.engine({ stateDir });
    assert.equal(await answerOf(second), 'request a changed c');
    const places = second.admin
      .list()
      .map(({ id, version, stage, share, group }) => [id, version, stage, share, group]);
    assert.deepEqual(places.filter(([id]) => id !== 'test.a' && id !== 'test.b').toSorted(), [
      ['test.c', '1.0.0', 'active', 0, active.group],
      ['test.c', '2.0.0', 'canary', 0.25, trial.group],
      ['test.d', '1.0.0', 'staged', 0, waiting.group],
    ]);
    assert.equal(second.admin.get('test.b').stage, 'disabled');
    await second.admin.rollback(active.group, '');
    await second.admin.setConfig('test.a', undefined);
    await second.close();

    const third = await folders.engine({ stateDir });
    assert.equal(await answerOf(third), 'request a default');
  });

  it('are set aside with the reason when they no longer pass, and the server starts', async () => {
    await using folders = await createFilterFolders();
    await using state = await createTempDir();
    await folders.filter('a', answering('folder'));
    const first = await folders.engine({ stateDir: state.path });
    const { group } = await first.admin.stage([sourceOf('a', '2.0.0', answering('staged'))]);
    await first.admin.promote(group, { stage: 'active', share: 0, principals: [] });
    await first.close();
    const file = join(state.path, `group-${group}.json`);
    assert.equal(JSON.parse(readFileSync(file, 'utf8')).stage, 'active');
    writeFileSync(file, readFileSync(file, 'utf8').replace('run: ()', 'run: {{{'));
    writeFileSync(join(state.path, 'group-torn.json'), '{"id":');
    writeFileSync(join(state.path, 'settings.json'), 'no json');
    const book = createLogBook();
    const second = await folders.engine({ stateDir: state.path, log: book.log });
    assert.equal(await answerOf(second), 'folder');
    assert.equal(book.of('stored filters set aside').length, 3);
    const aside = readdirSync(join(state.path, 'set-aside')).toSorted();
    assert.equal(aside.length, 6);
    assert.match(readFileSync(join(state.path, 'set-aside', `group-${group}.json.why.txt`), 'utf8'), /parse/);
    const past = second.admin.list({ includePast: true }).find(({ stage }) => stage === 'closed');
    assert.match(past?.explanation ?? '', /parse/);
    assert.ok(!existsSync(file));
  });

  it('drop a configuration that no longer fits its filter', async () => {
    await using folders = await createFilterFolders();
    await using state = await createTempDir();
    await folders.filter(
      'a',
      'run: (c, { config }) => ({ messages: [config.n] }), config: schema.shape({ n: schema.withDefault(schema.number(0, 9), 1) }),',
    );
    const first = await folders.engine({ stateDir: state.path });
    await first.admin.setConfig('test.a', { n: 7 });
    assert.equal(await answerOf(first), 7);
    await first.close();
    await folders.filter(
      'a',
      'run: (c, { config }) => ({ messages: [config.n] }), config: schema.shape({ n: schema.withDefault(schema.number(0, 5), 1) }),',
    );
    const second = await folders.engine({ stateDir: state.path });
    assert.equal(await answerOf(second), 1);
  });
});
