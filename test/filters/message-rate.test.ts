import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { waitUntil } from '../support/wait-until.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { runCall } from './bed/run-call.ts';
import { startShipped } from './bed/shipped.ts';

const id = 'showrunner.message-rate';
const start = (config: object, clock = createFakeClock()) =>
  startShipped({ [id]: { enabled: true, ratePerSecond: 10, burst: 2, ...config } }, { clock, only: [id] });
const stream = () => createFakeCall({ kind: 'bidi_stream' });

describe('the limit of messages on streams', () => {
  it('lets messages beyond the rate wait for their turn', async () => {
    const clock = createFakeClock();
    await using engine = await start({}, clock);
    const call = runCall(engine, stream(), { requests: [1, 2, 3, 4] });
    let isOver = false;
    void call.then(() => {
      isOver = true;
    });
    while (!isOver) await clock.advance(10);
    const tookMs = clock.monotonic();
    assert.ok(
      tookMs >= 200 && tookMs < 300,
      `two messages beyond the burst took ${tookMs} ms, and 100 ms each are due`,
    );
    assert.deepEqual((await call).endpointSaw, [1, 2, 3, 4]);
  });

  it('wakes each of many streams that wait once, in the order in which they came, and at the rate', async () => {
    const clock = createFakeClock();
    let sleeps = 0;
    const counting = {
      ...clock,
      sleep: (ms: number, signal?: AbortSignal) => {
        sleeps++;
        return clock.sleep(ms, signal);
      },
    };
    await using engine = await start({}, counting);
    const passed: [stream: number, atMs: number][] = [];
    const calls = Array.from({ length: 52 }, (_, index) =>
      runCall(engine, stream(), { requests: [index] }).then(() => passed.push([index, clock.monotonic()])),
    );
    await waitUntil('all others wait', () => sleeps === 50);
    await clock.advance(5_000);
    await Promise.all(calls);
    assert.deepEqual(
      passed.map(([index]) => index),
      [...Array(52).keys()],
    );
    assert.deepEqual([passed[1]?.[1], passed[2]?.[1], passed[51]?.[1], sleeps], [0, 100, 5_000, 50]);
  });

  it('gives the turn of a stream that left to the next', async () => {
    const clock = createFakeClock();
    await using engine = await start({ burst: 1 }, clock);
    await runCall(engine, stream(), { requests: [1] });
    const leaving = stream();
    const left = runCall(engine, leaving, { requests: [2] });
    leaving.abort(new AppError({ code: Code.CANCELLED, reason: 'GONE', message: 'gone' }));
    assert.equal((await left).error?.reason, 'GONE');
    const next = runCall(engine, stream(), { requests: [3] });
    await clock.advance(100);
    assert.deepEqual((await next).endpointSaw, [3]);
  });

  it('ends a stream whose message would wait too long, or any where that is wished', async () => {
    for (const config of [{ maxWaitMs: 50 }, { beyond: 'refuse' }]) {
      await using engine = await start(config);
      assert.equal((await runCall(engine, stream(), { requests: [1, 2, 3] })).error?.reason, 'MESSAGE_RATE_LIMITED');
    }
  });

  it('counts all streams of a caller together, and unary calls not at all', async () => {
    await using engine = await start({ beyond: 'refuse' });
    await runCall(engine, stream(), { requests: [1, 2] });
    assert.equal((await runCall(engine, stream(), { requests: [1] })).error?.reason, 'MESSAGE_RATE_LIMITED');
    const principal = { id: 'key:other', scopes: new Set<string>(), method: 'api_key' as const };
    await runCall(engine, createFakeCall({ kind: 'client_stream', principal }), { requests: [1] });
    for (let i = 0; i < 5; i++) await runCall(engine, createFakeCall());
  });
});
