import assert from 'node:assert/strict';
import { createFilterFolders } from './bed/filter-folders.ts';

const config = `config: schema.shape({ word: schema.withDefault(schema.text(), 'no') }),
  open: (config, ctx) => { globalThis.openedBySelfTest = (globalThis.openedBySelfTest ?? 0) + 1; return config; },`;
const guard = `${config} run: (call, { state }) => {
    const word = call.requestMetadata.get('word');
    if (word === state.word) throw new AppError({ code: Code.PERMISSION_DENIED, reason: 'WORD', message: 'word' });
    call.responseHeaders.set('seen', word ?? 'nothing');
    if (word === 'answer') return { messages: [{ text: call.principal?.id }] };
  }, match: { metadata: { off: false } },`;
const head = "import { AppError, Code } from 'showrunner/filter';";

describe('self-tests of a filter', () => {
  it('pass when every case comes out as its author says', async () => {
    await using folders = await createFilterFolders();
    Object.assign(globalThis, { openedBySelfTest: 0 });
    await folders.filter(
      'a',
      `${guard} selfTest: [
        { name: 'lets through', expect: 'passes', headers: { seen: 'nothing' } },
        { name: 'refuses the word', call: { metadata: { word: 'no' } }, expect: { refuses: 'WORD' } },
        { name: 'refuses another word by configuration', config: { word: 'x' }, call: { metadata: { word: 'x' } }, expect: { refuses: 'WORD' } },
        { name: 'answers', call: { metadata: { word: 'answer' }, principal: { id: 'me' } }, expect: { answers: [{ text: 'me' }] }, principal: 'me' },
        { name: 'skips', call: { metadata: { off: '1', word: 'no' } }, expect: 'skips' },
      ],`,
      head,
    );
    const engine = await folders.engine();
    assert.equal(engine.snapshot().filters.length, 1);
    assert.equal(
      (globalThis as { openedBySelfTest?: number }).openedBySelfTest,
      6,
      'each on its own instance, then the one that serves',
    );
    assert.deepEqual(engine.snapshot().filters[0]?.counts.ran, 0);
  });

  it('try message hooks, whole bodies, trailers and error filters, too', async () => {
    await using folders = await createFilterFolders();
    await folders.filter(
      'messages',
      `onRequestMessage: (m) => { if (m.bad) throw new AppError({ code: Code.INVALID_ARGUMENT, reason: 'BAD', message: 'bad' }); },
      selfTest: [{ name: 'bad message', requests: [{}, { bad: true }], expect: { refuses: 'BAD' } }, { name: 'good', requests: [{}], expect: 'passes' }],`,
      head,
    );
    await folders.filter(
      'body',
      `onRequestBody: (all) => all.length > 2 ? { messages: [all.length] } : undefined,
      selfTest: [{ name: 'three', call: { kind: 'client_stream' }, requests: [1, 2, 3], expect: { answers: [3] } }, { name: 'one', expect: 'passes' }],`,
    );
    await folders.filter(
      'status',
      `onStatus: (call) => call.responseTrailers.set('x', '1'), selfTest: [{ name: 'trailer', expect: 'passes', trailers: { x: '1' } }],`,
    );
    await folders.filter(
      'error',
      `type: 'error', run: (call, ctx, error) => new AppError({ code: Code.ABORTED, reason: 'NOW_' + error.reason, message: 'x' }),
      selfTest: [{ name: 'renames', endpointError: { code: 5, reason: 'GONE' }, expect: { refuses: 'NOW_GONE' } }],`,
      head,
    );
    const engine = await folders.engine();
    assert.equal(engine.snapshot().filters.length, 4);
  });

  const faults: [string, RegExp][] = [
    ["{ name: 'x', expect: { refuses: 'WORD' } }", /self-test "x": expected refuses WORD, got passes/],
    ["{ name: 'x', call: { metadata: { word: 'no' } }, expect: 'passes' }", /expected passes, got refuses WORD/],
    [
      "{ name: 'x', call: { metadata: { word: 'answer' } }, expect: { answers: [1] } }",
      /expected answers 1 message\(s\), got answers/,
    ],
    [
      "{ name: 'x', expect: 'passes', headers: { seen: 'other' } }",
      /expected seen "other" in the headers, got "nothing"/,
    ],
    ["{ name: 'x', expect: 'passes', principal: 'ann' }", /expected principal ann, got none/],
    ["{ name: 'x', config: { word: 1 }, expect: 'passes' }", /config\.word: expected text/],
  ];
  for (const [test, message] of faults) {
    it(`fail the load: ${message.source}`, async () => {
      await using folders = await createFilterFolders();
      await folders.filter('a', `${guard} selfTest: [${test}],`, head);
      await assert.rejects(folders.engine(), message);
    });
  }

  it('hand messages of their types to hooks that declare them', async () => {
    await using folders = await createFilterFolders();
    const echo = new URL('../rpc/fixtures/echo.ts', import.meta.url).href;
    const fields = (word: string) => `
      messages: { request: EchoRequestSchema, response: EchoResponseSchema },
      onRequestMessage: (message) => { if (message.$typeName !== EchoRequestSchema.typeName) throw new Error('type'); },
      onResponseMessage: (message) => {
        if (message.$typeName !== EchoResponseSchema.typeName) throw new Error('type');
        if (message.text.length > 1) throw new AppError({ code: Code.ABORTED, reason: 'LONG', message: 'long' });
      },
      selfTest: [
        { name: 'short', requests: [{ text: 'a' }], expect: 'passes' },
        { name: 'long', requests: [{ text: 'abc' }], expect: { refuses: '${word}' } },
      ],`;
    const imports = `import { EchoRequestSchema, EchoResponseSchema } from '${echo}';
import { AppError, Code } from 'showrunner/filter';`;
    await folders.filter('a', fields('LONG'), imports);
    const engine = await folders.engine();
    await folders.filter('a', fields('SHORT'), imports);
    assert.match((await engine.reload()).error?.message ?? '', /expected refuses SHORT, got refuses LONG/);
  });

  it('that never end are ended, and a reload keeps the old set', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', 'run: () => {},');
    const engine = await folders.engine({ openTimeoutMs: 1000 });
    await folders.filter('a', "run: () => new Promise(() => {}), selfTest: [{ name: 'hangs', expect: 'passes' }],");
    const { result, error } = await engine.reload();
    assert.deepEqual([result, engine.snapshot().version], ['failed', 1]);
    assert.match(error?.message ?? '', /self-test "hangs": took over 1000 ms/);
  });
});
