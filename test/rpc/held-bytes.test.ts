import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientHttp2Stream, connect, constants } from 'node:http2';
import { waitUntil } from '../support/wait-until.ts';
import { EchoRequestSchema } from './fixtures/echo.ts';
import { startEcho } from './fixtures/echo-server.ts';
import { frame, frameOf } from './fixtures/raw-call.ts';

const messageBytes = 200_000;
/** Room for four messages. */
const limits = { maxMessageBytes: 1_048_576, maxHeldBytes: 900_000 };
const calls = 10;

/** A caller on a connection of its own; `windowBytes`: what it takes of each answer. */
function openCaller(address: string, windowBytes: number) {
  const session = connect(`http://${address}`, { settings: { initialWindowSize: windowBytes } });
  session.on('error', () => {});
  const streams: ClientHttp2Stream[] = [];
  return {
    streams,
    call: (method: string) => {
      const stream = session.request({
        ':method': 'POST',
        ':path': `/test.echo.v1.EchoService/${method}`,
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      stream.on('error', () => {});
      streams.push(stream);
      return stream;
    },
    cut: () => streams.map((stream) => stream.rstCode === constants.NGHTTP2_ENHANCE_YOUR_CALM),
    [Symbol.asyncDispose]: async () => {
      if (session.destroyed) return;
      const isClosed = once(session, 'close');
      session.destroy();
      await isClosed;
    },
  };
}

/** Of ten calls the oldest six were cut. */
const oldestSix = Array.from({ length: calls }, (_, index) => index < 6);

describe('what a server holds for slow callers', () => {
  it('is bounded for answers that nobody takes: the oldest calls of the connection that holds most are cut', async () => {
    await using echo = await startEcho({ echo: async () => ({ payload: new Uint8Array(messageBytes) }) }, limits);
    await using fair = openCaller(echo.server.address, 0);
    fair.call('Echo').end(frameOf(EchoRequestSchema, {}));
    await waitUntil('the first is held', () => echo.server.stats().heldBytes > 0);

    await using caller = openCaller(echo.server.address, 0);
    for (let call = 0; call < calls; call++) {
      caller.call('Echo').end(frameOf(EchoRequestSchema, {}));
      await waitUntil('the call was taken', () => echo.server.stats().callsStarted === call + 2);
    }
    await waitUntil('calls are cut', () => caller.cut().filter(Boolean).length >= 7);
    assert.deepEqual(fair.cut(), [false], 'whoever holds less keeps its call');
    assert.ok(echo.server.stats().heldBytes <= limits.maxHeldBytes);
    assert.equal((await echo.client.echo({})).payload.byteLength, messageBytes);
    await caller[Symbol.asyncDispose]();
    await fair[Symbol.asyncDispose]();
    await waitUntil('all is let go', () => echo.server.stats().heldBytes === 0);
  });

  for (const method of ['Echo', 'Join']) {
    it(`is bounded for requests of ${method} whose rest does not come`, async () => {
      await using echo = await startEcho({}, limits);
      await using caller = openCaller(echo.server.address, 65_535);
      const whole = frame(new Uint8Array(messageBytes + 10_000));
      for (let call = 0; call < calls; call++) {
        const before = echo.server.stats().heldBytes;
        caller.call(method).write(whole.subarray(0, messageBytes));
        const isHeld = () => call >= 4 || echo.server.stats().heldBytes >= before + 0.9 * messageBytes;
        await waitUntil('it is held', isHeld);
        await waitUntil('older ones are cut', () => caller.cut().filter(Boolean).length >= call - 3);
      }
      assert.deepEqual(caller.cut(), oldestSix);
      assert.ok(echo.server.stats().heldBytes <= limits.maxHeldBytes);
      assert.equal(
        (await echo.client.echo({ payload: new Uint8Array(messageBytes) })).payload.byteLength,
        messageBytes,
      );
      for (const stream of caller.streams) if (!stream.closed) stream.end(whole.subarray(messageBytes));
      await waitUntil('all is let go', () => echo.server.stats().heldBytes === 0);
    });
  }

  it('is nothing for callers that take and send at once, however many', async () => {
    await using echo = await startEcho({}, limits);
    const payload = new Uint8Array(messageBytes);
    const sizes = Array.from({ length: 20 }, async () => (await echo.client.echo({ payload })).payload.byteLength);
    for (let at = 0; at < sizes.length; at++) assert.equal(await sizes[at], messageBytes);
    await waitUntil('all is let go', () => echo.server.stats().heldBytes === 0);
  });
});
