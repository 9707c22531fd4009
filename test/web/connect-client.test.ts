import assert from 'node:assert/strict';
import { Code as ConnectCode, ConnectError } from '@connectrpc/connect';
import { BadRequestSchema, ErrorInfoSchema } from '../../proto/gen/google/rpc/error_details_pb.ts';
import { Code } from '../../server/core/codes.ts';
import { AppError, invalidField } from '../../server/core/errors.ts';
import { waitUntil } from '../support/wait-until.ts';
import { startWeb } from './bed/web-bed.ts';

async function failureOf(call: Promise<unknown>): Promise<ConnectError> {
  const error = await call.then(() => undefined, ConnectError.from);
  assert.ok(error !== undefined, 'the call succeeded');
  return error;
}

/** Waits for the end of its call, and counts those that were told to end. */
function createWaiting() {
  const waiting = {
    started: 0,
    aborted: 0,
    forAbort: (signal: AbortSignal) =>
      new Promise<never>((_resolve, reject) => {
        waiting.started++;
        signal.addEventListener('abort', () => {
          waiting.aborted++;
          reject(signal.reason);
        });
      }),
  };
  return waiting;
}

describe('a client of Connect over gRPC-web', () => {
  it('makes unary calls with metadata both ways', async () => {
    const bytes = new Uint8Array([0, 255, 7]);
    await using bed = await startWeb({
      echo: async ({ text }, { call }) => {
        const { requestMetadata: metadata, responseHeaders, responseTrailers } = call;
        responseHeaders.set('x-head', String(metadata.get('x-api-key')));
        responseHeaders.set('x-head-bin', metadata.getBinary('x-many-bin') ?? new Uint8Array());
        responseTrailers.set('x-trail', String(metadata.getAll('x-many-bin').length));
        return { text: `${text} ${metadata.get('traceparent')}` };
      },
    });
    const seen: Record<string, string | null> = {};
    const { text } = await bed.client.echo(
      { text: 'grüße' },
      {
        headers: { 'x-api-key': 'k', traceparent: '00-1', 'x-many-bin': `${Buffer.from(bytes).toString('base64')},AA` },
        onHeader: (headers) => {
          seen['head'] = headers.get('x-head');
          seen['bin'] = headers.get('x-head-bin');
        },
        onTrailer: (trailers) => {
          seen['trail'] = trailers.get('x-trail');
        },
      },
    );
    assert.equal(text, 'grüße 00-1');
    assert.deepEqual(seen, { head: 'k', bin: Buffer.from(bytes).toString('base64'), trail: '2' });
  });

  it('reads server streams, also those that fail after messages', async () => {
    await using bed = await startWeb({
      async *repeat({ count }) {
        for (let index = 0; index < count; index++) yield { index };
        if (count === 2) throw new AppError({ code: Code.ABORTED, reason: 'HALF', message: 'half of it' });
      },
    });
    const indexes: number[] = [];
    for await (const { index } of bed.client.repeat({ count: 100 })) indexes.push(index);
    assert.deepEqual(indexes, [...Array(100).keys()]);
    const half: number[] = [];
    const error = await failureOf(
      (async () => {
        for await (const { index } of bed.client.repeat({ count: 2 })) half.push(index);
      })(),
    );
    assert.deepEqual([half, error.code, error.rawMessage], [[0, 1], ConnectCode.Aborted, 'half of it']);
  });

  it('gets status, message and details of a failure', async () => {
    await using bed = await startWeb({
      echo: async () => {
        throw invalidField('text', 'must not hold 100 % „Unsinn“\nor so');
      },
    });
    const error = await failureOf(bed.client.echo({}));
    assert.deepEqual(
      [error.code, error.rawMessage],
      [ConnectCode.InvalidArgument, 'text: must not hold 100 % „Unsinn“\nor so'],
    );
    const [info] = error.findDetails(ErrorInfoSchema);
    assert.deepEqual([info?.reason, info?.domain], ['INVALID_FIELDS', 'showrunner.dev']);
    assert.equal(error.findDetails(BadRequestSchema)[0]?.fieldViolations[0]?.field, 'text');
  });

  it('has its deadline passed on', async () => {
    const waiting = createWaiting();
    let deadline = 0;
    await using bed = await startWeb({
      echo: (_request, { signal, call }) => {
        deadline = call.deadline;
        return waiting.forAbort(signal);
      },
    });
    const error = await failureOf(bed.client.echo({}, { timeoutMs: 200 }));
    assert.equal(error.code, ConnectCode.DeadlineExceeded);
    assert.ok(deadline > 0 && deadline < Date.now() + 200, 'the handler knows it');
    await waitUntil('the handler is told', () => waiting.aborted === 1);
  });

  it('ends its calls on the server when it leaves', async () => {
    const waiting = createWaiting();
    await using bed = await startWeb({
      echo: (_request, { signal }) => waiting.forAbort(signal),
      async *repeat(_request, { signal }) {
        yield {};
        await waiting.forAbort(signal);
      },
    });
    const unary = new AbortController();
    const call = failureOf(bed.client.echo({}, { signal: unary.signal }));
    await waitUntil('the handler waits', () => waiting.started === 1);
    unary.abort();
    assert.equal((await call).code, ConnectCode.Canceled);
    await waitUntil('the handler is told', () => waiting.aborted === 1);
    const stream = new AbortController();
    const read = failureOf(
      (async () => {
        for await (const _message of bed.client.repeat({}, { signal: stream.signal })) stream.abort();
      })(),
    );
    assert.equal((await read).code, ConnectCode.Canceled);
    await waitUntil('the stream is told', () => waiting.aborted === 2);
    await waitUntil('nothing is in progress', () => bed.bridge.inFlight() === 0);
    assert.equal(bed.echo.server.stats().callsInFlight, 0);
  });
});
