import assert from 'node:assert/strict';
import { create } from '@bufbuild/protobuf';
import { EmptySchema } from '@bufbuild/protobuf/wkt';
import { defineFilter, droppedMessage } from '../../plugins/engine/filter.ts';
import { checkFilter } from '../../plugins/engine/load/check-filter.ts';
import { AppError } from '../../server/core/errors.ts';
import { EchoRequestSchema, EchoResponseSchema } from '../rpc/fixtures/echo.ts';
import { startEcho } from '../rpc/fixtures/echo-server.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { type AnyFilter, createInlinePipeline } from './bed/inline-pipeline.ts';
import { runCall } from './bed/run-call.ts';

const base = { version: '1.0.0', order: 0, category: 'context', type: 'inbound' } as const;

/** A call of a method with these messages. */
const echoCall = (types: { readonly requestType?: string; readonly responseType?: string }) =>
  createFakeCall({ kind: 'bidi_stream', ...types });

// The compiler checks most of this file: each `@ts-expect-error` fails the type check when there is no error.
describe('types of messages', () => {
  it('give hooks the messages of the schemas, and take such messages back', async () => {
    const filter = defineFilter({
      ...base,
      id: 'test.typed',
      messages: { request: EchoRequestSchema, response: EchoResponseSchema },
      onRequestMessage: (message) => {
        const text: string = message.text;
        // @ts-expect-error no such field
        message.missing;
        return create(EchoRequestSchema, { ...message, text: `${text}>` });
      },
      onResponseMessage: async (message) => {
        message.text += '<';
        return message.text === 'b><' ? droppedMessage : undefined;
      },
      onRequestBody: (messages) => {
        const texts: string[] = messages.map(({ text }) => text);
        assert.ok(texts.every((text) => text.endsWith('>')));
      },
    });
    const pipeline = await createInlinePipeline([filter]);
    await using echo = await startEcho({}, { pipeline });
    assert.equal((await echo.client.echo({ text: 'x' })).text, 'x><');
    const given = (async function* () {
      for (const text of ['a', 'b', 'c']) yield { text };
    })();
    assert.deepEqual(
      (await Array.fromAsync(echo.client.chat(given))).map(({ text }) => text),
      ['a><', 'c><'],
    );
  });

  it('refuse hooks that give messages of another type, and leave untyped hooks as they were', () => {
    const id = 'test.types';
    const request = { messages: { request: EchoRequestSchema } };
    // @ts-expect-error another message
    defineFilter({ ...base, id, ...request, onRequestMessage: () => create(EmptySchema) });
    // @ts-expect-error text is no message
    defineFilter({ ...base, id, messages: { response: EchoResponseSchema }, onResponseMessage: () => 'text' });
    // @ts-expect-error a schema, not a name
    defineFilter({ ...base, id, messages: { request: 'EchoRequest' }, onRequestMessage: () => {} });
    defineFilter({
      ...base,
      id,
      messages: { response: EchoResponseSchema },
      // @ts-expect-error requests are of any type here
      onRequestMessage: (message) => void message.text,
      onResponseMessage: (message) => void message.text.length,
    });
    defineFilter<undefined, undefined, typeof EchoRequestSchema>({
      ...base,
      id,
      onRequestMessage: (message) => void message.text.length,
    });
    defineFilter({ ...base, id, onRequestMessage: () => 5, onResponseMessage: (message) => ({ ...Object(message) }) });
  });

  it('rule hooks out of methods with other messages, once per method, and the whole filter when no hook is left', async () => {
    const seen: string[] = [];
    const filters: AnyFilter[] = [
      {
        ...{ ...base, id: 'test.requests' },
        messages: { request: EchoRequestSchema },
        onRequestMessage: () => void seen.push('request'),
      },
      {
        ...{ ...base, id: 'test.both', order: 1 },
        messages: { request: EchoRequestSchema, response: EchoResponseSchema },
        run: () => void seen.push('run'),
        onRequestMessage: () => void seen.push('both request'),
        onResponseMessage: () => void seen.push('both response'),
      },
    ];
    const pipeline = await createInlinePipeline(filters);
    const statusesOf = async (method: string, types: Parameters<typeof echoCall>[0]) => {
      seen.length = 0;
      const call = { ...echoCall(types), method, path: `/test.Service/${method}` };
      await runCall(pipeline, call);
      const statuses = pipeline.explain(call.id).filters.map(({ status, detail }) => `${status} ${detail}`.trim());
      return [statuses, [...seen]];
    };
    const [request, response] = [EchoRequestSchema.typeName, EchoResponseSchema.typeName];
    assert.deepEqual(await statusesOf('A', { requestType: request, responseType: 'other.Answer' }), [
      ['ran', 'ran'],
      ['run', 'request', 'both request'],
    ]);
    assert.deepEqual(await statusesOf('B', { requestType: 'other.Question', responseType: response }), [
      ['skipped message_type', 'ran'],
      ['run', 'both response'],
    ]);
    assert.deepEqual(await statusesOf('Unknown', {}), [['skipped message_type', 'ran'], ['run']]);
    const other = echoCall({ requestType: 'other.Question' });
    const chain = pipeline.snapshot.chainFor({ ...other, path: '/test.Service/C' });
    assert.deepEqual([chain.requestMessage, chain.responseMessage], [[], []]);
  });

  it('are checked when the filter is loaded', () => {
    const faultsOf = (fields: object) => {
      try {
        checkFilter({ ...base, id: 'test.checked', ...fields }, 'x');
      } catch (error) {
        assert.ok(error instanceof AppError);
        return error.fields.map(({ field }) => field);
      }
      return [];
    };
    const hooks = { onRequestMessage: () => {}, onResponseMessage: () => {} };
    assert.deepEqual(faultsOf({ ...hooks, messages: { request: EchoRequestSchema, response: EmptySchema } }), []);
    assert.deepEqual(faultsOf({ ...hooks, messages: { request: 'EchoRequest' } }), ['messages.request']);
    assert.deepEqual(faultsOf({ ...hooks, messages: { response: { kind: 'enum', typeName: 'x' } } }), [
      'messages.response',
    ]);
    assert.deepEqual(faultsOf({ ...hooks, messages: { requests: EchoRequestSchema } }).length, 1);
    assert.deepEqual(faultsOf({ run: () => {}, messages: { request: EchoRequestSchema, response: EmptySchema } }), [
      'messages.request',
      'messages.response',
    ]);
  });
});
