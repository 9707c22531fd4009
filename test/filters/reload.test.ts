import assert from 'node:assert/strict';
import type { FilterEngine } from '../../plugins/engine/engine.ts';
import type { CallKind } from '../../server/core/call.ts';
import { Code } from '../../server/core/codes.ts';
import { waitUntil } from '../support/wait-until.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { createFilterFolders } from './bed/filter-folders.ts';
import { createLogBook } from './bed/log-book.ts';
import { runCall } from './bed/run-call.ts';

const answering = (text: string) => `run: () => ({ messages: ['${text}'] }),`;
/** Marks every message in both directions with its version, and counts its closing. */
const marking = (version: string) => `
  version: '${version}',
  open: () => '${version}',
  close: (state) => void (globalThis.closedVersions ??= []).push(state),
  onRequestMessage: (message, call, { state }) => message + '>' + state,
  onResponseMessage: (message, call, { state }) => message + '<' + state,`;

const shared = globalThis as { closedVersions?: string[] };

function closedVersions(): string[] {
  return shared.closedVersions ?? [];
}

async function answerOf(engine: FilterEngine): Promise<unknown> {
  return (await runCall(engine, createFakeCall())).responses[0];
}

describe('reload of filters', () => {
  beforeEach(() => {
    shared.closedVersions = [];
  });

  it('serves the new version after a change, and reports what it did', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', answering('one'));
    await folders.filter('gone', 'onEnd: () => {},');
    const engine = await folders.engine();
    assert.equal(await answerOf(engine), 'one');
    await folders.filter('a', answering('two'));
    await folders.filter('new', 'onEnd: () => {},');
    await folders.remove('gone');
    const report = await engine.reload();
    assert.equal(await answerOf(engine), 'two');
    const { result, added, replaced, removed, snapshotVersion, error } = report;
    assert.deepEqual(
      { result, added, replaced, removed, snapshotVersion, error },
      {
        ...{ result: 'ok', added: ['test.new'], replaced: ['test.a'], removed: ['test.gone'] },
        ...{ snapshotVersion: 2, error: undefined },
      },
    );
  });

  it('takes changes of other files in the folder, nested ones too', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', 'run: () => ({ messages: [text] }),', "import { text } from './lib/text.ts';");
    await folders.file('a/lib/text.ts', "import { word } from '../word.ts'; export const text = word + '!';");
    await folders.file('a/word.ts', "export const word: string = 'one';");
    const engine = await folders.engine();
    assert.equal(await answerOf(engine), 'one!');
    await folders.file('a/word.ts', "export const word: string = 'two';");
    assert.equal((await engine.reload()).result, 'ok');
    assert.equal(await answerOf(engine), 'two!');
  });

  it('keeps filters whose folder did not change, with their state', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', 'open: () => ({ calls: 0 }), run: (c, { state }) => ({ messages: [++state.calls] }),');
    await folders.filter('b', 'onEnd: () => {},');
    const engine = await folders.engine();
    assert.equal(await answerOf(engine), 1);
    await folders.filter('b', 'onEnd: () => {}, order: 5,');
    assert.deepEqual((await engine.reload()).replaced, ['test.b']);
    assert.equal(await answerOf(engine), 2);
    assert.equal((await engine.reload()).result, 'unchanged');
    assert.equal(engine.snapshot().version, 2);
  });

  const faults: [string, string, RegExp][] = [
    ['a syntax error', 'run: {{{', /filter\.ts/],
    ['an open that rejects', "open: () => Promise.reject(new Error('nope')), run: () => {},", /open failed: nope/],
    ['a wrong field', 'order: Infinity, run: () => {},', /order/],
    ['an id that is taken', "id: 'test.other', run: () => {},", /test\.other is defined by/],
  ];
  for (const [fault, fields, message] of faults) {
    it(`serves on with the whole old set after ${fault}, logs it once, and recovers`, async () => {
      await using folders = await createFilterFolders();
      const book = createLogBook();
      await folders.filter('a', answering('one'));
      await folders.filter('other', 'onEnd: () => {},');
      const engine = await folders.engine({ log: book.log });
      await folders.filter('a', fields);
      await folders.filter('other', `${marking('9.0.0')} order: 7,`);
      const report = await engine.reload();
      assert.equal(report.result, 'failed');
      assert.match(report.error?.message ?? '', message);
      assert.equal(await answerOf(engine), 'one');
      assert.equal(engine.snapshot().version, 1);
      assert.equal(engine.snapshot().filters.find(({ id }) => id === 'test.other')?.order, 0, 'all or nothing');
      assert.equal(book.of('filters not reloaded, the old set serves on').length, 1);
      await folders.filter('a', answering('three'));
      assert.equal((await engine.reload()).result, 'ok');
      assert.equal(await answerOf(engine), 'three<9.0.0', 'both changes are in');
    });
  }

  it('closes what a failed reload had opened', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', answering('one'));
    const engine = await folders.engine();
    await folders.filter('b', marking('1.0.0'));
    await folders.filter('c', "open: () => { throw new Error('late fault'); }, run: () => {},");
    assert.equal((await engine.reload()).result, 'failed');
    assert.deepEqual(closedVersions(), ['1.0.0']);
  });

  for (const kind of ['unary', 'client_stream', 'server_stream', 'bidi_stream'] as CallKind[]) {
    it(`keeps a ${kind} call on the set it began with, and closes that set after its last call`, async () => {
      await using folders = await createFilterFolders();
      await folders.filter('a', marking('1.0.0'));
      const engine = await folders.engine();
      const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const inFlight = gates.map((gate) =>
        runCall(engine, createFakeCall({ kind }), {
          requests: ['q1', 'q2'],
          endpoint: async (seen) => {
            await gate.promise;
            return seen;
          },
        }),
      );
      await folders.filter('a', marking('2.0.0'));
      assert.equal((await engine.reload()).result, 'ok');
      const fresh = await runCall(engine, createFakeCall({ kind }));
      assert.deepEqual(fresh.responses, ['request>2.0.0<2.0.0']);
      assert.deepEqual(closedVersions(), []);
      for (const [index, gate] of gates.entries()) {
        assert.deepEqual(closedVersions(), [], 'a call is still on it');
        gate.resolve();
        assert.deepEqual((await inFlight[index])?.responses, ['q1>1.0.0<1.0.0', 'q2>1.0.0<1.0.0']);
      }
      await waitUntil('the old version is closed', () => closedVersions().length === 1);
      assert.deepEqual(closedVersions(), ['1.0.0']);
      await engine.close();
      assert.deepEqual(closedVersions(), ['1.0.0', '2.0.0']);
    });
  }

  it('keeps a call in a waiting inbound filter on its set', async () => {
    await using folders = await createFilterFolders();
    const gate = Promise.withResolvers<void>();
    Object.assign(globalThis, { gateByTest: gate.promise });
    await folders.filter('a', 'order: -1, run: () => globalThis.gateByTest,');
    await folders.filter('b', answering('old'));
    const engine = await folders.engine();
    const waiting = runCall(engine, createFakeCall());
    await folders.remove('a');
    await folders.filter('b', answering('new'));
    await engine.reload();
    assert.equal(await answerOf(engine), 'new');
    gate.resolve();
    assert.deepEqual((await waiting).responses, ['old']);
  });

  it('loses no call in 30 reloads under calls of every kind', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', marking('0.0.0'));
    const engine = await folders.engine();
    let isOver = false;
    let calls = 0;
    const load = async (kind: CallKind) => {
      while (!isOver) {
        const { error, responses } = await runCall(engine, createFakeCall({ kind }), {
          endpoint: (seen) => new Promise((resolve) => setImmediate(() => resolve(seen))),
        });
        assert.equal(error, undefined);
        assert.match(String(responses[0]), /^request>(\d+)\.0\.0<\1\.0\.0$/, 'one version on both ways');
        calls++;
      }
    };
    const loads = (['unary', 'client_stream', 'server_stream', 'bidi_stream'] as const).map(load);
    for (let version = 1; version <= 30; version++) {
      await folders.filter('a', marking(`${version}.0.0`));
      assert.equal((await engine.reload()).result, 'ok');
    }
    isOver = true;
    await Promise.all(loads);
    await waitUntil('all old versions are closed', () => closedVersions().length === 30);
    assert.ok(calls > 100, `${calls} calls`);
    assert.equal(engine.snapshot().calls, 0);
  });

  it('keeps the old set when a required filter is removed', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('auth', answering('guard'));
    await folders.filter('b', 'onEnd: () => {},');
    const engine = await folders.engine({ required: ['test.auth'] });
    await folders.remove('auth');
    const report = await engine.reload();
    assert.equal(report.error?.reason, 'FILTER_MISSING');
    assert.equal(await answerOf(engine), 'guard');
  });

  it('takes a filter out of new calls and back in, also across a reload', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', answering('filtered'));
    await folders.filter('b', 'onEnd: () => {},');
    const engine = await folders.engine();
    engine.setDisabled('test.a', true);
    const call = createFakeCall();
    assert.deepEqual((await runCall(engine, call)).responses, ['request']);
    assert.equal(engine.explain(call.id)?.filters[0]?.status, 'disabled');
    await folders.filter('b', 'onEnd: () => {}, order: 3,');
    assert.equal((await engine.reload()).result, 'ok');
    assert.equal(await answerOf(engine), 'request');
    assert.deepEqual(
      engine.snapshot().filters.map(({ isDisabled }) => isDisabled),
      [true, false],
    );
    engine.setDisabled('test.a', false);
    assert.equal(await answerOf(engine), 'filtered');
    assert.throws(() => engine.setDisabled('test.nope', true), { code: Code.NOT_FOUND, reason: 'FILTER_NOT_FOUND' });
  });

  it('waits on close for the last call, and refuses calls that come later', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', marking('1.0.0'));
    const engine = await folders.engine();
    const gate = Promise.withResolvers<readonly unknown[]>();
    const running = runCall(engine, createFakeCall(), { endpoint: () => gate.promise });
    let isClosed = false;
    const closing = engine.close().then(() => {
      isClosed = true;
    });
    const { error } = await runCall(engine, createFakeCall());
    assert.deepEqual([error?.code, error?.reason], [Code.UNAVAILABLE, 'FILTERS_CLOSED']);
    assert.deepEqual([isClosed, closedVersions()], [false, []]);
    gate.resolve(['done']);
    assert.deepEqual((await running).responses, ['done<1.0.0']);
    await closing;
    assert.deepEqual(closedVersions(), ['1.0.0']);
    assert.equal((await engine.reload()).result, 'unchanged');
  });
});
