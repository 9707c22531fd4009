import assert from 'node:assert/strict';
import { type Clock, systemClock } from '../../server/core/clock.ts';
import { Code } from '../../server/core/codes.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { waitUntil } from '../support/wait-until.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { createFilterFolders, type FilterFolders } from './bed/filter-folders.ts';
import { createLogBook, type LogBook } from './bed/log-book.ts';
import { runCall } from './bed/run-call.ts';
import { answerOf, refusedBy, sourceOf } from './bed/staged.ts';

const limits = { graceMs: 100, maxRestarts: 2, restartWindowMs: 60_000, pauseMs: 600, maxHeapMb: 24 };

async function startIsolated(folders: FilterFolders, fields: string, book?: LogBook, clock: Clock = systemClock) {
  await folders.filter(
    'a',
    `isolation: 'worker', ${fields}`,
    "import { AppError, Code } from 'showrunner/filter'; import { threadId } from 'node:worker_threads';",
  );
  return folders.engine({ workerLimits: limits, clock, ...(book === undefined ? {} : { log: book.log }) });
}

/** One that answers calls with `work` and does what the metadata says. */
const moody = `timeoutMs: 200, run: async (call) => {
  const mood = call.requestMetadata.get('mood');
  if (mood === 'loop') for (;;);
  if (mood === 'memory') { const hoard = []; for (;;) hoard.push(new Array(10_000).fill(hoard.length)); }
  if (mood === 'exit') process.exit(7);
  if (mood === 'throw') throw new Error('worker fault');
  if (mood === 'hang') await new Promise(() => {});
  if (mood === 'refuse') throw new AppError({ code: Code.RESOURCE_EXHAUSTED, reason: 'ENOUGH', message: 'enough', metadata: { a: '1' }, retryAfterMs: 5 });
  return { messages: ['from ' + (threadId > 0 ? 'worker' : 'server')] };
},`;

describe('a filter in a worker', () => {
  it('answers, refuses and changes its call as it would in the server', async () => {
    await using folders = await createFilterFolders();
    const engine = await startIsolated(folders, moody);
    assert.equal(await answerOf(engine), 'from worker');
    const { error } = await runCall(engine, createFakeCall({ metadata: { mood: 'refuse' } }));
    assert.deepEqual(
      [error?.code, error?.reason, error?.metadata, error?.retryAfterMs],
      [Code.RESOURCE_EXHAUSTED, 'ENOUGH', { a: '1' }, 5],
    );
    assert.equal(engine.admin.get('test.a').isolation, 'worker');

    await using changing = await createFilterFolders();
    const second = await startIsolated(
      changing,
      `run: (call) => {
      if (!call.principal.scopes.has('s')) throw new Error('no scope');
      call.principal = { ...call.principal, id: 'new' }; call.id = 'id-' + call.id;
      call.requestMetadata.delete('gone'); call.requestMetadata.set('b-bin', new Uint8Array([1, 2]));
      call.responseHeaders.append('h', '1'); call.responseHeaders.append('h', '2'); call.responseTrailers.set('t', call.path);
    },`,
    );
    const principal = { id: 'old', scopes: new Set(['s']), method: 'jwt' } as const;
    const call = createFakeCall({ principal, metadata: { gone: '1', stays: '2' } });
    const { id } = call;
    assert.equal((await runCall(second, call)).error, undefined);
    assert.deepEqual([call.principal?.id, call.principal?.scopes.has('s'), call.id], ['new', true, `id-${id}`]);
    assert.deepEqual(call.requestMetadata.keys(), ['stays', 'b-bin']);
    assert.deepEqual(call.requestMetadata.getBinary('b-bin'), new Uint8Array([1, 2]));
    assert.deepEqual([call.responseHeaders.getAll('h'), call.responseTrailers.get('t')], [['1', '2'], call.path]);
  });

  it('reads its configuration there, and shows it without secrets', async () => {
    await using folders = await createFilterFolders();
    await folders.filter(
      'a',
      `isolation: 'worker', config: schema.shape({ text: schema.text(), key: schema.secret(schema.text()) }),
      open: (config) => config.text + config.key.length, run: (call, { state }) => ({ messages: [state] }),`,
    );
    const engine = await folders.engine({ config: { 'test.a': { text: 'hi', key: 'secret' } } });
    assert.equal(await answerOf(engine), 'hi6');
    assert.deepEqual(engine.admin.get('test.a').config, { text: 'hi' });
    await assert.rejects(engine.admin.setConfig('test.a', { text: 5 }), /config\.text: expected text/);
    await engine.admin.setConfig('test.a', { text: 'ho', key: 'k' });
    assert.equal(await answerOf(engine), 'ho1');
  });

  for (const mood of ['loop', 'memory', 'exit']) {
    it(`costs only the calls that wait for it when it ends by ${mood}: the next one gets a new worker`, async () => {
      await using folders = await createFilterFolders();
      const book = createLogBook();
      const engine = await startIsolated(folders, `${moody} failurePolicy: 'closed',`, book);
      const bad = createFakeCall({ metadata: { mood } });
      const { error } = await runCall(engine, bad);
      const expected =
        mood === 'exit' || mood === 'memory' ? ['FILTER_FAILED', 'FILTER_TIMED_OUT'] : ['FILTER_TIMED_OUT'];
      assert.ok(expected.includes(error?.reason ?? ''), error?.reason);
      await waitUntil('the worker is ended', () => book.of('filter worker ended').length === 1);
      const text = { loop: /did not answer within 100 ms/, memory: /memory/, exit: /code 7/ }[mood];
      assert.match(String(book.of('filter worker ended')[0]?.['why']), text ?? /x/);
      await waitUntil('calls are served again', async () => (await answerOf(engine)) === 'from worker');
    });
  }

  it('is left alone when one run hangs but its thread is alive', async () => {
    await using folders = await createFilterFolders();
    const book = createLogBook();
    const clock = createFakeClock();
    const engine = await startIsolated(folders, `${moody} failurePolicy: 'open',`, book, clock);
    const run = async (mood: string) => (await runCall(engine, createFakeCall({ metadata: { mood } }))).responses[0];
    const hanging = run('hang');
    assert.deepEqual([await run('none'), await run('throw')], ['from worker', 'request']);
    await clock.advance(200);
    assert.equal(await hanging, 'request');
    // Behind the question whether it is alive: that has been answered, too.
    assert.equal(await answerOf(engine), 'from worker');
    await clock.advance(limits.graceMs);
    assert.equal(await answerOf(engine), 'from worker');
    assert.equal(book.of('filter worker ended').length, 0);
  });

  it('starts no more after too many ends until a pause is over', async () => {
    await using folders = await createFilterFolders();
    const book = createLogBook();
    const clock = createFakeClock();
    const engine = await startIsolated(folders, moody, book, clock);
    for (let i = 0; i < 6; i++) await runCall(engine, createFakeCall({ metadata: { mood: 'exit' } }));
    const ends = () => book.of('filter worker ended').length;
    await waitUntil('the first and two restarts have ended', () => ends() === 3);
    const { error } = await runCall(engine, createFakeCall());
    assert.equal(error?.reason, 'FILTER_FAILED');
    assert.match(String(error?.cause), /it ended 3 times within 60 s/);
    await clock.advance(limits.pauseMs);
    assert.equal(await answerOf(engine), 'from worker');
  });

  it('refuses what a worker cannot do', async () => {
    for (const [fields, message] of [
      ["isolation: 'worker', onEnd: () => {},", /onEnd: a filter in a worker has no other hook than run/],
      ["isolation: 'worker', type: 'outbound', run: () => {},", /only inbound filters run in a worker/],
      ["isolation: 'worker', run: () => {}, open: () => { throw new Error('in there'); },", /in there/],
    ] as const) {
      await using folders = await createFilterFolders();
      await folders.filter('a', fields);
      await assert.rejects(folders.engine(), message);
    }
    await using folders = await createFilterFolders();
    await folders.filter('a', "isolation: 'worker', run: () => ({ messages: [() => {}] }),");
    const engine = await folders.engine();
    assert.equal(
      (await runCall(engine, createFakeCall())).error?.reason,
      'FILTER_FAILED',
      'an answer that cannot cross',
    );
  });

  it('may be said by the operator: a staged source then never runs in the server', async () => {
    await using folders = await createFilterFolders();
    const engine = await folders.engine({ isolated: ['test.*'] });
    const head = "import { threadId } from 'node:worker_threads'; globalThis.importedIn = threadId;";
    const { group, filters } = await engine.admin.stage([
      sourceOf(
        'a',
        '1.0.0',
        "run: () => ({ messages: [threadId > 0] }), selfTest: [{ name: 'answers', expect: { answers: [true] } }],",
        head,
      ),
    ]);
    assert.equal(filters[0]?.isolation, 'worker');
    await engine.admin.promote(group, { stage: 'active', share: 0, principals: [] });
    assert.equal(await answerOf(engine), true);
    assert.equal('importedIn' in globalThis, false);
    await refusedBy('shape', engine.admin.stage([sourceOf('b', '1.0.0', 'onEnd: () => {},')]), /in a worker/);
  });
});
