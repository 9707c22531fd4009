import assert from 'node:assert/strict';
import { settledValue, waitUntil } from '../support/wait-until.ts';
import { EchoRequestSchema } from './fixtures/echo.ts';
import { startEcho } from './fixtures/echo-server.ts';
import { frameOf, openRawCall } from './fixtures/raw-call.ts';

const payload = new Uint8Array(10_000);

describe('rpc back-pressure', () => {
  it('stops pulling a generator whose reader pauses, and runs its finally when the reader leaves', async () => {
    let pulled = 0;
    let isFinished = false;
    let isAborted = false;
    await using echo = await startEcho({
      async *repeat(_request, { signal }) {
        try {
          for (;;) {
            pulled++;
            yield { payload };
          }
        } finally {
          isFinished = true;
          isAborted = signal.aborted;
        }
      },
    });
    await using raw = openRawCall(echo.server.address, '/test.echo.v1.EchoService/Repeat');
    raw.stream.pause();
    raw.stream.end(frameOf(EchoRequestSchema, {}));
    const held = await settledValue(() => pulled);
    assert.ok(held < 64, `a paused reader must hold few messages, the generator was pulled ${held} times`);
    assert.equal(isFinished, false);
    raw.stream.close();
    await waitUntil('the finally of the generator', () => isFinished);
    assert.equal(isAborted, true);
    await waitUntil('no call in flight', () => echo.server.stats().callsInFlight === 0);
  });

  it('goes on when a paused reader resumes', async () => {
    await using echo = await startEcho();
    await using raw = openRawCall(echo.server.address, '/test.echo.v1.EchoService/Repeat');
    raw.stream.pause();
    raw.stream.end(frameOf(EchoRequestSchema, { count: 200, payload }));
    await waitUntil('the call begins', () => echo.server.stats().callsInFlight === 1);
    let bytes = 0;
    raw.stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    raw.stream.resume();
    assert.equal((await raw.status)['grpc-status'], '0');
    assert.ok(bytes > 200 * payload.length);
  });

  it('runs the finally of a generator that waits for its next item when the caller leaves', async () => {
    let isFinished = false;
    await using echo = await startEcho({
      async *repeat(_request, { signal }) {
        try {
          yield {};
          await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
        } finally {
          isFinished = true;
        }
      },
    });
    for await (const _response of echo.client.repeat({})) break;
    await waitUntil('the finally of the generator', () => isFinished);
  });

  it('tells a hand-written iterator to return while it waits', async () => {
    let isReturned = false;
    const { promise: never, resolve: release } = Promise.withResolvers<IteratorResult<{ text: string }>>();
    let calls = 0;
    await using echo = await startEcho({
      repeat: () => ({
        [Symbol.asyncIterator]: () => ({
          next: () => (calls++ === 0 ? Promise.resolve({ done: false, value: { text: 'a' } }) : never),
          return: async () => {
            isReturned = true;
            release({ done: true, value: undefined });
            return { done: true, value: undefined };
          },
        }),
      }),
    });
    for await (const _response of echo.client.repeat({})) break;
    await waitUntil('return of the iterator', () => isReturned);
  });

  it('takes few requests ahead of a handler that does not pull', async () => {
    const { promise: mayPull, resolve: letPull } = Promise.withResolvers<void>();
    await using echo = await startEcho({
      async join(requests) {
        await mayPull;
        let index = 0;
        for await (const _request of requests) index++;
        return { index };
      },
    });
    let sent = 0;
    async function* requests() {
      for (; sent < 2_000; sent++) yield { payload };
    }
    const response = echo.client.join(requests());
    const ahead = await settledValue(() => sent);
    assert.ok(ahead < 200, `the client sent ${ahead} messages before the handler pulled one`);
    letPull();
    assert.equal((await response).index, 2_000);
  });

  it('stops pulling the responses of a bidirectional stream whose reader pauses', async () => {
    let pulled = 0;
    await using echo = await startEcho({
      async *chat() {
        for (;;) {
          pulled++;
          yield { payload };
        }
      },
    });
    await using raw = openRawCall(echo.server.address, '/test.echo.v1.EchoService/Chat');
    raw.stream.pause();
    raw.stream.write(frameOf(EchoRequestSchema, {}));
    const held = await settledValue(() => pulled);
    assert.ok(held < 64, `the generator was pulled ${held} times`);
  });
});
