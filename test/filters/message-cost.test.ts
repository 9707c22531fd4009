import assert from 'node:assert/strict';
import { base } from './bed/bad-filters.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { type AnyFilter, createInlinePipeline } from './bed/inline-pipeline.ts';
import { runCall } from './bed/run-call.ts';

const onMessages = (extra: object): AnyFilter =>
  ({
    ...base,
    ...{ id: 'test.m', type: 'inbound' },
    onRequestMessage: (message: string) => `${message}<`,
    onResponseMessage: (message: string) => `${message}>`,
    ...extra,
  }) as AnyFilter;

describe('message hooks of a filter that is ruled out', () => {
  it('are gone after the first message, so that the others cost nothing', async () => {
    const pipeline = await createInlinePipeline([onMessages({ match: { metadata: { on: true } } })]);
    const session = pipeline.open(createFakeCall({ kind: 'bidi_stream' }));
    await session?.inbound?.();
    assert.equal(await session?.requestMessage?.('a'), 'a');
    assert.equal(session?.requestMessage, undefined);
    assert.equal(await session?.responseMessage?.('a'), 'a');
    assert.equal(session?.responseMessage, undefined);
    session?.end?.({ code: 0, error: undefined, durationMs: 1, requestMessages: 1, responseMessages: 1 });
  });

  it('stay as long as one filter applies, also one that is decided with its first message', async () => {
    for (const extra of [{ match: { metadata: { on: true } } }, { type: 'outbound' }]) {
      const pipeline = await createInlinePipeline([onMessages(extra)]);
      const call = createFakeCall({ kind: 'bidi_stream', metadata: { on: '1' } });
      const { responses } = await runCall(pipeline, call, { requests: ['a', 'b'] });
      assert.deepEqual(responses, ['a<>', 'b<>']);
    }
  });
});
