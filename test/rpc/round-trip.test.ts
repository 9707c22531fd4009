import assert from 'node:assert/strict';
import { createRpcClient } from '../../server/rpc/client.ts';
import { EchoService } from './fixtures/echo.ts';
import { startEcho } from './fixtures/echo-server.ts';

async function* texts(...all: string[]) {
  for (const text of all) yield { text };
}

describe('rpc round trip', () => {
  it('answers a unary call', async () => {
    await using echo = await startEcho();
    const response = await echo.client.echo({ text: 'grüße', payload: new Uint8Array([0, 255]) });
    assert.equal(response.text, 'grüße');
    assert.deepEqual([...response.payload], [0, 255]);
    assert.equal(response.$typeName, 'test.echo.v1.EchoResponse');
  });

  it('streams every response of a server stream in order', async () => {
    await using echo = await startEcho();
    const indexes: number[] = [];
    for await (const response of echo.client.repeat({ text: 'x', count: 500 })) indexes.push(response.index);
    assert.deepEqual(
      indexes,
      Array.from({ length: 500 }, (_, index) => index),
    );
  });

  it('gives an empty server stream its end', async () => {
    await using echo = await startEcho();
    assert.deepEqual(await Array.fromAsync(echo.client.repeat({ count: 0 })), []);
  });

  it('takes every request of a client stream', async () => {
    await using echo = await startEcho();
    const response = await echo.client.join(texts('a', 'b', 'c'));
    assert.equal(response.text, 'a,b,c');
  });

  it('answers a client stream that half-closes at once', async () => {
    await using echo = await startEcho();
    assert.equal((await echo.client.join(texts())).index, 0);
  });

  it('answers each message of a bidirectional stream before the next is sent', async () => {
    await using echo = await startEcho();
    const { promise: secondMayGo, resolve: sendSecond } = Promise.withResolvers<void>();
    async function* requests() {
      yield { text: 'first' };
      await secondMayGo;
      yield { text: 'second' };
    }
    const seen: string[] = [];
    for await (const response of echo.client.chat(requests())) {
      seen.push(response.text);
      sendSecond();
    }
    assert.deepEqual(seen, ['first', 'second']);
  });

  it('goes on sending after the caller of a bidirectional stream has half-closed', async () => {
    await using echo = await startEcho({
      async *chat(requests) {
        let count = 0;
        for await (const _request of requests) count++;
        for (let index = 0; index < 100; index++) yield { text: String(count), index };
      },
    });
    const responses = await Array.fromAsync(echo.client.chat(texts('a', 'b')));
    assert.equal(responses.length, 100);
    assert.equal(responses[99]?.text, '2');
  });

  it('lets a client-stream handler answer before it has read everything', async () => {
    await using echo = await startEcho({
      async join(requests) {
        for await (const request of requests) return { text: request.text };
        return {};
      },
    });
    let isReturned = false;
    async function* endless() {
      try {
        for (let i = 0; ; i++) yield { text: String(i), payload: new Uint8Array(1_000) };
      } finally {
        isReturned = true;
      }
    }
    const response = await echo.client.join(endless());
    assert.equal(response.text, '0');
    assert.equal(isReturned, true, 'the request source must be told to return');
  });

  it('carries request metadata, response headers and trailers of every kind', async () => {
    await using echo = await startEcho({
      async echo(_request, { call }) {
        call.responseHeaders.set('x-header', call.requestMetadata.get('x-in') ?? '');
        call.responseTrailers.set('x-trailer-bin', call.requestMetadata.getBinary('y-bin') ?? new Uint8Array());
        return { text: [...call.requestMetadata.keys()].sort().join() };
      },
      async *repeat(_request, { call }) {
        call.responseHeaders.set('x-header', 'stream');
        yield {};
        call.responseTrailers.set('x-trailer', 'end');
      },
    });
    const seen: Record<string, unknown> = {};
    await echo.client.echo(
      {},
      {
        metadata: { 'x-in': 'in', 'y-bin': new Uint8Array([1, 2]) },
        onHeader: (header) => {
          seen['header'] = header.get('x-header');
        },
        onTrailer: (trailer) => {
          seen['trailer'] = trailer.getBinary('x-trailer-bin');
        },
      },
    );
    assert.equal(seen['header'], 'in');
    assert.deepEqual(seen['trailer'], Buffer.from([1, 2]));
    await Array.fromAsync(
      echo.client.repeat(
        {},
        {
          onHeader: (header) => {
            seen['streamHeader'] = header.get('x-header');
          },
          onTrailer: (trailer) => {
            seen['streamTrailer'] = trailer.get('x-trailer');
          },
        },
      ),
    );
    assert.equal(seen['streamHeader'], 'stream');
    assert.equal(seen['streamTrailer'], 'end');
  });

  it('tells the handler path, peer, deadline and a call id', async () => {
    let facts: readonly unknown[] = [];
    await using echo = await startEcho({
      async echo(_request, context) {
        const { call } = context;
        facts = [call.path, call.service, call.method, call.kind, call.known, call.id.length, context.principal];
        assert.match(call.peer, /^127\.0\.0\.1:\d+$/);
        assert.ok(context.deadline > Date.now() && context.deadline <= Date.now() + 5_000);
        return {};
      },
    });
    await echo.client.echo({}, { deadlineMs: 5_000 });
    const path = '/test.echo.v1.EchoService/Echo';
    assert.deepEqual(facts, [path, 'test.echo.v1.EchoService', 'Echo', 'unary', true, 22, undefined]);
  });

  it('sends the metadata of the client with every call', async () => {
    await using echo = await startEcho({
      echo: async (_request, { call }) => ({ text: call.requestMetadata.get('authorization') ?? '' }),
    });
    const client = createRpcClient(EchoService, {
      address: echo.server.address,
      metadata: { authorization: 'Bearer x' },
    });
    assert.equal((await client.echo({})).text, 'Bearer x');
    assert.equal((await client.echo({}, { metadata: { authorization: 'Bearer y' } })).text, 'Bearer y');
    client.close();
  });
});
