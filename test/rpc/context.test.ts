import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { waitUntil } from '../support/wait-until.ts';
import { startEcho } from './fixtures/echo-server.ts';

const storage = new AsyncLocalStorage<string>();

/** Opens every call in a context of its own, as the tracing hook does around grpc-js handlers. */
function contextPipeline() {
  let calls = 0;
  const open = () => {
    storage.enterWith(`call ${++calls}`);
    return undefined;
  };
  return { open };
}

describe('rpc async context', () => {
  it('keeps the context of the call in a unary handler and in every pull of streams', async () => {
    const seen: Record<string, Set<string | undefined>> = { echo: new Set(), repeat: new Set(), chat: new Set() };
    await using echo = await startEcho(
      {
        async echo() {
          await new Promise(setImmediate);
          seen['echo']?.add(storage.getStore());
          return {};
        },
        async *repeat() {
          // More than the transport buffers, so that pulls also follow a drain.
          for (let index = 0; index < 200; index++) {
            seen['repeat']?.add(storage.getStore());
            yield { index, payload: new Uint8Array(10_000) };
          }
        },
        async *chat(requests) {
          for await (const request of requests) {
            seen['chat']?.add(storage.getStore());
            yield { text: request.text };
          }
        },
      },
      { pipeline: contextPipeline() },
    );
    await echo.client.echo({});
    await Array.fromAsync(echo.client.repeat({}));
    async function* requests() {
      for (let i = 0; i < 50; i++) {
        yield {};
        if (i % 10 === 0) await new Promise(setImmediate);
      }
    }
    await Array.fromAsync(echo.client.chat(requests()));
    assert.deepEqual([...(seen['echo'] ?? [])], ['call 1']);
    assert.deepEqual([...(seen['repeat'] ?? [])], ['call 2']);
    assert.deepEqual([...(seen['chat'] ?? [])], ['call 3']);
  });

  it('runs the finally of an abandoned generator in the context of its call', async () => {
    let store: string | undefined;
    let isFinished = false;
    await using echo = await startEcho(
      {
        async *repeat() {
          try {
            for (;;) yield { payload: new Uint8Array(10_000) };
          } finally {
            store = storage.getStore();
            isFinished = true;
          }
        },
      },
      { pipeline: contextPipeline() },
    );
    for await (const _response of echo.client.repeat({})) break;
    await waitUntil('the finally', () => isFinished);
    assert.equal(store, 'call 1');
  });
});
