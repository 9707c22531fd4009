import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { Code } from '../../server/core/codes.ts';
import { createRpcClient } from '../../server/rpc/client.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { waitUntil } from '../support/wait-until.ts';
import { EchoService } from './fixtures/echo.ts';
import { startEcho } from './fixtures/echo-server.ts';
import { openRawCall } from './fixtures/raw-call.ts';
import { createRecordingPipeline } from './fixtures/recording-pipeline.ts';

describe('rpc server lifecycle', () => {
  it('binds a free port for port 0 and tells it', async () => {
    await using echo = await startEcho();
    assert.match(echo.server.address, /^127\.0\.0\.1:[1-9]\d+$/);
  });

  it('refuses a port that is taken with a sentence that helps', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const address = `127.0.0.1:${(other.address() as AddressInfo).port}`;
    const error = await rejectsWith(startEcho({}, { address }), Code.FAILED_PRECONDITION, 'ADDRESS_IN_USE');
    assert.match(error.message, new RegExp(`${address} is in use; .*SHOWRUNNER_ADDRESS`));
    other.close();
  });

  it('refuses an address that is not of this machine, and one that is no address', async () => {
    for (const address of ['192.0.2.1:7400', '127.0.0.1:99999', 'nowhere.invalid:1']) {
      await rejectsWith(startEcho({}, { address }), Code.FAILED_PRECONDITION, 'ADDRESS_UNUSABLE');
    }
  });

  it('lets a call in flight complete while it refuses new ones', async () => {
    const { promise: mayAnswer, resolve: answer } = Promise.withResolvers<void>();
    await using echo = await startEcho({
      async echo(request) {
        await mayAnswer;
        return { text: request.text };
      },
    });
    const inFlight = echo.client.echo({ text: 'kept' });
    await waitUntil('the call begins', () => echo.server.stats().callsInFlight === 1);
    let isClosed = false;
    const closing = echo.server.close().then(() => {
      isClosed = true;
    });
    const late = createRpcClient(EchoService, { address: echo.server.address });
    assert.equal((await rejectsWith(late.echo({}), Code.UNAVAILABLE, 'UNAVAILABLE')).code, Code.UNAVAILABLE);
    await rejectsWith(echo.client.echo({}), Code.UNAVAILABLE, 'UNAVAILABLE');
    assert.equal(isClosed, false);
    answer();
    assert.equal((await inFlight).text, 'kept');
    await closing;
    late.close();
  });

  it('aborts calls that outlast the drain timeout with SERVER_CLOSING, and ends each once', async () => {
    const pipeline = createRecordingPipeline();
    let reason: unknown;
    const { promise: never, resolve: release } = Promise.withResolvers<void>();
    await using echo = await startEcho(
      {
        async echo(_request, { signal }) {
          signal.addEventListener('abort', () => {
            reason = signal.reason;
          });
          await never;
          return {};
        },
        async *repeat() {
          yield { text: 'first' };
          await never;
        },
      },
      { drainTimeoutMs: 50, pipeline },
    );
    const unary = rejectsWith(echo.client.echo({}), Code.UNAVAILABLE, 'SERVER_CLOSING');
    const responses = echo.client.repeat({});
    assert.equal((await responses.next()).value?.text, 'first');
    const streamed = rejectsWith(responses.next(), Code.UNAVAILABLE, 'SERVER_CLOSING');
    await waitUntil('both calls', () => echo.server.stats().callsInFlight === 2);
    await echo.server.close();
    assert.equal((await unary).retryAfterMs, 1_000);
    await streamed;
    assert.equal((reason as { reason: string }).reason, 'SERVER_CLOSING');
    assert.equal(echo.server.stats().callsInFlight, 0);
    release();
    await waitUntil('outcomes', () => pipeline.outcomes.length === 2);
    assert.deepEqual(
      pipeline.outcomes.map(({ code }) => code),
      [Code.UNAVAILABLE, Code.UNAVAILABLE],
    );
  });

  it('waits as long as the one who closes it says, once', async () => {
    const { promise: never } = Promise.withResolvers<void>();
    await using echo = await startEcho({ echo: () => never.then(() => ({})) }, { drainTimeoutMs: 60_000 });
    const call = rejectsWith(echo.client.echo({}), Code.UNAVAILABLE, 'SERVER_CLOSING');
    await waitUntil('the call begins', () => echo.server.stats().callsInFlight === 1);
    await Promise.all([echo.server.close(20), echo.server.close()]);
    await call;
  });

  it('closes within its deadline though a paused reader holds a stream', async () => {
    await using echo = await startEcho({}, { drainTimeoutMs: 50 });
    const responses = echo.client.repeat({ count: 1_000_000, payload: new Uint8Array(10_000) });
    await responses.next();
    const started = performance.now();
    await echo.server.close();
    assert.ok(performance.now() - started < 20_000);
    assert.equal(echo.server.stats().callsInFlight, 0);
  });

  it('cuts the connections that are left when the drain timeout has passed', async () => {
    const { promise: never } = Promise.withResolvers<void>();
    await using echo = await startEcho({ echo: () => never.then(() => ({})) }, { drainTimeoutMs: 20 });
    await using raw = openRawCall(echo.server.address, '/test.echo.v1.EchoService/Join');
    await waitUntil('the call begins', () => echo.server.stats().callsInFlight === 1);
    // A reader that takes nothing keeps its stream, and so its connection, open.
    raw.stream.pause();
    await echo.server.close();
    await waitUntil('the connection is cut', () => raw.session.destroyed);
  });

  it('makes calls beyond the limit of a connection wait', async () => {
    const { promise: mayAnswer, resolve: answer } = Promise.withResolvers<void>();
    await using echo = await startEcho({ echo: () => mayAnswer.then(() => ({})) }, { maxStreamsPerConnection: 2 });
    // The limit is known to the client once the connection stands.
    await Array.fromAsync(echo.client.repeat({ count: 1 }));
    const calls = Array.from({ length: 5 }, () => echo.client.echo({}));
    await waitUntil('two calls', () => echo.server.stats().callsInFlight === 2);
    assert.equal(echo.server.stats().callsStarted, 3);
    answer();
    await Promise.all(calls);
    assert.equal(echo.server.stats().callsStarted, 6);
  });

  it('closes twice without harm and at once when nothing is in flight', async () => {
    await using echo = await startEcho({}, { drainTimeoutMs: 60_000 });
    await echo.client.echo({});
    const started = performance.now();
    await Promise.all([echo.server.close(), echo.server.close()]);
    assert.ok(performance.now() - started < 20_000, 'an idle connection must not hold up the close');
    await rejectsWith(echo.client.echo({}), Code.UNAVAILABLE, 'UNAVAILABLE');
  });

  it('counts calls', async () => {
    await using echo = await startEcho({ join: () => Promise.reject(new Error('x')) });
    await echo.client.echo({});
    async function* none() {}
    await assert.rejects(echo.client.join(none()));
    assert.deepEqual(echo.server.stats(), { callsInFlight: 0, callsStarted: 2, callsFailed: 1, heldBytes: 0 });
  });
});
