import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { waitUntil } from '../support/wait-until.ts';
import { EchoRequestSchema } from './fixtures/echo.ts';
import { startEcho } from './fixtures/echo-server.ts';
import { frame, frameOf, openRawCall } from './fixtures/raw-call.ts';

const tooLarge = new Uint8Array(70_000);

describe('rpc limits', () => {
  it('refuses an oversized request with RESOURCE_EXHAUSTED and goes on serving', async () => {
    await using echo = await startEcho();
    const request = { payload: tooLarge };
    const error = await rejectsWith(echo.client.echo(request), Code.RESOURCE_EXHAUSTED, 'REQUEST_TOO_LARGE');
    assert.match(error.message, /larger than max/);
    async function* requests() {
      yield request;
    }
    await rejectsWith(echo.client.join(requests()), Code.RESOURCE_EXHAUSTED, 'REQUEST_TOO_LARGE');
    await waitUntil('no call in flight', () => echo.server.stats().callsInFlight === 0);
    assert.equal((await echo.client.echo({ text: 'still here' })).text, 'still here');
  });

  it('refuses to send an oversized response, unary and streamed', async () => {
    let isReturned = false;
    await using echo = await startEcho({
      echo: async () => ({ payload: tooLarge }),
      async *repeat() {
        try {
          yield { text: 'fits' };
          yield { payload: tooLarge };
        } finally {
          isReturned = true;
        }
      },
    });
    const error = await rejectsWith(echo.client.echo({}), Code.RESOURCE_EXHAUSTED, 'RESPONSE_TOO_LARGE');
    assert.equal(error.metadata['max_bytes'], '65536');
    const responses = echo.client.repeat({});
    assert.equal((await responses.next()).value?.text, 'fits');
    await rejectsWith(responses.next(), Code.RESOURCE_EXHAUSTED, 'RESPONSE_TOO_LARGE');
    await waitUntil('the generator returns', () => isReturned);
  });

  it('refuses oversized metadata with METADATA_TOO_LARGE', async () => {
    await using echo = await startEcho();
    const metadata = { 'x-large': 'x'.repeat(9_000) };
    const error = await rejectsWith(echo.client.echo({}, { metadata }), Code.RESOURCE_EXHAUSTED, 'METADATA_TOO_LARGE');
    assert.equal(error.metadata['max_bytes'], '8192');
    await rejectsWith(
      Array.fromAsync(echo.client.repeat({}, { metadata })),
      Code.RESOURCE_EXHAUSTED,
      'METADATA_TOO_LARGE',
    );
  });

  it('accepts metadata over the default of HTTP/2 when the setting allows it', async () => {
    await using echo = await startEcho(
      {
        echo: async (_request, { call }) => {
          const whole = call.requestMetadata.keys().filter((key) => call.requestMetadata.get(key)?.length === 50_000);
          return { index: whole.length };
        },
      },
      { maxMetadataBytes: 200_000 },
    );
    const metadata = Object.fromEntries(['a', 'b', 'c'].map((key) => [key, 'x'.repeat(50_000)]));
    const { index } = await echo.client.echo({}, { metadata });
    assert.equal(index, 3, 'all keys came whole');
  });

  it('survives metadata that HTTP/2 itself refuses', async () => {
    await using echo = await startEcho();
    await assert.rejects(echo.client.echo({}, { metadata: { 'x-large': 'x'.repeat(500_000) } }));
    await waitUntil('the server serves', async () =>
      echo.client.echo({ text: 'ok' }).then(
        ({ text }) => text === 'ok',
        () => false,
      ),
    );
  });

  it('answers a malformed request with INVALID_ARGUMENT', async () => {
    await using echo = await startEcho();
    for (const method of ['Echo', 'Repeat', 'Join', 'Chat']) {
      await using raw = openRawCall(echo.server.address, `/test.echo.v1.EchoService/${method}`);
      raw.stream.resume();
      raw.stream.end(frame(new Uint8Array([0x0a, 0xff])));
      const status = await raw.status;
      assert.equal(status['grpc-status'], '3', method);
      const details = Buffer.from(String(status['grpc-status-details-bin']), 'base64').toString('latin1');
      assert.match(details, /REQUEST_MALFORMED/, method);
    }
  });

  it('answers a unary call without a request message', async () => {
    await using echo = await startEcho();
    await using raw = openRawCall(echo.server.address, '/test.echo.v1.EchoService/Echo');
    raw.stream.resume();
    raw.stream.end();
    const status = await raw.status;
    assert.equal(status['grpc-status'], '12');
    const message = decodeURIComponent(String(status['grpc-message']));
    assert.equal(message, 'Received no request message for /test.echo.v1.EchoService/Echo');
  });

  it('answers a message that is cut off or wrongly compressed, and goes on serving', async () => {
    await using echo = await startEcho();
    const good = frameOf(EchoRequestSchema, { text: 'abc' });
    await using cut = openRawCall(echo.server.address, '/test.echo.v1.EchoService/Join');
    cut.stream.resume();
    cut.stream.end(good.subarray(0, 6));
    assert.ok((await cut.status)['grpc-status']);
    const compressed = Buffer.from(good);
    compressed[0] = 1;
    await using wrong = openRawCall(echo.server.address, '/test.echo.v1.EchoService/Join', { 'grpc-encoding': 'gzip' });
    wrong.stream.resume();
    wrong.stream.end(compressed);
    assert.equal((await wrong.status)['grpc-status'], '13');
    assert.equal((await echo.client.echo({ text: 'ok' })).text, 'ok');
  });

  it('takes binary metadata that is no base64 without failing', async () => {
    let bytes: Uint8Array | undefined;
    await using echo = await startEcho({
      async echo(_request, { call }) {
        bytes = call.requestMetadata.getBinary('x-bad-bin');
        assert.equal(call.requestMetadata.get('x-bad-bin'), undefined);
        return {};
      },
    });
    const headers = { 'x-bad-bin': '%%%', 'x-odd': 'tab\tinside' };
    await using raw = openRawCall(echo.server.address, '/test.echo.v1.EchoService/Echo', headers);
    raw.stream.resume();
    raw.stream.end(frameOf(EchoRequestSchema, {}));
    assert.equal((await raw.status)['grpc-status'], '0');
    assert.ok(bytes);
  });

  it('refuses a request that cannot be encoded and metadata that cannot be sent, before sending', async () => {
    await using echo = await startEcho();
    await rejectsWith(echo.client.echo({ count: 1.5 }), Code.INVALID_ARGUMENT, 'REQUEST_INVALID');
    await rejectsWith(echo.client.echo({}, { metadata: { 'x-a': 'line\nbreak' } }), Code.INTERNAL, 'METADATA_INVALID');
    assert.equal(echo.server.stats().callsStarted, 0);
  });
});
