import assert from 'node:assert/strict';
import type { Call } from '../../server/core/call.ts';
import { Code } from '../../server/core/codes.ts';
import { droppedMessage } from '../../server/core/dropped-message.ts';
import { AppError } from '../../server/core/errors.ts';
import { asyncBoom, base, boom, type Ctx, inbound, type Run, statusOf } from './bed/bad-filters.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { type AnyFilter, createInlinePipeline } from './bed/inline-pipeline.ts';
import { createLogBook } from './bed/log-book.ts';
import { runCall } from './bed/run-call.ts';

describe('failure of a filter', () => {
  for (const [name, run] of [
    ['throws', boom],
    ['rejects', asyncBoom],
    ['throws a value that is no error', () => Promise.reject('text')],
  ] as const) {
    it(`refuses the call when a filter that fails closed ${name}`, async () => {
      const book = createLogBook();
      const pipeline = await createInlinePipeline([inbound(run)], { log: book.log });
      const call = createFakeCall();
      const { error, endpointSaw } = await runCall(pipeline, call);
      assert.deepEqual([error?.code, error?.reason], [Code.INTERNAL, 'FILTER_FAILED']);
      assert.deepEqual(error?.metadata, { filter: 'test.bad' });
      assert.ok(error?.cause !== undefined, 'the cause is kept for the log');
      assert.equal(endpointSaw, undefined);
      assert.equal(statusOf(pipeline, call), 'failed(threw)');
      assert.equal(pipeline.filters[0]?.counts.failed, 1);
      assert.equal(book.lines.length, 0, 'server/rpc logs INTERNAL errors; twice would be once too often');
    });

    it(`goes on without a filter that fails open when it ${name}, and logs it`, async () => {
      const book = createLogBook();
      const pipeline = await createInlinePipeline([inbound(run, 'open')], { log: book.log });
      const call = createFakeCall();
      const { error, endpointSaw } = await runCall(pipeline, call);
      assert.equal(error, undefined);
      assert.deepEqual(endpointSaw, ['request']);
      assert.equal(statusOf(pipeline, call), 'failed(threw)');
      assert.deepEqual(
        book.of('filter failed').map(({ filter, call_id }) => ({ filter, call_id })),
        [{ filter: 'test.bad', call_id: call.id }],
      );
    });
  }

  it('takes a thrown AppError as the verdict of the filter, under either policy', async () => {
    const verdict = new AppError({ code: Code.RESOURCE_EXHAUSTED, reason: 'ENOUGH', message: 'enough' });
    for (const policy of ['closed', 'open'] as const) {
      for (const run of [() => Promise.reject(verdict), () => assert.fail(verdict)]) {
        const pipeline = await createInlinePipeline([inbound(run, policy)]);
        const call = createFakeCall();
        assert.equal((await runCall(pipeline, call)).error, verdict);
        assert.equal(statusOf(pipeline, call), 'short_circuited(refused)');
        assert.equal(pipeline.filters[0]?.counts.failed, 0);
      }
    }
  });

  it('refuses a result of the wrong shape', async () => {
    const two = { messages: [1, 2] };
    for (const [result, kind] of [
      ['text', 'unary'],
      [{ messages: 'text' }, 'server_stream'],
      [null, 'unary'],
      [two, 'unary'],
      [two, 'client_stream'],
      [{ messages: [] }, 'unary'],
    ] as const) {
      const pipeline = await createInlinePipeline([inbound(() => result)]);
      const call = createFakeCall({ kind });
      assert.equal((await runCall(pipeline, call)).error?.reason, 'FILTER_FAILED', JSON.stringify(result));
      assert.equal(statusOf(pipeline, call), 'failed(bad_result)');
    }
    const open = await createInlinePipeline([inbound(() => 'text', 'open')]);
    assert.deepEqual((await runCall(open, createFakeCall())).endpointSaw, ['request']);
  });

  it('takes only the first of several settlements of a thenable', async () => {
    const twice: Run = () => ({
      // biome-ignore lint/suspicious/noThenProperty: the bad behaviour under test
      then: (onValue: (value: unknown) => void, onError: (error: unknown) => void) => {
        onValue(undefined);
        onValue({ messages: ['second'] });
        onError(new Error('third'));
      },
    });
    let after = 0;
    const next: AnyFilter = { ...base, order: 1, id: 'test.next', type: 'inbound', run: () => void after++ };
    const pipeline = await createInlinePipeline([inbound(twice), next]);
    const call = createFakeCall();
    const { error, responses } = await runCall(pipeline, call);
    assert.deepEqual([error, responses, after], [undefined, ['request'], 1]);
    assert.equal(statusOf(pipeline, call), 'ran()');
  });

  it('survives a thenable whose then throws', async () => {
    // biome-ignore lint/suspicious/noThenProperty: the bad behaviour under test
    const pipeline = await createInlinePipeline([inbound(() => ({ then: boom }))]);
    assert.equal((await runCall(pipeline, createFakeCall())).error?.reason, 'FILTER_FAILED');
    assert.equal(pipeline.filters[0]?.inFlight, 0);
  });

  it('goes by the policy when shouldRun throws', async () => {
    const closed = await createInlinePipeline([inbound(() => undefined, 'closed', { shouldRun: boom })]);
    assert.equal((await runCall(closed, createFakeCall())).error?.reason, 'FILTER_FAILED');
    const open = await createInlinePipeline([inbound(() => undefined, 'open', { shouldRun: boom })]);
    assert.equal((await runCall(open, createFakeCall())).error, undefined);
  });

  it('goes by the policy when a message hook fails', async () => {
    for (const hook of ['onRequestMessage', 'onResponseMessage']) {
      for (const run of [boom, asyncBoom]) {
        const closed = await createInlinePipeline([inbound(() => undefined, 'closed', { [hook]: run })]);
        assert.equal((await runCall(closed, createFakeCall())).error?.reason, 'FILTER_FAILED');
        const open = await createInlinePipeline([inbound(() => undefined, 'open', { [hook]: run })]);
        assert.deepEqual((await runCall(open, createFakeCall())).responses, ['request']);
      }
    }
  });

  it('turns success into failure when an outbound filter fails closed', async () => {
    const outbound: AnyFilter = { ...base, id: 'test.bad', type: 'outbound', run: asyncBoom };
    const pipeline = await createInlinePipeline([outbound]);
    assert.equal((await runCall(pipeline, createFakeCall())).error?.reason, 'FILTER_FAILED');
  });

  it('lets error filters see and replace the error, and keeps it when one of them fails', async () => {
    const original = new AppError({ code: Code.NOT_FOUND, reason: 'ORIGINAL', message: 'original' });
    const replaced = new AppError({ code: Code.ABORTED, reason: 'REPLACED', message: 'replaced' });
    const seen: string[] = [];
    const errorFilter = (id: string, order: number, run: (error: AppError) => unknown): AnyFilter => ({
      ...{ ...base, id, order, type: 'error' },
      run: (_call: Call, _ctx: Ctx, error: AppError) => {
        seen.push(`${id}:${error.reason}`);
        return run(error) as AppError;
      },
    });
    const pipeline = await createInlinePipeline([
      inbound(() => Promise.reject(original)),
      errorFilter('test.e1', 1, boom),
      errorFilter('test.e2', 2, asyncBoom),
      errorFilter('test.e3', 3, async () => replaced),
      errorFilter('test.e4', 4, () => 'not an error'),
      errorFilter('test.e5', 5, () => undefined),
    ]);
    const { error } = await runCall(pipeline, createFakeCall());
    assert.equal(error, replaced);
    assert.deepEqual(seen, [
      'test.e1:ORIGINAL',
      'test.e2:ORIGINAL',
      'test.e3:ORIGINAL',
      'test.e4:REPLACED',
      'test.e5:REPLACED',
    ]);
  });

  it('runs every end hook once, though others fail, and also for a refused call', async () => {
    const ended: string[] = [];
    const ending = (id: string, order: number, onEnd: () => unknown): AnyFilter => ({
      ...{ ...base, id, order, type: 'inbound' },
      onEnd: () => {
        ended.push(id);
        onEnd();
      },
    });
    const book = createLogBook();
    const pipeline = await createInlinePipeline(
      [
        ending('test.e1', -2, boom),
        ending('test.e2', -1, () => undefined),
        inbound(boom),
        ending('test.unreached', 1, () => undefined),
      ],
      { log: book.log },
    );
    const session = pipeline.open(createFakeCall());
    assert.throws(() => session?.inbound?.(), { reason: 'FILTER_FAILED' });
    const outcome = { code: Code.INTERNAL, error: undefined, durationMs: 1, requestMessages: 0, responseMessages: 0 };
    session?.end?.(outcome);
    session?.end?.(outcome);
    assert.deepEqual(ended, ['test.e1', 'test.e2']);
    assert.equal(book.of('filter failed').length, 1);
    assert.equal(pipeline.snapshot.calls(), 0);
  });

  it('logs at most one line a second per filter, with the number left out', async () => {
    const book = createLogBook();
    const pipeline = await createInlinePipeline([inbound(boom, 'open')], { log: book.log });
    for (let i = 0; i < 15; i++) await runCall(pipeline, createFakeCall());
    await pipeline.clock.advance(1000);
    await runCall(pipeline, createFakeCall());
    assert.deepEqual(
      book.of('filter failed').map((line) => line['left_out']),
      [0, 14],
    );
    assert.equal(pipeline.filters[0]?.counts.failed, 16);
  });

  it('is not disturbed by an author who changes the filter, its answer or its configuration afterwards', async () => {
    const messages = ['answer'];
    const filter = inbound(() => ({ messages })) as { order: number; run: unknown; id: string };
    let after = 0;
    const next: AnyFilter = { ...base, order: 1, id: 'test.next', type: 'inbound', run: () => void after++ };
    const pipeline = await createInlinePipeline([filter as AnyFilter, next]);
    filter.order = 99;
    filter.id = 'test.zzz';
    filter.run = boom;
    const session = pipeline.open(createFakeCall());
    const answer = await session?.inbound?.();
    messages.push('smuggled');
    assert.deepEqual(answer, { messages: ['answer'] });
    assert.ok(Object.isFrozen(Object.values(answer ?? {})[0]));
    assert.equal(after, 0);
  });
});

describe('a dropped message', () => {
  it('of a stream goes no further, whether a hook drops it at once or later', async () => {
    for (const isAsync of [false, true]) {
      const seen: unknown[] = [];
      const drop = (message: unknown) => (message === 2 ? droppedMessage : undefined);
      const hook = isAsync ? async (message: unknown) => drop(message) : drop;
      const pipeline = await createInlinePipeline([
        { ...base, id: 'test.drops', type: 'inbound', onRequestMessage: hook, onResponseMessage: hook },
        { ...base, id: 'test.sees', type: 'inbound', order: 1, onRequestMessage: (message) => void seen.push(message) },
      ]);
      const call = createFakeCall({ kind: 'bidi_stream' });
      const { endpointSaw, responses } = await runCall(pipeline, call, { requests: [1, 2, 3], endpoint: () => [2, 3] });
      assert.deepEqual([seen, endpointSaw, responses], [[1, 3], [1, 3], [3]]);
    }
  });

  it('that is the only one of its direction is a failure of the filter', async () => {
    const directions = { onRequestMessage: 'server_stream', onResponseMessage: 'client_stream' } as const;
    for (const [hook, single] of Object.entries(directions)) {
      for (const kind of ['unary', single] as const) {
        const pipeline = await createInlinePipeline([
          { ...base, id: 'test.bad', type: 'inbound', [hook]: () => droppedMessage },
        ]);
        const call = createFakeCall({ kind });
        const { error } = await runCall(pipeline, call);
        assert.equal(error?.reason, 'FILTER_FAILED');
        assert.equal(statusOf(pipeline, call), 'failed(bad_result)');
      }
    }
  });
});
