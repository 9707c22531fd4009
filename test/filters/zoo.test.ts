import assert from 'node:assert/strict';
import { schema } from '../../plugins/engine/filter.ts';
import { Code } from '../../server/core/codes.ts';
import { asyncBoom, base, boom, inbound, never, statusOf } from './bed/bad-filters.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { createFilterFolders } from './bed/filter-folders.ts';
import { type AnyFilter, createInlinePipeline } from './bed/inline-pipeline.ts';
import { createLogBook } from './bed/log-book.ts';
import { runCall } from './bed/run-call.ts';

const bodyOf = (run: AnyFilter['onRequestBody'], extra: object = {}): AnyFilter =>
  ({ ...base, id: 'test.bad', type: 'inbound', onRequestBody: run, ...extra }) as AnyFilter;

describe('bad filters', () => {
  it('cannot settle a run twice: the first result counts', async () => {
    const twice = {
      // biome-ignore lint/suspicious/noThenProperty: the bad filter gives its own thenable
      then: (onValue: (value: unknown) => void, onError: (error: unknown) => void) => {
        onValue({ messages: ['first'] });
        onValue({ messages: ['second'] });
        onError(new Error('third'));
      },
    };
    const pipeline = await createInlinePipeline([inbound(() => twice)]);
    const call = createFakeCall();
    const { responses, error } = await runCall(pipeline, call);
    assert.deepEqual([responses, error], [['first'], undefined]);
    assert.equal(pipeline.filters[0]?.inFlight, 0);
    assert.equal(pipeline.filters[0]?.counts.answered, 1);
  });

  it('cannot change what is frozen: their configuration, the whole request, another filter’s answer', async () => {
    const config = schema.shape({ list: schema.list(schema.text()) });
    const mutate = inbound((_call, { config: given }) => (given as { list: string[] }).list.push('x'), 'closed', {
      config,
    });
    const pipeline = await createInlinePipeline([mutate], { config: { 'test.bad': { list: ['a'] } } });
    assert.equal((await runCall(pipeline, createFakeCall())).error?.reason, 'FILTER_FAILED');
    const body = await createInlinePipeline([bodyOf((messages) => void (messages as unknown[]).push('x'))]);
    assert.equal((await runCall(body, createFakeCall())).error?.reason, 'FILTER_FAILED');
  });

  it('may not put in the place of a message what is none, which is their failure', async () => {
    const message = { $typeName: 'test.Message', text: 'a' };
    const bytes = new Uint8Array([1]);
    const trap = Object.defineProperty({}, '$typeName', { get: boom });
    const rubbish = [
      true,
      5,
      'text',
      Symbol('x'),
      10n,
      null,
      [message],
      boom,
      bytes,
      { ...message, $typeName: 'test.Other' },
    ];
    for (const hook of ['onRequestMessage', 'onResponseMessage']) {
      for (const [carried, given] of [...[...rubbish, trap].map((one) => [message, one]), [bytes, message]]) {
        for (const result of [given, Promise.resolve(given)]) {
          const failurePolicy = { failurePolicy: 'open' } as const;
          const filter = {
            ...base,
            id: 'test.bad',
            type: 'inbound',
            ...failurePolicy,
            [hook]: () => result,
          } as AnyFilter;
          const pipeline = await createInlinePipeline([filter]);
          const call = createFakeCall();
          const { responses } = await runCall(pipeline, call, { requests: [carried] });
          assert.deepEqual([responses, statusOf(pipeline, call)], [[carried], 'failed(bad_result)']);
        }
      }
    }
    for (const [carried, given] of [
      [message, { text: 'b' }],
      [message, { ...message }],
      [{ text: 'b' }, message],
      [bytes, Buffer.from('x')],
    ]) {
      const filter = { ...base, id: 'test.bad', type: 'inbound', onRequestMessage: () => given } as AnyFilter;
      const pipeline = await createInlinePipeline([filter]);
      assert.deepEqual((await runCall(pipeline, createFakeCall(), { requests: [carried] })).responses, [given]);
    }
  });

  it('whose result throws when it is looked at fail by their policy', async () => {
    const answer = () => Object.defineProperty({}, 'messages', { get: boom });
    for (const run of [answer, async () => answer()]) {
      const pipeline = await createInlinePipeline([inbound(run, 'open')]);
      const call = createFakeCall();
      const { error, responses } = await runCall(pipeline, call);
      assert.deepEqual([error, responses, statusOf(pipeline, call)], [undefined, ['request'], 'failed(bad_result)']);
    }
  });

  it('whose criterion is asynchronous fail, and are not taken to apply', async () => {
    for (const shouldRun of [async () => false, asyncBoom]) {
      const pipeline = await createInlinePipeline([inbound(() => {}, 'open', { shouldRun })]);
      const call = createFakeCall();
      assert.deepEqual((await runCall(pipeline, call)).responses, ['request']);
      assert.equal(statusOf(pipeline, call), 'failed(threw)');
    }
    const isEnabled = async () => false;
    await assert.rejects(createInlinePipeline([inbound(() => {}, 'open', { isEnabled })]), /expected true or false/);
  });

  it('that never settle after a cancel are left behind, and the call ends at once', async () => {
    const pipeline = await createInlinePipeline([inbound(never)]);
    const call = createFakeCall();
    const running = runCall(pipeline, call);
    call.abort();
    assert.equal((await running).error?.reason, 'CALL_ABORTED');
    assert.deepEqual([pipeline.filters[0]?.inFlight, pipeline.snapshot.calls()], [0, 0]);
  });

  it('that hold the event loop are named, with the time', async () => {
    const book = createLogBook();
    await using folders = await createFilterFolders();
    await folders.filter(
      'busy',
      'run: () => { const end = performance.now() + 80; while (performance.now() < end); },',
    );
    await folders.filter(
      'async',
      'order: 1, run: async () => { const end = performance.now() + 80; while (performance.now() < end); },',
    );
    await folders.filter('quick', 'order: 2, run: async () => {},');
    const engine = await folders.engine({ log: book.log });
    await runCall(engine, createFakeCall());
    const blocks = book.of('filter held the event loop');
    assert.deepEqual(
      blocks.map(({ filter }) => filter),
      ['test.busy', 'test.async'],
    );
    assert.ok(Number(blocks[0]?.['held_ms']) >= 79);
    assert.deepEqual(
      engine.snapshot().filters.map(({ counts }) => counts.blocked),
      [1, 1, 0],
    );
  });

  it('are refused at load for a declaration that their hooks go beyond', async () => {
    const hook = () => {};
    for (const [fields, message] of [
      [{ needs: 'headers', onRequestMessage: hook }, /needs: its hooks need messages/],
      [{ needs: 'messages', onRequestBody: hook }, /needs: its hooks need body/],
      [{ needs: 'everything', run: hook }, /needs: expected one of headers, messages, body/],
      [{ type: 'outbound', onRequestBody: hook }, /onRequestBody: is for inbound and endpoint filters/],
      [{ run: hook, maxBodyBytes: 0 }, /maxBodyBytes/],
      [{ run: hook, selfTest: [{ name: 'x', expect: 'wins' }] }, /selfTest\[0\]\.expect/],
      [{ run: hook, selfTest: 'yes' }, /selfTest: expected a list/],
      [{ run: hook, description: '' }, /description/],
      [{ run: hook, isolation: 'process' }, /isolation: expected one of none, worker/],
    ] as const) {
      const bad = { ...base, id: 'test.bad', type: 'inbound', ...fields } as AnyFilter;
      await assert.rejects(createInlinePipeline([bad]), message);
    }
  });
});

describe('a filter that needs the whole request', () => {
  it('sees all messages as the message hooks left them, before the endpoint gets any', async () => {
    const seen: unknown[] = [];
    const order: string[] = [];
    const pipeline = await createInlinePipeline([
      { ...base, id: 'test.mark', type: 'inbound', onRequestMessage: (m: string) => `${m}!` } as AnyFilter,
      bodyOf((messages) => {
        order.push('body');
        seen.push(...messages);
      }),
    ]);
    const { endpointSaw, responses } = await runCall(pipeline, createFakeCall({ kind: 'client_stream' }), {
      requests: ['a', 'b'],
      endpoint: (requests) => {
        order.push('endpoint');
        return [requests.join()];
      },
    });
    assert.deepEqual(
      [seen, endpointSaw, responses, order],
      [['a!', 'b!'], ['a!', 'b!'], ['a!,b!'], ['body', 'endpoint']],
    );
  });

  it('may answer or refuse in place of the endpoint, and is bounded in bytes', async () => {
    const answer = await createInlinePipeline([bodyOf((messages) => ({ messages: [messages.length] }))]);
    const answered = await runCall(answer, createFakeCall(), { requests: ['x'] });
    assert.deepEqual([answered.responses, answered.endpointSaw], [[1], undefined]);
    const failing = await createInlinePipeline([
      bodyOf(() => Promise.reject(new Error('x')), { failurePolicy: 'open' }),
    ]);
    assert.deepEqual((await runCall(failing, createFakeCall())).responses, ['request']);
    const bounded = await createInlinePipeline([bodyOf(() => {}, { maxBodyBytes: 30 })]);
    const big = await runCall(bounded, createFakeCall({ kind: 'client_stream' }), {
      requests: ['x'.repeat(20), 'x'.repeat(20)],
    });
    assert.deepEqual([big.error?.code, big.error?.reason], [Code.RESOURCE_EXHAUSTED, 'BODY_TOO_LARGE']);
  });

  it('holds nothing of calls that it does not apply to, and of none without a handler', async () => {
    const pipeline = await createInlinePipeline([bodyOf(boom, { match: { metadata: { read: true } } })]);
    assert.deepEqual((await runCall(pipeline, createFakeCall())).responses, ['request']);
    assert.equal((await runCall(pipeline, createFakeCall({ metadata: { read: '1' } }))).error?.reason, 'FILTER_FAILED');
    const session = pipeline.open(createFakeCall({ known: false, metadata: { read: '1' } }));
    assert.equal(await session?.inbound?.(), undefined);
  });
});
