import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { systemClock } from '../../server/core/clock.ts';
import { WireMetadata } from '../../server/rpc/metadata.ts';
import { WebAnswer } from '../../server/web/web-answer.ts';
import { parseAnswer } from './bed/web-bed.ts';

const message = new Uint8Array(10_000);

/** An answer that nobody has begun, and what its browser gets. */
async function openAnswer() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const call = httpRequest({ port: (server.address() as AddressInfo).port, method: 'POST' });
  const answered = once(call, 'response') as Promise<[IncomingMessage]>;
  call.end();
  const [, response] = (await once(server, 'request')) as [IncomingMessage, ServerResponse];
  const cut = { times: 0 };
  const answer = new WebAnswer(response, {
    ...{ isText: false, isLast: true, clock: systemClock, stallTimeoutMs: 2_000, onStall: () => cut.times++ },
  });
  return { answer, answered, response, cut, [Symbol.dispose]: () => void server.close() };
}

describe('an answer of gRPC-web', () => {
  it('goes on when the browser took all before the next message was there', async () => {
    using bed = await openAnswer();
    const { answer, response } = bed;
    let sent = 0;
    while (!response.writableNeedDrain) {
      await answer.write(message);
      sent++;
      // It is written at the end of the turn.
      await turn();
    }
    const [incoming] = await bed.answered;
    const isDrained = once(response, 'drain');
    let received = 0;
    incoming.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    await isDrained;
    await answer.write(message);
    answer.succeed();
    await once(incoming, 'end');
    assert.equal(bed.cut.times, 0);
    assert.ok(received > (sent + 1) * message.length);
  });

  it('sends its headers alone when no message comes with them', async () => {
    using bed = await openAnswer();
    const headers = new WireMetadata();
    headers.set('x-request-id', 'r');
    bed.answer.begin(headers);
    const [incoming] = await bed.answered;
    assert.equal(incoming.headers['x-request-id'], 'r');
    bed.answer.succeed();
    const answer = parseAnswer(Buffer.concat(await incoming.toArray()));
    assert.deepEqual(answer, { texts: [], trailers: { 'grpc-status': '0' } });
  });

  it('has a known length when it is sent as a whole', async () => {
    using bed = await openAnswer();
    bed.answer.begin(new WireMetadata());
    await bed.answer.write(new Uint8Array());
    bed.answer.succeed();
    const [incoming] = await bed.answered;
    const body = Buffer.concat(await incoming.toArray());
    assert.equal(incoming.headers['content-length'], String(body.length));
    assert.deepEqual(parseAnswer(body).texts, ['']);
  });
});
