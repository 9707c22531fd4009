import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { Code } from '../../server/core/codes.ts';
import { createRecordingLogger } from '../rpc/fixtures/echo-server.ts';
import { exposedGc } from '../support/exposed-gc.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { settledValue, waitUntil } from '../support/wait-until.ts';
import { parseAnswer, pathOf, readAnswer, request, startWeb, type WebBed } from './bed/web-bed.ts';

const payload = new Uint8Array(10_000);
const binary = { 'content-type': 'application/grpc-web+proto' };

/** A call whose answer is read by hand. */
async function openCall(bed: WebBed, method: string): Promise<{ call: ClientRequest; response: IncomingMessage }> {
  const call = httpRequest(`${bed.baseUrl}${pathOf(method)}`, { method: 'POST', headers: binary });
  call.end(request('a'));
  const [response] = (await once(call, 'response')) as [IncomingMessage];
  return { call, response };
}

/** Memory in use by this process, in which client, listener and server all are. */
function heldBytes(): number {
  const gc = exposedGc();
  gc();
  // The buffers that the first one found are given back by the next.
  gc();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** A stream without an end that counts what is pulled of it. */
function createEndless() {
  const endless = {
    pulled: 0,
    isFinished: false,
    async *repeat() {
      try {
        for (;;) {
          endless.pulled++;
          yield { payload };
        }
      } finally {
        endless.isFinished = true;
      }
    },
  };
  return endless;
}

describe('the gRPC-web listener', () => {
  it('stops a stream whose reader stops, goes on when it does, and ends it when it leaves', async () => {
    const endless = createEndless();
    await using bed = await startWeb({ repeat: endless.repeat });
    const before = heldBytes();
    const { call, response } = await openCall(bed, 'Repeat');
    const held = await settledValue(() => endless.pulled);
    // What the sockets' buffers take, which belong to the system.
    assert.ok(held < 5_000, `${held} messages of 10 kB were taken`);
    const grown = heldBytes() - before;
    assert.ok(grown < 4 * 2 ** 20, `${grown} bytes more are held here`);
    let read = 0;
    for await (const chunk of response.iterator({ destroyOnReturn: false })) {
      read += (chunk as Buffer).length;
      if (read > 2 * held * payload.length) break;
    }
    assert.ok(endless.pulled > held, 'it goes on');
    call.destroy();
    await waitUntil('the stream is told to end', () => endless.isFinished);
    await waitUntil('nothing is in progress', () => bed.bridge.inFlight() === 0);
  });

  it('cuts a reader who takes nothing for too long', async () => {
    const endless = createEndless();
    const clock = createFakeClock();
    await using bed = await startWeb({ repeat: endless.repeat }, { clock, stallTimeoutMs: 5_000 });
    const { call, response } = await openCall(bed, 'Repeat');
    call.on('error', () => {});
    response.on('error', () => {});
    await settledValue(() => endless.pulled);
    await clock.advance(4_999);
    assert.equal(bed.bridge.inFlight(), 1);
    await clock.advance(1);
    await waitUntil('the stream is told to end', () => endless.isFinished);
    await waitUntil('nothing is in progress', () => bed.bridge.inFlight() === 0);
    assert.equal(bed.bridge.counters.snapshot().readers_cut, 1);
  });

  it('stops a sender whose messages the server does not take', async () => {
    const gate = Promise.withResolvers<void>();
    let taken = 0;
    await using bed = await startWeb({
      join: async (all) => {
        await gate.promise;
        for await (const _request of all) taken++;
        return { text: String(taken) };
      },
    });
    const call = httpRequest(`${bed.baseUrl}${pathOf('Join')}`, { method: 'POST', headers: binary });
    const message = request('x'.repeat(10_000));
    let sent = 0;
    const total = 2_000;
    const sending = (async () => {
      while (sent < total) {
        sent++;
        if (!call.write(message)) await once(call, 'drain');
      }
      call.end();
    })();
    const held = await settledValue(() => sent);
    assert.ok(held < total, `all ${held} messages were taken`);
    gate.resolve();
    await sending;
    const [response] = (await once(call, 'response')) as [IncomingMessage];
    assert.deepEqual(parseAnswer(Buffer.concat(await response.toArray())).texts, [String(total)]);
  });

  it('refuses calls beyond its limit, and counts them', async () => {
    const gate = Promise.withResolvers<void>();
    const echo = async () => {
      await gate.promise;
      return { text: 'late' };
    };
    await using bed = await startWeb({ echo }, { maxCalls: 2 });
    const held = [bed.post('Echo', request('a')), bed.post('Echo', request('b'))];
    await waitUntil('two are in progress', () => bed.bridge.inFlight() === 2);
    const { trailers } = await readAnswer(await bed.post('Echo', request('c')));
    assert.equal(trailers['grpc-status'], String(Code.RESOURCE_EXHAUSTED));
    assert.equal(trailers['grpc-retry-pushback-ms'], '1000');
    gate.resolve();
    for (const response of held) assert.deepEqual((await readAnswer(await response)).texts, ['late']);
    await waitUntil('both have ended', () => bed.bridge.inFlight() === 0);
    assert.deepEqual((await readAnswer(await bed.post('Echo', request('d')))).texts, ['late']);
    const { calls, calls_refused: refused } = bed.bridge.counters.snapshot();
    assert.deepEqual([calls, refused], [3, 1]);
  });

  it('ends a call at its deadline, also one that waits for its browser', async () => {
    await using bed = await startWeb({ join: () => new Promise(() => {}) });
    const call = httpRequest(`${bed.baseUrl}${pathOf('Join')}`, {
      method: 'POST',
      headers: { ...binary, 'grpc-timeout': '100m' },
    });
    call.write(request('the first of a stream that does not go on'));
    const [response] = (await once(call, 'response')) as [IncomingMessage];
    const { trailers } = parseAnswer(Buffer.concat(await response.toArray()));
    assert.equal(trailers['grpc-status'], String(Code.DEADLINE_EXCEEDED));
    assert.equal(decodeURIComponent(trailers['grpc-message'] ?? ''), 'The deadline of the call passed.');
    call.destroy();
  });

  it('ends a call whose browser leaves in the midst of its request, without a word in the log', async () => {
    const log = createRecordingLogger();
    let end: unknown;
    const join = async (all: AsyncIterable<unknown>) => {
      try {
        for await (const _message of all);
      } catch (error) {
        end = error;
        throw error;
      }
      return {};
    };
    await using bed = await startWeb({ join }, { log });
    const call = httpRequest(`${bed.baseUrl}${pathOf('Join')}`, { method: 'POST', headers: binary });
    call.on('error', () => {});
    call.write(Buffer.concat([request('whole'), request('half').subarray(0, 6)]));
    await waitUntil('it is on the server', () => bed.echo.server.stats().callsInFlight === 1);
    call.destroy();
    await waitUntil('its handler is told', () => end !== undefined);
    await waitUntil('nothing is in progress', () => bed.bridge.inFlight() === 0);
    assert.deepEqual(log.errors, []);
  });
});

describe('a closing gRPC-web listener', () => {
  it('lets calls in progress end, takes no new ones, and then closes', async () => {
    const gate = Promise.withResolvers<void>();
    const bed = await startWeb({
      async *repeat() {
        yield { text: 'first' };
        await gate.promise;
        yield { text: 'last' };
      },
    });
    const { response } = await openCall(bed, 'Repeat');
    bed.bridge.stop();
    await assert.rejects(bed.post('Echo', request('a')), 'it does not listen any more');
    const closing = bed[Symbol.asyncDispose]();
    gate.resolve();
    const { texts, trailers } = parseAnswer(Buffer.concat(await response.toArray()));
    assert.deepEqual([texts, trailers['grpc-status']], [['first', 'last'], '0']);
    await closing;
    assert.equal(bed.bridge.inFlight(), 0);
  });

  it('refuses calls on connections that are open, and tells them to close', async () => {
    const gate = Promise.withResolvers<void>();
    await using bed = await startWeb({
      echo: async () => {
        await gate.promise;
        return {};
      },
    });
    // The second is sent behind the first, which keeps the connection open.
    const pipelined = httpRequest(`${bed.baseUrl}${pathOf('Echo')}`, { method: 'POST', headers: binary });
    pipelined.end(request('a'));
    await waitUntil('it is in progress', () => bed.bridge.inFlight() === 1);
    const { socket } = pipelined;
    assert.ok(socket);
    let raw = '';
    socket.on('data', (chunk: Buffer) => {
      raw += chunk.toString('latin1');
    });
    pipelined.on('error', () => {});
    bed.bridge.stop();
    const body = request('b');
    socket.write(
      `POST ${pathOf('Echo')} HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc-web\r\ncontent-length: ${body.length}\r\n\r\n`,
    );
    socket.write(body);
    gate.resolve();
    await once(socket, 'close');
    assert.match(raw, /grpc-status: 14\r\n/);
    assert.match(raw, /connection: close/i);
  });

  it('cuts what does not end, once the gRPC server has ended its calls', async () => {
    const endless = createEndless();
    const bed = await startWeb({ repeat: endless.repeat }, { flushTimeoutMs: 100 }, { drainTimeoutMs: 100 });
    const { response } = await openCall(bed, 'Repeat');
    response.on('error', () => {});
    await settledValue(() => endless.pulled);
    await bed[Symbol.asyncDispose]();
    assert.ok(endless.isFinished);
    await waitUntil('nothing is in progress', () => bed.bridge.inFlight() === 0);
  });
});
