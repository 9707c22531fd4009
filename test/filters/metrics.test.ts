import assert from 'node:assert/strict';
import { createFakeCall } from './bed/fake-call.ts';
import { createFilterFolders } from './bed/filter-folders.ts';
import { createMeterBook } from './bed/meter-book.ts';
import { runCall } from './bed/run-call.ts';

const duration = 'showrunner.filter.duration';

describe('metrics of filters', () => {
  it('time each filter by method and status, and none that a criterion left out', async () => {
    using book = createMeterBook();
    await using folders = await createFilterFolders();
    await folders.filter(
      'a',
      "failurePolicy: 'open', run: (call) => { if (call.peer === 'bad') throw new Error('x'); },",
    );
    await folders.filter('b', 'match: { metadata: { beside: true } }, run: () => {},');
    const engine = await folders.engine();
    await runCall(engine, createFakeCall());
    await runCall(engine, createFakeCall({ method: 'Put', peer: 'bad' }));
    const common = { filter: 'test.a', type: 'inbound' };
    assert.deepEqual(
      book.of(duration).map(({ attributes }) => attributes),
      [
        { ...common, method: '/test.Service/Get', status: 'ran' },
        { ...common, method: '/test.Service/Put', status: 'failed' },
      ],
    );
    assert.ok(book.of(duration).every(({ value }) => value > 0 && value < 10));
  });

  it('name so many methods and no others: not those without a handler, and none past the bound', async () => {
    using book = createMeterBook();
    await using folders = await createFilterFolders();
    await folders.filter('a', 'run: () => {},');
    const engine = await folders.engine();
    await runCall(engine, createFakeCall({ method: 'MadeUp', known: false }));
    for (let round = 0; round < 2; round++) {
      for (let n = 0; n < 250; n++) await runCall(engine, createFakeCall({ method: `M${n}` }));
      await folders.filter('a', `description: 'again ${round}', run: () => {},`);
      assert.equal((await engine.reload()).result, 'ok');
    }
    const methods = book.of(duration).map(({ attributes }) => attributes['method']);
    assert.deepEqual(
      [methods[0], methods[1], methods[200], methods[201]],
      ['other', '/test.Service/M0', '/test.Service/M199', 'other'],
    );
    assert.equal(new Set(methods).size, 201, 'the bound holds over sets of filters');
  });

  it('count reloads by what came of them, and filters that keep failing', async () => {
    using book = createMeterBook();
    await using folders = await createFilterFolders();
    await folders.filter('a', "failurePolicy: 'open', run: () => { throw new Error('x'); },");
    const engine = await folders.engine();
    for (let n = 0; n < 25; n++) await runCall(engine, createFakeCall());
    assert.deepEqual(
      book.of('showrunner.filter.quarantines').map(({ attributes }) => attributes),
      [{ filter: 'test.a' }],
    );
    assert.equal(book.of('showrunner.filter.failures').length, 20);
    await engine.reload();
    await folders.filter('a', 'run: 5,');
    await engine.reload();
    await folders.filter('a', 'run: () => {},');
    await engine.reload();
    assert.deepEqual(
      book.of('showrunner.filter.reloads').map(({ attributes }) => attributes['result']),
      ['unchanged', 'failed', 'ok'],
    );
  });
});
