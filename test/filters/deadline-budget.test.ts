import assert from 'node:assert/strict';
import { deadlineOf, effectiveDeadline, localRefusal } from '../../plugins/engine/filter.ts';
import { createLatencyMedians } from '../../plugins/filters/deadline-budget/latency-medians.ts';
import { type Clock, systemClock } from '../../server/core/clock.ts';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { createSeededRandom } from '../../server/core/random.ts';
import { startEcho } from '../rpc/fixtures/echo-server.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { holdCall } from './bed/held-call.ts';
import { runCall } from './bed/run-call.ts';
import { startOnly } from './bed/start-only.ts';

const id = 'showrunner.deadline-budget';

function start(config: object = {}, clock: Clock = createFakeClock()) {
  return startOnly({ [id]: { enabled: true, ...config } }, { clock, only: [id] });
}

type Engine = Awaited<ReturnType<typeof start>>;

/** Calls of `Get` that each take so long. */
async function measure(engine: Engine, clock: ReturnType<typeof createFakeClock>, count: number, tookMs: number) {
  for (let call = 0; call < count; call++) {
    const held = await holdCall(engine, createFakeCall());
    await clock.advance(tookMs);
    await held.end();
  }
}

describe('latency medians', () => {
  it('are near those of all latencies, and need enough of them, lately', async () => {
    const clock = createFakeClock();
    const random = createSeededRandom(2);
    const medians = createLatencyMedians({ maxKeys: 10, minSamples: 5, maxAgeMs: 1000, clock });
    for (let call = 0; call < 4; call++) medians.add('a', 50);
    assert.equal(medians.find('a'), undefined);
    medians.add('a', 50);
    assert.equal(medians.find('a'), 50);
    for (let call = 0; call < 200; call++) medians.add('a', random.next() < 0.4 ? 1 : 90 + 20 * random.next());
    const median = medians.find('a') ?? 0;
    assert.ok(median > 85 && median < 110, `${median}`);
    await clock.advance(1001);
    assert.equal(medians.find('a'), undefined);
  });

  it('are kept for a bounded number of keys', () => {
    const medians = createLatencyMedians({ maxKeys: 3, minSamples: 1, maxAgeMs: 1000, clock: createFakeClock() });
    for (let key = 0; key < 10; key++) medians.add(`k${key}`, key);
    assert.deepEqual([medians.find('k0'), medians.find('k9'), medians.evicted], [undefined, 9, 7]);
  });
});

describe('the deadline budget', () => {
  it('is off unless it is switched on', async () => {
    await using engine = await start({ enabled: false });
    assert.equal(engine.open(createFakeCall()), undefined);
  });

  it('gives default and longest deadlines by path, and hands them on', async () => {
    const clock = createFakeClock();
    const rules = [{ path: '/test.Slow/*', defaultMs: 5000, maxMs: 9000 }];
    await using engine = await start({ rules, defaultMs: 1000, maxMs: 2000 }, clock);
    const infinite = Number.POSITIVE_INFINITY;
    const cases: readonly [service: string, askedMs: number, expectedMs: number][] = [
      ['test.Fast', infinite, 1000],
      ['test.Fast', 100, 100],
      ['test.Fast', 60_000, 2000],
      ['test.Slow', infinite, 5000],
      ['test.Slow', 60_000, 9000],
    ];
    for (const [service, askedMs, expectedMs] of cases) {
      const call = createFakeCall({ service, deadline: clock.now() + askedMs, startedAt: clock.monotonic() });
      await runCall(engine, call);
      assert.equal(deadlineOf(call) - clock.now(), expectedMs);
    }
  });

  it('counts from the arrival of the call, and drops what has no time left before its handler', async () => {
    const clock = createFakeClock();
    await using engine = await start({ defaultMs: 1000 }, clock);
    await clock.advance(5000);
    const waited = createFakeCall({ startedAt: clock.monotonic() - 400 });
    await runCall(engine, waited);
    assert.equal(deadlineOf(waited) - clock.now(), 600);
    const late = createFakeCall({ startedAt: clock.monotonic() - 1000 });
    const { error, endpointSaw } = await runCall(engine, late);
    assert.deepEqual([error?.code, error?.reason], [Code.DEADLINE_EXCEEDED, 'DEADLINE_EXPIRED']);
    assert.equal(endpointSaw, undefined);
    assert.equal(localRefusal.get(late), id);
  });

  it('leaves streams alone unless told otherwise', async () => {
    const clock = createFakeClock();
    for (const [streams, expected] of [
      [false, undefined],
      [true, clock.now() + 1000],
    ] as const) {
      await using engine = await start({ defaultMs: 1000, streams }, clock);
      const call = createFakeCall({ kind: 'server_stream' });
      await runCall(engine, call);
      assert.equal(effectiveDeadline.get(call), expected);
    }
  });

  it('refuses at once what has less time than half of the calls take', async () => {
    const clock = createFakeClock();
    await using engine = await start({ probePercent: 0 }, clock);
    await measure(engine, clock, 20, 100);
    const short = createFakeCall({ deadline: clock.now() + 99 });
    const { error, endpointSaw } = await runCall(engine, short);
    assert.deepEqual([error?.code, error?.reason], [Code.DEADLINE_EXCEEDED, 'DEADLINE_TOO_SHORT']);
    assert.deepEqual(error?.metadata, { left_ms: '99', typical_ms: '100' });
    assert.equal(endpointSaw, undefined);
    assert.equal(localRefusal.get(short), id);
    assert.equal((await runCall(engine, createFakeCall({ deadline: clock.now() + 100 }))).error, undefined);
    const other = createFakeCall({ method: 'Other', deadline: clock.now() + 1 });
    assert.equal((await runCall(engine, other)).error, undefined);
    const stream = createFakeCall({ kind: 'bidi_stream', deadline: clock.now() + 1 });
    assert.equal((await runCall(engine, stream)).error, undefined);
  });

  it('notices by its probes that a method became faster', async () => {
    const clock = createFakeClock();
    await using engine = await start({ probePercent: 20 }, clock);
    await measure(engine, clock, 20, 100);
    let refused = 0;
    for (let call = 0; call < 1000; call++) {
      const held = await holdCall(engine, createFakeCall({ deadline: clock.now() + 50 }));
      await clock.advance(1);
      if ((await held.end()).error !== undefined) refused++;
    }
    assert.ok(refused > 50 && refused < 500, `${refused}`);
    assert.equal((await runCall(engine, createFakeCall({ deadline: clock.now() + 50 }))).error, undefined);
  });

  it('forgets what it measured with time', async () => {
    const clock = createFakeClock();
    await using engine = await start({ probePercent: 0, maxAgeMs: 1000 }, clock);
    await measure(engine, clock, 20, 100);
    await clock.advance(1001);
    assert.equal((await runCall(engine, createFakeCall({ deadline: clock.now() + 1 }))).error, undefined);
  });

  it('takes no measure of calls that failed', async () => {
    const clock = createFakeClock();
    await using engine = await start({ probePercent: 0 }, clock);
    for (let call = 0; call < 30; call++) {
      const held = await holdCall(engine, createFakeCall());
      await clock.advance(100);
      await held.fail(new AppError({ code: Code.INTERNAL, reason: 'X', message: 'x' }));
    }
    assert.equal((await runCall(engine, createFakeCall({ deadline: clock.now() + 1 }))).error, undefined);
  });

  it('stops calls at a deadline that it set, not at one of the caller, and not after their end', async () => {
    const clock = createFakeClock();
    const stopped: string[] = [];
    const stop = ({ reason }: AppError) => void stopped.push(reason);
    await using engine = await start({ maxMs: 1000 }, clock);
    const own = await holdCall(engine, createFakeCall({ stop }));
    const callers = await holdCall(engine, createFakeCall({ stop, deadline: clock.now() + 500 }));
    const quick = await holdCall(engine, createFakeCall({ stop }));
    await quick.end();
    await clock.advance(999);
    assert.deepEqual(stopped, []);
    await clock.advance(1);
    assert.deepEqual(stopped, ['DEADLINE_ALLOWED_EXCEEDED']);
    await own.end();
    await callers.end();
  });

  it('ends a call over a real connection, and the handler hears of it', async () => {
    await using engine = await start({ defaultMs: 50, maxMs: 50 }, systemClock);
    const heard = Promise.withResolvers<void>();
    const implementation = {
      echo: (_request: unknown, { signal }: { signal: AbortSignal }) =>
        new Promise<never>((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            heard.resolve();
            reject(signal.reason);
          });
        }),
    };
    await using echo = await startEcho(implementation, { pipeline: engine });
    await rejectsWith(echo.client.echo({ text: 'x' }), Code.DEADLINE_EXCEEDED, 'DEADLINE_ALLOWED_EXCEEDED');
    await heard.promise;
  });

  it('refuses a configuration out of range', async () => {
    for (const config of [{ maxMs: 0 }, { rules: [{ defaultMs: 5 }] }, { probePercent: 101 }]) {
      await rejectsWith(start(config), Code.INVALID_ARGUMENT, 'FILTER_CONFIG_INVALID');
    }
  });
});
