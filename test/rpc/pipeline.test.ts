import assert from 'node:assert/strict';
import { create } from '@bufbuild/protobuf';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { waitUntil } from '../support/wait-until.ts';
import type { EchoRequest } from './fixtures/echo.ts';
import { EchoResponseSchema } from './fixtures/echo.ts';
import { createRecordingLogger, type EchoFixture, startEcho } from './fixtures/echo-server.ts';
import { createRecordingPipeline } from './fixtures/recording-pipeline.ts';

async function* texts(...all: string[]) {
  for (const text of all) yield { text };
}

const refused = () => new AppError({ code: Code.PERMISSION_DENIED, reason: 'NO_ENTRY', message: 'no entry' });

/** Calls every kind once, in a fixed order. */
async function callEveryKind({ client }: EchoFixture): Promise<unknown[]> {
  const settle = (work: Promise<unknown>) => work.catch((error: AppError) => error.reason);
  return [
    await settle(client.echo({ text: 'a' }).then(({ text }) => text)),
    await settle(Array.fromAsync(client.repeat({ text: 'b', count: 2 }), ({ text }) => text)),
    await settle(client.join(texts('c', 'd')).then(({ text }) => text)),
    await settle(Array.fromAsync(client.chat(texts('e', 'f')), ({ text }) => text)),
  ];
}

describe('rpc pipeline', () => {
  for (const isAsync of [false, true]) {
    it(`runs every hook in order for every kind, ${isAsync ? 'asynchronously' : 'synchronously'}`, async () => {
      const pipeline = createRecordingPipeline({ isAsync });
      await using echo = await startEcho({}, { pipeline });
      assert.deepEqual(await callEveryKind(echo), ['a', ['b', 'b'], 'c,d', ['e', 'f']]);
      await waitUntil('four outcomes', () => pipeline.outcomes.length === 4);
      assert.deepEqual(pipeline.events, [
        ...['open Echo', 'inbound', 'request', 'response', 'outbound', 'end OK 1/1'],
        ...['open Repeat', 'inbound', 'request', 'response', 'response', 'outbound', 'end OK 1/2'],
        ...['open Join', 'inbound', 'request', 'request', 'response', 'outbound', 'end OK 2/1'],
        ...['open Chat', 'inbound', 'request', 'response', 'request', 'response', 'outbound', 'end OK 2/2'],
      ]);
      for (const { durationMs } of pipeline.outcomes) assert.ok(durationMs >= 0 && durationMs < 5_000);
    });

    it(`refuses every kind before its handler, ${isAsync ? 'asynchronously' : 'synchronously'}`, async () => {
      const pipeline = createRecordingPipeline({
        isAsync,
        inbound: () => {
          throw refused();
        },
      });
      let hasRun = false;
      await using echo = await startEcho(
        {
          async echo() {
            hasRun = true;
            return {};
          },
        },
        { pipeline },
      );
      assert.deepEqual(await callEveryKind(echo), ['NO_ENTRY', 'NO_ENTRY', 'NO_ENTRY', 'NO_ENTRY']);
      assert.equal(hasRun, false);
      const each = ['inbound', 'error NO_ENTRY', 'end PERMISSION_DENIED 0/0'];
      assert.deepEqual(
        pipeline.events,
        ['Echo', 'Repeat', 'Join', 'Chat'].flatMap((method) => [`open ${method}`, ...each]),
      );
    });

    it(`replaces messages both ways, ${isAsync ? 'asynchronously' : 'synchronously'}`, async () => {
      const pipeline = createRecordingPipeline({
        isAsync,
        requestMessage: (message) => ({ ...(message as EchoRequest), text: `<${(message as EchoRequest).text}` }),
        responseMessage: (message) => create(EchoResponseSchema, { text: `${(message as { text: string }).text}>` }),
      });
      await using echo = await startEcho({}, { pipeline });
      assert.deepEqual(await callEveryKind(echo), ['<a>', ['<b>', '<b>'], '<c,<d>', ['<e>', '<f>']]);
    });
  }

  it('answers in place of the endpoint with a static answer, which the response hooks see', async () => {
    const messages = [create(EchoResponseSchema, { text: 'static' })];
    const pipeline = createRecordingPipeline({ inbound: () => ({ messages }) });
    await using echo = await startEcho({}, { pipeline });
    assert.deepEqual(await callEveryKind(echo), ['static', ['static'], 'static', ['static']]);
    await waitUntil('four outcomes', () => pipeline.outcomes.length === 4);
    const each = ['inbound', 'response', 'outbound', 'end OK 0/1'];
    assert.deepEqual(
      pipeline.events,
      ['Echo', 'Repeat', 'Join', 'Chat'].flatMap((method) => [`open ${method}`, ...each]),
    );
  });

  it('refuses a static answer of two messages for a unary method', async () => {
    const two = [create(EchoResponseSchema), create(EchoResponseSchema)];
    const log = createRecordingLogger();
    await using echo = await startEcho(
      {},
      { log, pipeline: createRecordingPipeline({ inbound: () => ({ messages: two }) }) },
    );
    await rejectsWith(echo.client.echo({}), Code.INTERNAL, 'STATIC_ANSWER_INVALID');
    assert.equal(log.errors.length, 1);
  });

  it('lets outbound turn success into failure', async () => {
    const pipeline = createRecordingPipeline({
      outbound: () => {
        throw refused();
      },
    });
    await using echo = await startEcho({}, { pipeline });
    assert.deepEqual(await callEveryKind(echo), ['NO_ENTRY', 'NO_ENTRY', 'NO_ENTRY', 'NO_ENTRY']);
    assert.deepEqual(
      pipeline.events.filter((event) => event.startsWith('e')),
      [
        ...['error NO_ENTRY', 'end PERMISSION_DENIED 1/0', 'error NO_ENTRY', 'end PERMISSION_DENIED 1/2'],
        ...['error NO_ENTRY', 'end PERMISSION_DENIED 2/0', 'error NO_ENTRY', 'end PERMISSION_DENIED 2/2'],
      ],
    );
  });

  it('sends the error that the error hook put in place', async () => {
    const pipeline = createRecordingPipeline({ isAsync: true, error: refused });
    const log = createRecordingLogger();
    await using echo = await startEcho(
      {
        echo: () => Promise.reject(new Error('secret')),
        // biome-ignore lint/correctness/useYield: it fails before its first message.
        async *repeat() {
          throw new Error('secret');
        },
      },
      { pipeline, log },
    );
    await rejectsWith(echo.client.echo({}), Code.PERMISSION_DENIED, 'NO_ENTRY');
    await rejectsWith(echo.client.repeat({}).next(), Code.PERMISSION_DENIED, 'NO_ENTRY');
    assert.equal(pipeline.outcomes[0]?.error?.reason, 'NO_ENTRY');
    assert.equal(log.errors.length, 2, 'the cause is logged once per call');
  });

  it('ends a cancelled call once, with CANCELLED', async () => {
    const pipeline = createRecordingPipeline();
    await using echo = await startEcho({}, { pipeline });
    for await (const _response of echo.client.repeat({ count: 1_000_000 })) break;
    await waitUntil('an outcome', () => pipeline.outcomes.length === 1);
    await waitUntil('no call in flight', () => echo.server.stats().callsInFlight === 0);
    assert.equal(pipeline.outcomes[0]?.code, Code.CANCELLED);
    assert.equal(pipeline.outcomes.length, 1);
    assert.ok(pipeline.events.includes('error CALL_CANCELLED'));
  });

  it('ends a call whose request is too large, with the error that the caller saw', async () => {
    const pipeline = createRecordingPipeline();
    await using echo = await startEcho({}, { pipeline });
    async function* requests() {
      yield { payload: new Uint8Array(70_000) };
    }
    await rejectsWith(echo.client.join(requests()), Code.RESOURCE_EXHAUSTED, 'REQUEST_TOO_LARGE');
    await waitUntil('an outcome', () => pipeline.outcomes.length === 1);
    assert.equal(pipeline.outcomes[0]?.error?.reason, 'REQUEST_TOO_LARGE');
  });

  it('shows a call that is refused by a limit or its deadline to the pipeline, too', async () => {
    const pipeline = createRecordingPipeline();
    await using echo = await startEcho({}, { pipeline });
    const metadata = { 'x-large': 'x'.repeat(9_000) };
    await rejectsWith(echo.client.echo({}, { metadata }), Code.RESOURCE_EXHAUSTED, 'METADATA_TOO_LARGE');
    assert.deepEqual(pipeline.events, ['open Echo', 'error METADATA_TOO_LARGE', 'end RESOURCE_EXHAUSTED 0/0']);
  });

  it('survives a pipeline that fails to open, and hooks that throw where they must not', async () => {
    const log = createRecordingLogger();
    const fault = () => {
      throw new Error('filter fault');
    };
    const failing = {
      open: ({ method }: { method: string }) => (method === 'Repeat' ? fault() : { error: fault, end: fault }),
    };
    await using echo = await startEcho({ join: () => Promise.reject(refused()) }, { pipeline: failing, log });
    await rejectsWith(echo.client.repeat({}).next(), Code.INTERNAL, 'INTERNAL');
    assert.equal((await echo.client.echo({ text: 'x' })).text, 'x');
    await rejectsWith(echo.client.join(texts()), Code.PERMISSION_DENIED, 'NO_ENTRY');
    assert.deepEqual(
      log.errors.map(({ message }) => message),
      ['call failed', 'end hook failed', 'error hook failed', 'end hook failed'],
    );
  });

  it('runs a call bare when no filter matches it', async () => {
    await using echo = await startEcho({}, { pipeline: { open: () => undefined } });
    assert.deepEqual(await callEveryKind(echo), ['a', ['b', 'b'], 'c,d', ['e', 'f']]);
  });
});
