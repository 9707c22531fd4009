import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { waitUntil } from '../support/wait-until.ts';
import { EchoRequestSchema } from './fixtures/echo.ts';
import { createRecordingLogger, startEcho } from './fixtures/echo-server.ts';
import { frameOf, openRawCall } from './fixtures/raw-call.ts';

describe('rpc cancel and deadline', () => {
  it('aborts the signal of a handler when the caller cancels, with the reason CALL_CANCELLED', async () => {
    let reason: unknown;
    const abort = new AbortController();
    await using echo = await startEcho({
      async echo(_request, { signal }) {
        abort.abort();
        await new Promise<void>((resolve) => {
          signal.addEventListener('abort', () => {
            reason = signal.reason;
            resolve();
          });
        });
        return {};
      },
    });
    await rejectsWith(echo.client.echo({}, { signal: abort.signal }), Code.CANCELLED, 'CANCELLED');
    await waitUntil('the abort', () => reason !== undefined);
    assert.ok(reason instanceof AppError);
    assert.equal(reason.reason, 'CALL_CANCELLED');
    await waitUntil('no call in flight', () => echo.server.stats().callsInFlight === 0);
  });

  it('refuses a call whose signal is aborted already', async () => {
    await using echo = await startEcho();
    await rejectsWith(echo.client.echo({}, { signal: AbortSignal.abort() }), Code.CANCELLED, 'CALL_CANCELLED');
    assert.equal(echo.server.stats().callsStarted, 0);
  });

  it('ends a call at its deadline, even when the handler ignores its signal', async () => {
    const { promise: never, resolve: release } = Promise.withResolvers<void>();
    await using echo = await startEcho({
      async echo() {
        await never;
        return {};
      },
    });
    await rejectsWith(echo.client.echo({}, { deadlineMs: 50 }), Code.DEADLINE_EXCEEDED, 'DEADLINE_EXCEEDED');
    await waitUntil('no call in flight', () => echo.server.stats().callsInFlight === 0);
    release();
  });

  it('ends calls at the deadline of their client, unless they have one of their own or say that they have none', async () => {
    const { promise: mayAnswer, resolve: answer } = Promise.withResolvers<void>();
    await using echo = await startEcho({ echo: () => mayAnswer.then(() => ({})) }, {}, { deadlineMs: 50 });
    const [longer, unlimited] = [
      echo.client.echo({}, { deadlineMs: 60_000 }),
      echo.client.echo({}, { deadlineMs: undefined }),
    ];
    await rejectsWith(echo.client.echo({}), Code.DEADLINE_EXCEEDED, 'DEADLINE_EXCEEDED');
    answer();
    await Promise.all([longer, unlimited]);
  });

  it('aborts the signal with DEADLINE_EXCEEDED when the deadline passes', async () => {
    let reason: unknown;
    await using echo = await startEcho({
      async *repeat(_request, { signal }) {
        yield {};
        await sleep(60_000, undefined, { signal, ref: false }).catch(() => {
          reason = signal.reason;
        });
      },
    });
    // The raw caller does not enforce its deadline itself, so that the server has to.
    await using raw = openRawCall(echo.server.address, '/test.echo.v1.EchoService/Repeat', { 'grpc-timeout': '50m' });
    raw.stream.resume();
    raw.stream.end(frameOf(EchoRequestSchema, {}));
    const status = await raw.status;
    assert.equal(status['grpc-status'], '4');
    assert.ok(status['grpc-status-details-bin'], 'the transport status must carry details');
    await waitUntil('the abort', () => reason !== undefined);
    assert.ok(reason instanceof AppError);
    assert.equal(reason.code, Code.DEADLINE_EXCEEDED);
  });

  it('ends a call that arrives after its deadline without running the handler', async () => {
    let hasRun = false;
    await using echo = await startEcho({
      async echo() {
        hasRun = true;
        return {};
      },
    });
    await using raw = openRawCall(echo.server.address, '/test.echo.v1.EchoService/Echo', { 'grpc-timeout': '0m' });
    raw.stream.resume();
    raw.stream.end(frameOf(EchoRequestSchema, {}));
    assert.equal((await raw.status)['grpc-status'], '4');
    assert.equal(hasRun, false);
  });

  it('answers a bad grpc-timeout with INTERNAL and details', async () => {
    await using echo = await startEcho();
    await using raw = openRawCall(echo.server.address, '/test.echo.v1.EchoService/Echo', { 'grpc-timeout': 'soon' });
    raw.stream.resume();
    raw.stream.end(frameOf(EchoRequestSchema, {}));
    const status = await raw.status;
    assert.equal(status['grpc-status'], '13');
    assert.ok(status['grpc-status-details-bin']);
  });

  it('lets a handler end its call from outside, with the error that it gives', async () => {
    const gone = new AppError({ code: Code.ABORTED, reason: 'READER_TOO_SLOW', message: 'too slow' });
    let isFinished = false;
    await using echo = await startEcho({
      async *repeat(_request, context) {
        try {
          yield {};
          setImmediate(() => context.stop(gone));
          await new Promise((_resolve, reject) => {
            context.signal.addEventListener('abort', () => reject(context.signal.reason));
          });
        } finally {
          isFinished = true;
        }
      },
    });
    await rejectsWith(Array.fromAsync(echo.client.repeat({})), Code.ABORTED, 'READER_TOO_SLOW');
    await waitUntil('the finally', () => isFinished);
  });

  it('logs no error for a caller that leaves, whatever the handler throws then', async () => {
    const log = createRecordingLogger();
    let isDone = false;
    await using echo = await startEcho(
      {
        async *repeat(_request, { signal }) {
          try {
            yield {};
            await sleep(60_000, undefined, { signal, ref: false });
          } finally {
            isDone = true;
          }
        },
      },
      { log },
    );
    for await (const _response of echo.client.repeat({})) break;
    await waitUntil('the handler ends', () => isDone && echo.server.stats().callsInFlight === 0);
    assert.deepEqual(log.errors, []);
  });

  it('wakes a handler that waits for the next request when the caller cancels', async () => {
    let thrown: unknown;
    const abort = new AbortController();
    await using echo = await startEcho({
      async join(requests) {
        try {
          for await (const _request of requests) abort.abort();
        } catch (error) {
          thrown = error;
        }
        return {};
      },
    });
    async function* requests() {
      yield {};
      await new Promise<void>((resolve) => abort.signal.addEventListener('abort', () => resolve()));
      await sleep(60_000, undefined, { ref: false, signal: AbortSignal.timeout(5_000) }).catch(() => {});
    }
    await rejectsWith(echo.client.join(requests(), { signal: abort.signal }), Code.CANCELLED, 'CANCELLED');
    await waitUntil('the handler sees the cancel', () => thrown instanceof AppError);
    assert.ok(thrown instanceof AppError);
    assert.equal(thrown.reason, 'CALL_CANCELLED');
  });

  it('keeps a connection whose callers cancel thousands of calls', async () => {
    const { promise: never } = Promise.withResolvers<void>();
    await using echo = await startEcho({
      async *repeat(_request, { signal }) {
        yield {};
        await Promise.race([never, new Promise((resolve) => signal.addEventListener('abort', resolve))]);
      },
    });
    const witness = echo.client.repeat({});
    await witness.next();
    const cancelMany = async () => {
      for (let i = 0; i < 150; i++) {
        for await (const _response of echo.client.repeat({})) break;
      }
    };
    await Promise.all(Array.from({ length: 16 }, cancelMany));
    await waitUntil('only the witness is left', () => echo.server.stats().callsInFlight === 1);
    await witness.return?.();
  });

  it('cancels the call when the source of its requests fails, and rejects with that failure', async () => {
    await using echo = await startEcho();
    const broken = new Error('source broke');
    async function* requests() {
      yield { text: 'a' };
      throw broken;
    }
    await assert.rejects(echo.client.join(requests()), broken);
    await assert.rejects(Array.fromAsync(echo.client.chat(requests())), broken);
    await waitUntil('no call in flight', () => echo.server.stats().callsInFlight === 0);
  });
});
