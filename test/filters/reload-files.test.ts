import assert from 'node:assert/strict';
import { createFakeClock } from '../support/fake-clock.ts';
import { waitUntil } from '../support/wait-until.ts';
import { createFilterFolders } from './bed/filter-folders.ts';
import { createLogBook } from './bed/log-book.ts';
import { answering, answerOf } from './bed/staged.ts';

// The clock of these tests runs ahead of the thread that imports.
const openTimeoutMs = 1e9;

describe('files that change under a server', () => {
  for (const [what, head] of [
    ['loops', 'for (;;);'],
    ['ends the process', 'process.exit(3);'],
    ['ends the process a little later', 'await new Promise((resolve) => setTimeout(resolve, 5)); process.exit(3);'],
    ['fills the heap', 'const hoard = []; for (;;) hoard.push(new Array(10_000).fill(hoard.length));'],
  ] as const) {
    it(`keeps the old set when a file ${what} at its top level, and takes the next that does not`, async () => {
      await using folders = await createFilterFolders();
      await folders.filter('a', answering('one'));
      const engine = await folders.engine({ openTimeoutMs: 3_000 });
      await folders.filter('a', answering('two'), head);
      const failing = engine.reload();
      assert.equal(await answerOf(engine), 'one');
      const { result, error } = await failing;
      assert.deepEqual([result, error?.reason], ['failed', 'FILTER_LOAD_FAILED']);
      assert.equal(await answerOf(engine), 'one');
      await folders.filter('a', answering('three'));
      assert.equal((await engine.reload()).result, 'ok');
      assert.equal(await answerOf(engine), 'three');
    });
  }

  it('is not stopped by what an earlier file left behind in the thread that imports first', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', answering('one'));
    const engine = await folders.engine();
    await folders.filter(
      'a',
      answering('two'),
      "import { isMainThread } from 'node:worker_threads'; if (!isMainThread) setImmediate(() => setImmediate(() => process.exit(3)));",
    );
    await folders.filter('b', 'order: 1, onEnd: () => {},', 'await new Promise((resolve) => setTimeout(resolve, 50));');
    assert.deepEqual((await engine.reload()).error, undefined);
    assert.equal(await answerOf(engine), 'two');
  });

  it('may read the environment at their top level, as at the start, unless the operator isolates filters', async () => {
    const head = "if (process.env['PATH'] === undefined) throw new Error('no environment');";
    for (const isolated of [[], ['other.*']]) {
      await using folders = await createFilterFolders();
      await folders.filter('a', answering('one'), head);
      const engine = await folders.engine({ isolated });
      await folders.filter('a', answering('two'), head);
      assert.equal((await engine.reload()).result, isolated.length === 0 ? 'ok' : 'failed');
    }
  });

  for (const [what, head, reason] of [
    ['loops', 'for (;;);', /import took over 3000 ms/],
    ['ends the process', 'process.exit(3);', /code 3/],
  ] as const) {
    it(`fails the start when a file outside the trusted folders ${what} at its top level`, async () => {
      await using folders = await createFilterFolders();
      await folders.filter('a', answering('one'), head);
      await assert.rejects(folders.engine({ trustedDirs: [], openTimeoutMs: 3_000 }), reason);
    });
  }

  it('starts with files outside the trusted folders, isolated ones never in the thread of the server', async () => {
    await using folders = await createFilterFolders();
    const head = "import { threadId } from 'node:worker_threads'; globalThis.importedAtStart = threadId;";
    await folders.filter('told', 'run: () => ({ messages: [threadId > 0] }),', head);
    const engine = await folders.engine({ trustedDirs: [], isolated: ['test.told'] });
    assert.equal(await answerOf(engine), true);
    assert.equal('importedAtStart' in globalThis, false);
  });

  it('never runs a file of an isolated filter in the thread of the server', async () => {
    await using folders = await createFilterFolders();
    const engine = await folders.engine({ isolated: ['test.told'] });
    const head = "import { threadId } from 'node:worker_threads'; globalThis.importedIn = threadId;";
    const run = 'run: () => ({ messages: [threadId > 0] }),';
    await folders.filter('told', run, head);
    assert.equal((await engine.reload()).result, 'ok');
    assert.equal(await answerOf(engine), true);
    await folders.remove('told');
    await folders.filter('own', `isolation: 'worker', ${run}`, head);
    assert.equal((await engine.reload()).result, 'ok');
    assert.equal(await answerOf(engine), true);
    assert.equal('importedIn' in globalThis, false);
  });

  it('reloads by itself when a watched folder changes, once for a burst of writes', async () => {
    await using folders = await createFilterFolders();
    const clock = createFakeClock();
    await folders.filter('a', answering('one'));
    const engine = await folders.engine({ watch: true, debounceMs: 200, clock, openTimeoutMs });
    for (let i = 0; i < 5; i++) await folders.filter('a', answering(`draft ${i}`));
    await folders.filter('a', answering('two'));
    await waitUntil('the change is seen', () => clock.waiting > 0);
    await clock.advance(199);
    assert.equal(await answerOf(engine), 'one', 'it is quiet for a while first');
    await waitUntil('the change is served', async () => {
      await clock.advance(200);
      return (await answerOf(engine)) === 'two';
    });
    assert.equal(engine.snapshot().version, 2);
    await folders.filter('extra', 'onEnd: () => {},');
    await waitUntil('a new folder is served', async () => {
      await clock.advance(200);
      return engine.snapshot().filters.length === 2;
    });
  });

  it('logs a bad watched change once, however often its file is touched', async () => {
    await using folders = await createFilterFolders();
    const book = createLogBook();
    const clock = createFakeClock();
    await folders.filter('a', answering('one'));
    const engine = await folders.engine({ watch: true, debounceMs: 200, clock, openTimeoutMs, log: book.log });
    const failures = () => book.of('filters not reloaded, the old set serves on').length;
    for (let i = 1; i <= 3; i++) {
      await folders.filter('a', 'run: {{{');
      await waitUntil('the change is seen', () => clock.waiting > 0);
      await waitUntil('the change is tried', async () => {
        await clock.advance(200);
        return failures() > 0;
      });
    }
    await folders.filter('a', answering('two'));
    await waitUntil('it recovers', async () => {
      await clock.advance(200);
      return (await answerOf(engine)) === 'two';
    });
    assert.equal(failures(), 1);
  });
});
