import assert from 'node:assert/strict';
import { limiterUse, loadSignals } from '../../plugins/engine/contract/load-signals.ts';
import { callPriority, localRefusal } from '../../plugins/engine/filter.ts';
import type { LimitAlgorithm, LimitSample } from '../../plugins/filters/concurrency-limit/limit-algorithm.ts';
import { createLimiter, type Permit } from '../../plugins/filters/concurrency-limit/limiter.ts';
import { createSampleWindow } from '../../plugins/filters/concurrency-limit/sample-window.ts';
import { type Clock, systemClock } from '../../server/core/clock.ts';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { createSeededRandom } from '../../server/core/random.ts';
import { startEcho } from '../rpc/fixtures/echo-server.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { type HeldCall, holdCall } from './bed/held-call.ts';
import { runCall } from './bed/run-call.ts';
import { startOnly } from './bed/start-only.ts';

const id = 'showrunner.concurrency-limit';

/** A limit that is set by hand and writes down what it is told. */
function settableLimit(limit: number): LimitAlgorithm & { limit: number; readonly samples: LimitSample[] } {
  const samples: LimitSample[] = [];
  return {
    limit,
    samples,
    get settledLimit() {
      return this.limit;
    },
    update: (sample) => void samples.push(sample),
  };
}

const everyCall = { minSamples: 1, minRttMs: 0, minWindowMs: 0, maxWindowMs: 0 };

describe('the permits of a limiter', () => {
  it('are given and refused as by the reference model in 30,000 random events', async () => {
    const random = createSeededRandom(5);
    const pick = <T>(items: readonly T[]) => items[Math.floor(random.next() * items.length)] as T;
    for (let round = 0; round < 30; round++) {
      const algorithm = settableLimit(5);
      const shares = new Map([
        ['a', 0.5],
        ['b', 0.2],
      ]);
      const window = createSampleWindow(everyCall);
      const limiter = createLimiter({ algorithm, window, clock: createFakeClock(), random, shares });
      const held: { partition: string; permit: Permit }[] = [];
      for (let step = 0; step < 1000; step++) {
        const event = random.next();
        if (event < 0.05) algorithm.limit = 1 + Math.floor(random.next() * 20);
        else if (event < 0.45 && held.length > 0) {
          const [own] = held.splice(Math.floor(random.next() * held.length), 1);
          own?.permit.release();
          if (random.next() < 0.3) own?.permit.release();
        } else {
          const partition = pick(['a', 'b', 'other']);
          // The reference: all while there is room, then those below their share.
          const share = shares.get(partition);
          const own = held.filter((one) => one.partition === partition).length;
          const isUnder = share !== undefined && own < Math.max(1, Math.ceil(algorithm.limit * share));
          const permit = limiter.acquire(partition);
          assert.equal(permit !== undefined, held.length < algorithm.limit || isUnder, `round ${round}, step ${step}`);
          if (permit !== undefined) held.push({ partition, permit });
        }
        assert.equal(limiter.inFlight, held.length);
      }
    }
  });

  it('tell a longer wait the more was refused, and forget refusals with time', async () => {
    const clock = createFakeClock();
    const random = { next: () => 0.5 };
    const limiter = createLimiter({
      ...{ algorithm: settableLimit(2), window: createSampleWindow(everyCall), clock, random },
    });
    const permits = [limiter.acquire(''), limiter.acquire('')];
    await clock.advance(100);
    permits[0]?.release();
    limiter.acquire('');
    for (let call = 0; call < 9; call++) assert.equal(limiter.acquire(''), undefined);
    assert.equal(limiter.drainMs(), 500, '10 calls of 100 ms in 2 places');
    await clock.advance(1000);
    assert.equal(limiter.drainMs(), 275);
  });

  it('do not take for a drop what ran out of time sooner than an unloaded call ends', async () => {
    const algorithm = settableLimit(10);
    const clock = createFakeClock();
    const window = createSampleWindow(everyCall);
    const limiter = createLimiter({ algorithm, window, clock, random: createSeededRandom(1) });
    for (const end of [(permit: Permit) => permit.sample(20), (permit: Permit) => permit.drop(19)]) {
      await clock.advance(1);
      const permit = limiter.acquire('');
      assert.ok(permit);
      end(permit);
    }
    assert.deepEqual(algorithm.samples, [{ rttMs: 20, inFlight: 1, isDropped: false }]);
    await clock.advance(50);
    limiter.acquire('')?.drop(20);
    assert.equal(algorithm.samples.at(-1)?.isDropped, true);
  });
});

function start(config: object, clock: Clock = createFakeClock()) {
  return startOnly({ [id]: { enabled: true, ...config } }, { clock, only: [id] });
}

const one = { unary: { initial: 1, min: 1, max: 1 }, streams: { initial: 1, min: 1, max: 1 } };
const late = new AppError({ code: Code.DEADLINE_EXCEEDED, reason: 'LATE', message: 'late' });

describe('the concurrency limit', () => {
  it('is off unless it is switched on', async () => {
    await using engine = await startOnly({ [id]: one }, { clock: createFakeClock(), only: [id] });
    assert.equal(engine.open(createFakeCall()), undefined);
  });

  it('refuses what is beyond the limit before the endpoint runs, and lets in again when a call ended', async () => {
    await using engine = await start(one);
    const first = await holdCall(engine, createFakeCall());
    const call = createFakeCall();
    const { error, endpointSaw } = await runCall(engine, call);
    assert.deepEqual([error?.code, error?.reason], [Code.UNAVAILABLE, 'CONCURRENCY_LIMIT']);
    assert.equal(endpointSaw, undefined);
    assert.equal(localRefusal.get(call), id);
    const pushback = call.responseTrailers.get('grpc-retry-pushback-ms');
    assert.ok(Number(pushback) >= 10, `pushback ${pushback}`);
    assert.equal(String(error?.retryAfterMs), pushback);
    await first.end();
    assert.equal((await runCall(engine, createFakeCall())).error, undefined);
  });

  it('tells callers not to try again when the wait would be too long', async () => {
    const clock = createFakeClock();
    await using engine = await start({ ...one, maxPushbackMs: 20 }, clock);
    const first = await holdCall(engine, createFakeCall());
    await clock.advance(5000);
    await first.end();
    const second = await holdCall(engine, createFakeCall());
    const call = createFakeCall();
    const { error } = await runCall(engine, call);
    assert.equal(error?.retryAfterMs, undefined);
    assert.equal(call.responseTrailers.get('grpc-retry-pushback-ms'), '-1');
    await second.end();
  });

  it('counts streams from start to end, apart from unary calls', async () => {
    await using engine = await start(one);
    for (const kind of ['client_stream', 'server_stream', 'bidi_stream'] as const) {
      const stream = await holdCall(engine, createFakeCall({ kind }));
      assert.equal((await runCall(engine, createFakeCall({ kind }))).error?.reason, 'CONCURRENCY_LIMIT');
      assert.equal((await runCall(engine, createFakeCall())).error, undefined);
      await stream.end();
      assert.equal((await runCall(engine, createFakeCall({ kind }))).error, undefined);
    }
  });

  it('gives the place back however a call ends', async () => {
    await using engine = await start(one);
    for (const code of [Code.CANCELLED, Code.INTERNAL, Code.DEADLINE_EXCEEDED]) {
      const call = await holdCall(engine, createFakeCall());
      await call.fail(new AppError({ code, reason: 'X', message: 'x' }));
    }
    assert.equal((await runCall(engine, createFakeCall())).error, undefined);
  });

  it('keeps a share of the limit for each partition, bound only while the limit is reached', async () => {
    const shares = { CRITICAL: 0.5, BULK: 0.25 };
    const unary = { initial: 4, min: 4, max: 4 };
    await using engine = await start({ unary, partitionBy: 'priority', shares });
    const begin = (priority: 'CRITICAL' | 'BULK') => {
      const call = createFakeCall();
      callPriority.set(call, priority);
      return holdCall(engine, call);
    };
    const reasonOf = async (priority: 'CRITICAL' | 'BULK') => {
      const call = createFakeCall();
      callPriority.set(call, priority);
      return (await runCall(engine, call)).error?.reason;
    };
    const bulk = [await begin('BULK'), await begin('BULK'), await begin('BULK'), await begin('BULK')];
    assert.equal(await reasonOf('BULK'), 'CONCURRENCY_LIMIT');
    const critical = [await begin('CRITICAL'), await begin('CRITICAL')];
    assert.equal(await reasonOf('CRITICAL'), 'CONCURRENCY_LIMIT');
    for (const call of [...bulk, ...critical]) await call.end();
    assert.equal(await reasonOf('BULK'), undefined);
  });

  it('shares by principal id, too', async () => {
    const config = { unary: { initial: 1, min: 1, max: 1 }, partitionBy: 'principal', shares: { ann: 1 } };
    await using engine = await start(config);
    const of = (name: string) => ({ principal: { id: name, scopes: new Set<string>(), method: 'jwt' as const } });
    const bob = await holdCall(engine, createFakeCall(of('bob')));
    assert.equal((await runCall(engine, createFakeCall(of('bob')))).error?.reason, 'CONCURRENCY_LIMIT');
    assert.equal((await runCall(engine, createFakeCall(of('ann')))).error, undefined);
    await bob.end();
  });

  it('lowers the limit for calls that run out of time, not for other errors and not for cancelled calls', async () => {
    const admittedAfter = async (code: Code) => {
      const clock = createFakeClock();
      await using engine = await start({ unary: { initial: 20, min: 4, max: 20 } }, clock);
      for (let call = 0; call < 40; call++) {
        const held = await holdCall(engine, createFakeCall());
        await clock.advance(200);
        await held.fail(new AppError({ code, reason: 'X', message: 'x' }));
      }
      const calls: HeldCall[] = [];
      for (let call = 0; call < 30; call++) calls.push(await holdCall(engine, createFakeCall()));
      assert.ok(loadSignals.read(limiterUse) >= 1);
      const ended = await Promise.all(calls.map((call) => call.end()));
      assert.equal(loadSignals.read(limiterUse), 0);
      return ended.filter(({ error }) => error === undefined).length;
    };
    assert.ok((await admittedAfter(Code.DEADLINE_EXCEEDED)) < 18);
    for (const code of [Code.INTERNAL, Code.CANCELLED, Code.INVALID_ARGUMENT]) {
      assert.equal(await admittedAfter(code), 20);
    }
  });

  it('measures a stream by the time to its first response, from the latest request where the caller streams', async () => {
    /** Streams that are allowed at once after 20 with a pause of 0 and 40 with this pause before the request. */
    const admittedAfter = async (kind: 'server_stream' | 'bidi_stream', pauseMs: number, replyMs: number) => {
      const clock = createFakeClock();
      await using engine = await start({ streams: { initial: 2, min: 1, max: 2 } }, clock);
      for (let call = 0; call < 60; call++) {
        const session = engine.open(createFakeCall({ kind }));
        await session?.inbound?.();
        await clock.advance(call < 20 ? 0 : pauseMs);
        await session?.requestMessage?.('request');
        await clock.advance(call < 20 ? 10 : replyMs);
        await session?.responseMessage?.('response');
        // The rest of the stream is no latency, and its end by deadline is no drop.
        await clock.advance(2000);
        await session?.responseMessage?.('response');
        const counts = { durationMs: 2010, requestMessages: 1, responseMessages: 2 };
        session?.end?.({ code: Code.DEADLINE_EXCEEDED, error: late, ...counts });
      }
      const streams = [
        await holdCall(engine, createFakeCall({ kind })),
        await holdCall(engine, createFakeCall({ kind })),
      ];
      const ended = await Promise.all(streams.map((stream) => stream.end()));
      return ended.filter(({ error }) => error === undefined).length;
    };
    assert.equal(await admittedAfter('server_stream', 0, 10), 2);
    assert.equal(await admittedAfter('server_stream', 0, 900), 1);
    assert.equal(await admittedAfter('bidi_stream', 900, 10), 2);
    assert.equal(await admittedAfter('bidi_stream', 0, 900), 1);
  });

  it('tells a real client when to try again', async () => {
    await using engine = await start(one, systemClock);
    const gate = Promise.withResolvers<void>();
    const entered = Promise.withResolvers<void>();
    const echo = async () => {
      entered.resolve();
      await gate.promise;
      return { text: 'late' };
    };
    await using server = await startEcho({ echo }, { pipeline: engine });
    const first = server.client.echo({ text: 'first' });
    await entered.promise;
    const error = await rejectsWith(server.client.echo({ text: 'second' }), Code.UNAVAILABLE, 'CONCURRENCY_LIMIT');
    assert.ok((error.retryAfterMs ?? 0) >= 10, `${error.retryAfterMs}`);
    gate.resolve();
    assert.equal((await first).text, 'late');
  });

  it('leaves exempt paths alone', async () => {
    await using engine = await start(one);
    const first = await holdCall(engine, createFakeCall());
    const health = createFakeCall({ service: 'grpc.health.v1.Health', method: 'Check' });
    assert.equal((await runCall(engine, health)).error, undefined);
    await first.end();
  });

  it('refuses a configuration that cannot be', async () => {
    const faulty = [{ unary: { initial: 0 } }, { shares: { a: 2 } }, { algorithm: 'none' }, { tolerance: 0.5 }];
    for (const config of faulty) await rejectsWith(start(config), Code.INVALID_ARGUMENT, 'FILTER_CONFIG_INVALID');
    for (const config of [{ shares: { a: 0.7, b: 0.7 } }, { unary: { initial: 10, min: 20 } }]) {
      await rejectsWith(start(config), Code.INVALID_ARGUMENT, 'FILTER_CONFIG_INVALID');
    }
  });
});
