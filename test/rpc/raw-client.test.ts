import assert from 'node:assert/strict';
import { connect, createServer, type Socket } from 'node:net';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { StreamAnswer } from '../../server/core/call.ts';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { OriginError } from '../../server/core/origins.ts';
import { createOrigins, type OriginConnections } from '../../server/rpc/raw-client.ts';
import { findFreePort } from '../support/free-port.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { settledValue, waitUntil } from '../support/wait-until.ts';
import { EchoRequestSchema, EchoResponseSchema } from './fixtures/echo.ts';
import { type EchoFixture, type EchoImplementation, startEcho } from './fixtures/echo-server.ts';
import { createRecordingPipeline } from './fixtures/recording-pipeline.ts';

const method = (name: string) => `/test.echo.v1.EchoService/${name}`;
const never = Number.POSITIVE_INFINITY;
const encode = (text: string, count = 0) => toBinary(EchoRequestSchema, create(EchoRequestSchema, { text, count }));
const textOf = (bytes: Uint8Array) => fromBinary(EchoResponseSchema, bytes).text;
const payload = new Uint8Array(10_000);

async function* requests(...texts: string[]) {
  for (const text of texts) yield encode(text);
}

describe('the raw client', () => {
  let origins: OriginConnections;
  beforeEach(() => {
    origins = createOrigins({ maxMessageBytes: 65_536 });
  });
  afterEach(() => origins.close());

  it('calls every kind with encoded messages over one connection, and counts', async () => {
    await using echo = await startEcho();
    const { address } = echo.server;
    const call = (name: string, ...texts: string[]) =>
      Array.fromAsync(origins.call(address, method(name), requests(...texts), { deadline: never }), textOf);
    assert.deepEqual(await call('Echo', 'a'), ['a']);
    assert.deepEqual(await call('Join', 'a', 'b'), ['a,b']);
    assert.deepEqual(await call('Chat', 'a', 'b', 'c'), ['a', 'b', 'c']);
    const many = (async function* () {
      yield encode('r', 3);
    })();
    assert.deepEqual(
      await Array.fromAsync(origins.call(address, method('Repeat'), many, { deadline: never }), textOf),
      ['r', 'r', 'r'],
    );
    assert.deepEqual(origins.stats(), { started: 4, failed: 0, inFlight: 0, origins: 1 });
  });

  it('gives the status of the origin, its details, headers, trailers and pushback', async () => {
    await using echo = await startEcho({
      echo: async (_request, { call }) => {
        call.responseHeaders.set('x-head', 'h');
        call.responseTrailers.set('x-trail', 't');
        call.responseTrailers.set('grpc-retry-pushback-ms', '-1');
        throw new AppError({ code: Code.ABORTED, reason: 'TRY_LATER', message: 'busy', metadata: { a: 'b' } });
      },
    });
    const seen: unknown[] = [];
    const call = origins.call(echo.server.address, method('Echo'), requests('a'), {
      deadline: never,
      onHeaders: (headers) => seen.push(headers.get('x-head')),
      onTrailers: (trailers) => seen.push(trailers.get('x-trail')),
    });
    const error = await rejectsWith(call.next(), Code.ABORTED, 'TRY_LATER');
    assert.ok(error instanceof OriginError);
    assert.deepEqual([error.isProcessed, error.pushbackMs, error.metadata], [true, -1, { a: 'b' }]);
    assert.ok(error.statusDetails !== undefined && error.statusDetails.length > 0);
    assert.deepEqual(seen, ['h', 't']);
    await rejectsWith(call.next(), Code.ABORTED, 'TRY_LATER');
    assert.equal(origins.stats().failed, 1);
  });

  it('sends metadata with every value, without what was dropped or belongs to a connection', async () => {
    const seen = Promise.withResolvers<Record<string, unknown>>();
    await using echo = await startEcho({
      echo: async (_request, { call: { requestMetadata: metadata } }) => {
        seen.resolve({
          many: metadata.getAll('x-many'),
          key: metadata.get('x-api-key'),
          added: metadata.get('x-added'),
          bin: metadata.getBinary('x-bin')?.length,
          agent: metadata.get('user-agent'),
        });
        return {};
      },
    });
    const pass: StreamAnswer = {
      encoding: 'bytes',
      respond: (all, { call }) =>
        origins.call(echo.server.address, call.path, all as AsyncIterable<Uint8Array>, {
          metadata: call.requestMetadata,
          dropMetadata: ['x-api-key'],
          addMetadata: { 'x-added': 'yes' },
          deadline: never,
        }),
    };
    await using front = await startEcho(
      {},
      {
        pipeline: createRecordingPipeline({
          inbound: (call) => {
            call.requestMetadata.append('x-many', 'a');
            call.requestMetadata.append('x-many', 'b');
            return pass;
          },
        }),
      },
    );
    await front.client.echo({}, { metadata: { 'x-api-key': 'k', 'x-bin': new Uint8Array(3) } });
    const { agent, ...rest } = await seen.promise;
    assert.deepEqual(rest, { many: ['a, b'], key: undefined, added: 'yes', bin: 3 });
    assert.doesNotMatch(String(agent), /,/);
  });

  it('cancels by signal, by leaving, and by its deadline', async () => {
    let aborted = 0;
    await using echo = await startEcho({
      async *repeat(_request, { signal }) {
        yield {};
        await new Promise((_resolve, reject) =>
          signal.addEventListener('abort', () => {
            aborted++;
            reject(signal.reason);
          }),
        );
      },
    });
    const start = (deadline: number, signal?: AbortSignal) =>
      origins.call(echo.server.address, method('Repeat'), requests('a'), { deadline, signal });
    const controller = new AbortController();
    const cancelled = start(never, controller.signal);
    await cancelled.next();
    controller.abort();
    await rejectsWith(cancelled.next(), Code.CANCELLED, 'CALL_CANCELLED');
    await waitUntil('the first is aborted', () => aborted === 1);
    for await (const _bytes of start(never)) break;
    await waitUntil('the second is aborted', () => aborted === 2);
    const late = start(Date.now() + 100);
    await late.next();
    const error = await rejectsWith(late.next(), Code.DEADLINE_EXCEEDED, 'DEADLINE_EXCEEDED');
    assert.doesNotMatch(error.message, /127\.0\.0\.1/);
    await waitUntil('the third is aborted', () => aborted === 3);
    assert.equal(origins.stats().inFlight, 0);
    const gone = new AbortController();
    gone.abort();
    await rejectsWith(start(never, gone.signal).next(), Code.CANCELLED, 'CALL_CANCELLED');
  });

  it('throws on what the requests throw, and cancels the call', async () => {
    await using echo = await startEcho();
    const bad = (async function* () {
      yield encode('a');
      throw new AppError({ code: Code.INVALID_ARGUMENT, reason: 'BAD_REQUEST', message: 'bad' });
    })();
    await rejectsWith(
      Array.fromAsync(origins.call(echo.server.address, method('Join'), bad, { deadline: never })),
      Code.INVALID_ARGUMENT,
      'BAD_REQUEST',
    );
    await waitUntil('no call in flight', () => echo.server.stats().callsInFlight === 0);
  });

  it('is cut off in the midst of its requests, and the server does not take them for all', async () => {
    const ends: string[] = [];
    await using echo = await startEcho({
      join: async (all) => {
        try {
          for await (const _request of all);
          ends.push('whole');
        } catch (error) {
          ends.push('cut');
          throw error;
        }
        return {};
      },
    });
    const gate = Promise.withResolvers<void>();
    const unfinished = async function* <T>(first: T) {
      yield first;
      await gate.promise;
    };
    const cutOff: ((signal: AbortSignal) => Promise<unknown>)[] = [
      (signal) =>
        origins.call(echo.server.address, method('Join'), unfinished(encode('a')), { deadline: never, signal }).next(),
      (signal) => echo.client.join(unfinished({ text: 'a' }), { signal }),
    ];
    for (let round = 0; round < 5; round++) {
      for (const start of cutOff) {
        const leaving = new AbortController();
        const call = start(leaving.signal);
        await waitUntil('it is on the server', () => echo.server.stats().callsInFlight === 1);
        leaving.abort();
        await assert.rejects(call, { code: Code.CANCELLED });
        await waitUntil('it has ended', () => echo.server.stats().callsInFlight === 0);
      }
    }
    await waitUntil('every handler has ended', () => ends.length === 10);
    assert.deepEqual(new Set(ends), new Set(['cut']));
    gate.resolve();
  });

  it('tells a call that never left from one whose connection was lost', async () => {
    const address = `127.0.0.1:${await findFreePort()}`;
    const unreachable = await rejectsWith(
      origins.call(address, method('Echo'), requests('a'), { deadline: never }).next(),
      Code.UNAVAILABLE,
      'ORIGIN_UNREACHABLE',
    );
    assert.ok(unreachable instanceof OriginError && !unreachable.isProcessed);
    assert.doesNotMatch(unreachable.message, /127/);

    await using echo = await startEcho({
      async *repeat() {
        yield {};
        await new Promise(() => {});
      },
    });
    const sockets: Socket[] = [];
    const relay = createServer((socket) => {
      const to = connect(Number(echo.server.address.split(':')[1]), '127.0.0.1');
      sockets.push(socket, to);
      for (const one of [socket, to]) one.on('error', () => {});
      socket.pipe(to).pipe(socket);
    });
    await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
    const { port } = relay.address() as { port: number };
    const call = origins.call(`127.0.0.1:${port}`, method('Repeat'), requests('a'), { deadline: never });
    await call.next();
    for (const socket of sockets) socket.destroy();
    const dropped = await rejectsWith(call.next(), Code.UNAVAILABLE, 'ORIGIN_DROPPED');
    assert.ok(dropped instanceof OriginError && dropped.isProcessed);
    relay.close();
  });

  it('refuses a malformed target, and more origins than it may keep', async () => {
    for (const target of ['', 'host', 'host:99999', 'http://host:1', 'a b:1']) {
      assert.throws(() => origins.call(target, '/a/b', requests(), { deadline: never }), { reason: 'ORIGIN_INVALID' });
    }
    await using echo = await startEcho({ echo: () => new Promise(() => {}) });
    const few = createOrigins({ maxMessageBytes: 1024, maxOrigins: 1 });
    few.connect('127.0.0.1:1');
    const held = few.call(echo.server.address, method('Echo'), requests('a'), { deadline: never });
    assert.equal(few.stats().origins, 1, 'the idle one made room');
    assert.throws(() => few.connect('127.0.0.1:2'), { reason: 'ORIGINS_EXHAUSTED' });
    await held.return?.();
    few.close();
  });

  it('keeps a released connection until its calls have ended', async () => {
    const gate = Promise.withResolvers<void>();
    await using echo = await startEcho({
      async *repeat() {
        yield { text: '1' };
        await gate.promise;
        yield { text: '2' };
      },
    });
    const call = origins.call(echo.server.address, method('Repeat'), requests('a'), { deadline: never });
    await call.next();
    origins.release(echo.server.address);
    assert.equal(origins.stats().origins, 0);
    gate.resolve();
    assert.deepEqual(await Array.fromAsync(call, textOf), ['2']);
    assert.equal(origins.stats().inFlight, 0);
  });
});

describe('a proxied stream', () => {
  /** A server in front of `echo` that hands every call on. */
  async function startFront(own: Partial<EchoImplementation>, isKnown = true) {
    const origins = createOrigins({ maxMessageBytes: 65_536 });
    const back: EchoFixture = await startEcho(own);
    const pass: StreamAnswer = {
      encoding: 'bytes',
      respond: (all, { call }) =>
        origins.call(back.server.address, call.path, all as AsyncIterable<Uint8Array>, {
          deadline: call.deadline,
          signal: call.signal,
        }),
    };
    const pipeline = { open: () => ({ inbound: () => pass }) };
    const front = await startEcho({}, { pipeline, ...(isKnown ? {} : { services: [] }) });
    return {
      ...{ back, client: front.client, server: front.server },
      [Symbol.asyncDispose]: async () => {
        await front[Symbol.asyncDispose]();
        await back[Symbol.asyncDispose]();
        origins.close();
      },
    };
  }

  for (const isKnown of [true, false]) {
    const which = isKnown ? 'a known' : 'an unknown';
    it(`of ${which} method stops the origin when the caller stops reading`, async () => {
      let pulled = 0;
      let isFinished = false;
      await using bed = await startFront(
        {
          async *repeat() {
            try {
              for (;;) {
                pulled++;
                yield { payload };
              }
            } finally {
              isFinished = true;
            }
          },
        },
        isKnown,
      );
      const call = bed.client.repeat({});
      await call.next();
      const held = await settledValue(() => pulled);
      assert.ok(held < 100, `the origin was pulled ${held} times`);
      for (let i = 0; i < 2 * held; i++) await call.next();
      assert.ok(pulled > held, 'it goes on when the caller does');
      await call.return?.();
      await waitUntil('the origin is told to return', () => isFinished);
      await waitUntil('no call in flight', () => bed.server.stats().callsInFlight === 0);
    });

    it(`of ${which} method stops the caller when the origin stops reading`, async () => {
      let sent = 0;
      const gate = Promise.withResolvers<void>();
      await using bed = await startFront(
        {
          join: async (all) => {
            await gate.promise;
            let count = 0;
            for await (const _request of all) count++;
            return { index: count };
          },
        },
        isKnown,
      );
      const total = 400;
      const endless = (async function* () {
        for (; sent < total; sent++) yield { payload };
      })();
      const answer = bed.client.join(endless);
      const held = await settledValue(() => sent);
      assert.ok(held < 200, `the caller was pulled ${held} times`);
      gate.resolve();
      assert.equal((await answer).index, total);
    });
  }

  it('alternates over a bidirectional call', async () => {
    await using bed = await startFront({});
    const turns: string[] = [];
    const next = { resolve: (_text: string) => {} };
    const asked = (async function* () {
      for (let turn = 0; turn < 5; turn++) {
        const seen = new Promise<string>((resolve) => {
          next.resolve = resolve;
        });
        yield { text: `t${turn}` };
        turns.push(await seen);
      }
    })();
    for await (const { text } of bed.client.chat(asked)) next.resolve(text);
    assert.deepEqual(turns, ['t0', 't1', 't2', 't3', 't4']);
  });
});
