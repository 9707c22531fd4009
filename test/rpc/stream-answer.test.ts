import assert from 'node:assert/strict';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { StreamAnswer } from '../../server/core/call.ts';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { waitUntil } from '../support/wait-until.ts';
import { EchoRequestSchema, EchoResponseSchema } from './fixtures/echo.ts';
import { createRecordingLogger, type EchoFixture, type EchoImplementation, startEcho } from './fixtures/echo-server.ts';
import { createRecordingPipeline, type PipelineBehaviour } from './fixtures/recording-pipeline.ts';

async function* texts(...all: string[]) {
  for (const text of all) yield { text };
}

async function callEveryKind({ client }: EchoFixture): Promise<unknown[]> {
  const settle = (work: Promise<unknown>) => work.catch((error: AppError) => error.reason);
  return [
    await settle(client.echo({ text: 'a' }).then(({ text }) => text)),
    await settle(Array.fromAsync(client.repeat({ text: 'b', count: 2 }), ({ text }) => text)),
    await settle(client.join(texts('c', 'd')).then(({ text }) => text)),
    await settle(Array.fromAsync(client.chat(texts('e', 'f')), ({ text }) => text)),
  ];
}

/** Answers each request with its text in capitals, on bytes. */
const shout: StreamAnswer = {
  encoding: 'bytes',
  async *respond(requests) {
    for await (const bytes of requests as AsyncIterable<Uint8Array>) {
      const { text } = fromBinary(EchoRequestSchema, bytes);
      yield toBinary(EchoResponseSchema, create(EchoResponseSchema, { text: text.toUpperCase() }));
    }
  },
};

/** Hands the requests to the endpoint that it replaces. */
const passOn = (encoding: StreamAnswer['encoding']): StreamAnswer => ({
  encoding,
  respond: (requests, { local }) => local?.(requests) ?? assert.fail('no endpoint'),
});

function startWith(answer: StreamAnswer, behaviour: PipelineBehaviour = {}, own: Partial<EchoImplementation> = {}) {
  return startEcho(own, { pipeline: createRecordingPipeline({ ...behaviour, inbound: () => answer }) });
}

describe('an answer that streams', () => {
  it('replaces the endpoint of every kind, and refuses two messages where one is due', async () => {
    const pipeline = createRecordingPipeline({ inbound: () => shout });
    await using echo = await startEcho({}, { pipeline });
    assert.deepEqual(await callEveryKind(echo), ['A', ['B'], 'ANSWER_INVALID', ['E', 'F']]);
    await waitUntil('four outcomes', () => pipeline.outcomes.length === 4);
    assert.deepEqual(pipeline.events.slice(-7), [
      ...['open Chat', 'inbound', 'request', 'response', 'request', 'response', 'outbound', 'end OK 2/2'].slice(1),
    ]);
  });

  it('refuses an answer without a message where one is due', async () => {
    const log = createRecordingLogger();
    const none: StreamAnswer = { encoding: 'bytes', async *respond() {} };
    const pipeline = createRecordingPipeline({ inbound: () => none });
    await using echo = await startEcho({}, { log, pipeline });
    await rejectsWith(echo.client.echo({}), Code.INTERNAL, 'ANSWER_INVALID');
    assert.deepEqual(await Array.fromAsync(echo.client.repeat({})), []);
  });

  it('lets the message hooks of other filters see and replace messages, although it passes bytes', async () => {
    const requestMessage = (message: unknown) =>
      create(EchoRequestSchema, { text: `<${(message as { text: string }).text}` });
    const responseMessage = (message: unknown) =>
      create(EchoResponseSchema, { text: `${(message as { text: string }).text}>` });
    for (const isAsync of [false, true]) {
      await using echo = await startWith(shout, { isAsync, requestMessage, responseMessage });
      assert.deepEqual(await callEveryKind(echo), ['<A>', ['<B>'], 'ANSWER_INVALID', ['<E>', '<F>']]);
    }
  });

  for (const encoding of ['bytes', 'message'] as const) {
    it(`may call the endpoint that it replaces, of every kind, with ${encoding}`, async () => {
      await using echo = await startWith(passOn(encoding));
      assert.deepEqual(await callEveryKind(echo), ['a', ['b', 'b'], 'c,d', ['e', 'f']]);
    });
  }

  it('passes exactly one request on where one is due, and is read to its end', async () => {
    let isRead = false;
    const repeated = (times: number): StreamAnswer => ({
      encoding: 'message',
      respond: (requests, { local }) => {
        const passed = (async function* () {
          for await (const request of requests) for (let i = 0; i < times; i++) yield request;
          isRead = true;
        })();
        return local?.(passed) ?? assert.fail('no endpoint');
      },
    });
    await using echo = await startWith(repeated(1), {}, { echo: async () => ({ text: isRead ? 'all read' : 'left' }) });
    assert.equal((await echo.client.echo({})).text, 'all read');
    for (const times of [0, 2]) {
      await using wrong = await startWith(repeated(times));
      await rejectsWith(wrong.client.echo({}), Code.INTERNAL, 'ANSWER_INVALID');
    }
  });

  it('hears of a failure of the endpoint that it called', async () => {
    const failing = async () => {
      throw new AppError({ code: Code.NOT_FOUND, reason: 'NO_ITEM', message: 'none' });
    };
    const caught: StreamAnswer = {
      encoding: 'bytes',
      async *respond(requests, { local }) {
        try {
          yield* local?.(requests) ?? assert.fail('no endpoint');
        } catch (error) {
          const text = (error as AppError).reason;
          yield toBinary(EchoResponseSchema, create(EchoResponseSchema, { text }));
        }
      },
    };
    await using echo = await startWith(caught, {}, { echo: failing });
    assert.equal((await echo.client.echo({})).text, 'NO_ITEM');
  });

  it('sends headers before its first message when it says so, and trailers with its status', async () => {
    const { promise: mayAnswer, resolve: answerNow } = Promise.withResolvers<void>();
    const early: StreamAnswer = {
      encoding: 'message',
      async *respond(_requests, { call, sendHeaders }) {
        call.responseHeaders.set('x-early', 'yes');
        sendHeaders();
        await mayAnswer;
        yield { text: 'late' };
        call.responseTrailers.append('x-late', 'a');
        call.responseTrailers.append('x-late', 'b');
      },
    };
    await using echo = await startWith({
      ...early,
      respond: (requests, exchange) =>
        early.respond(requests, { call: exchange.call, sendHeaders: () => exchange.sendHeaders(), local: undefined }),
    });
    const header = Promise.withResolvers<string | undefined>();
    let trailer: readonly unknown[] = [];
    const responses = echo.client.chat(texts('x'), {
      onHeader: (metadata) => header.resolve(metadata.get('x-early')),
      onTrailer: (metadata) => {
        trailer = metadata.getAll('x-late');
      },
    });
    const all = Array.fromAsync(responses, ({ text }) => text);
    assert.equal(await header.promise, 'yes');
    answerNow();
    assert.deepEqual(await all, ['late']);
    assert.deepEqual(trailer, ['a, b']);
  });

  it('is told to return when the caller leaves', async () => {
    let isReturned = false;
    let isAborted = false;
    const endless: StreamAnswer = {
      encoding: 'message',
      async *respond(_requests, { call }) {
        try {
          for (;;) yield { text: 'again' };
        } finally {
          isReturned = true;
          isAborted = call.signal.aborted;
        }
      },
    };
    await using echo = await startWith(endless);
    for await (const _response of echo.client.repeat({})) break;
    await waitUntil('the answer returned', () => isReturned);
    assert.ok(isAborted);
    await waitUntil('no call in flight', () => echo.server.stats().callsInFlight === 0);
  });

  it('takes an unknown method as bytes, of every kind, and no plain messages', async () => {
    const pipeline = createRecordingPipeline({ inbound: () => shout });
    await using echo = await startEcho({}, { services: [], pipeline });
    assert.deepEqual((await callEveryKind(echo)).toSpliced(2, 1), ['A', ['B'], ['E', 'F']]);
    const log = createRecordingLogger();
    const plain = createRecordingPipeline({ inbound: () => passOn('message') });
    await using other = await startEcho({}, { services: [], pipeline: plain, log });
    await rejectsWith(other.client.echo({}), Code.INTERNAL, 'ANSWER_INVALID');
  });

  it('passes the status details of another server on as they are', async () => {
    const foreign = new Uint8Array([8, 5, 18, 3, 110, 111, 112]);
    const failing: StreamAnswer = {
      encoding: 'bytes',
      // biome-ignore lint/correctness/useYield: it fails before its first message
      async *respond() {
        throw new AppError({ code: Code.NOT_FOUND, reason: 'NOT_FOUND', message: 'nop', statusDetails: foreign });
      },
    };
    await using echo = await startWith(failing);
    let details: Uint8Array | undefined;
    const call = echo.client.echo(
      {},
      {
        onTrailer: (metadata) => {
          details = metadata.getBinary('grpc-status-details-bin');
        },
      },
    );
    await rejectsWith(call, Code.NOT_FOUND, 'NOT_FOUND');
    assert.deepEqual(Uint8Array.from(details ?? []), foreign);
  });
});
