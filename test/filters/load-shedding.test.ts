import assert from 'node:assert/strict';
import { type CallPriority, callPriority, limiterUse, loadSignals, localRefusal } from '../../plugins/engine/filter.ts';
import { startLoopProbe } from '../../plugins/filters/load-shedding/loop-probe.ts';
import { createPressure } from '../../plugins/filters/load-shedding/pressure.ts';
import { shedThreshold, subPriority } from '../../plugins/filters/load-shedding/shed-threshold.ts';
import { Code } from '../../server/core/codes.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { runCall } from './bed/run-call.ts';
import { startOnly } from './bed/start-only.ts';

const id = 'showrunner.load-shedding';

function start(config: object = {}, clock = createFakeClock()) {
  return startOnly({ [id]: { enabled: true, ...config } }, { clock, only: [id] });
}

/** Publishes a use of the concurrency limit until disposed. */
function press(use: () => number): Disposable {
  return { [Symbol.dispose]: loadSignals.publish(limiterUse, use) };
}

describe('the shed threshold', () => {
  it('falls with the cube of the pressure', () => {
    const rounded = [0, 0.35, 0.8, 0.95, 1].map((x) => Math.round(shedThreshold(x) * 10) / 10);
    assert.deepEqual(rounded, [100, 95.7, 48.8, 14.3, 0]);
  });

  it('orders sub-priorities by class, without gaps', () => {
    const edges = (['CRITICAL', 'DEGRADED', 'BEST_EFFORT', 'BULK'] as const).map((name) => [
      subPriority(name, 0),
      subPriority(name, 1),
    ]);
    assert.deepEqual(edges.flat(), [0, 2, 2, 40, 40, 70, 70, 100]);
  });
});

describe('pressure', () => {
  const source = (name: string, read: () => number) => ({ name, read, throttleAt: 10, saturateAt: 20 });

  it('is the highest source, scaled between its points, and follows a rise faster than a fall', async () => {
    const clock = createFakeClock();
    const readings = { a: 0, b: 0 };
    const sources = [source('a', () => readings.a), source('b', () => readings.b)];
    const pressure = createPressure({ sources, clock, riseMs: 100, fallMs: 1000 });
    await clock.advance(100);
    assert.equal(pressure.read(), 0);
    Object.assign(readings, { a: 12, b: 15 });
    await clock.advance(100);
    assert.ok(Math.abs(pressure.read() - 0.5 * (1 - 1 / Math.E)) < 1e-9);
    assert.equal(pressure.by, 'b');
    await clock.advance(10_000);
    assert.ok(Math.abs(pressure.read() - 0.5) < 1e-9);
    Object.assign(readings, { a: 0, b: 1000 });
    await clock.advance(10_000);
    assert.ok(Math.abs(pressure.read() - 1) < 1e-9);
    Object.assign(readings, { b: 0 });
    await clock.advance(100);
    assert.ok(pressure.read() > 0.9, 'goes slowly');
    await clock.advance(10_000);
    assert.ok(pressure.read() < 1e-3);
  });

  it('takes no part of a reading that is no number, and no range that is none', () => {
    const clock = createFakeClock();
    const pressure = createPressure({ sources: [source('a', () => Number.NaN)], clock, riseMs: 1, fallMs: 1 });
    assert.equal(pressure.read(), 0);
    const wrong = { ...source('a', () => 0), saturateAt: 10 };
    assert.throws(() => createPressure({ sources: [wrong], clock, riseMs: 1, fallMs: 1 }), /throttleAt < saturateAt/);
  });
});

describe('the loop probe', () => {
  it('measures how late timers run, and counts one that is overdue', () => {
    let now = 0;
    let due: (() => void) | undefined;
    const clock = {
      ...createFakeClock(),
      monotonic: () => now,
      schedule: (_ms: number, run: () => void) => {
        due = run;
        return () => {
          due = undefined;
        };
      },
    };
    const probe = startLoopProbe(clock, 100, () => 0.5);
    const run = (at: number) => {
      now = at;
      due?.();
    };
    run(100);
    assert.deepEqual([probe.lagMs(), probe.heapShare()], [0, 0.5]);
    run(260);
    assert.equal(probe.lagMs(), 30);
    run(360);
    assert.equal(probe.lagMs(), 15);
    now = 860;
    assert.equal(probe.lagMs(), 200);
    probe.stop();
    assert.equal(due, undefined);
  });
});

describe('load shedding', () => {
  it('is off unless it is switched on', async () => {
    await using engine = await startOnly({}, { clock: createFakeClock(), only: [id] });
    assert.equal(engine.open(createFakeCall()), undefined);
  });

  const scope = (...scopes: string[]) => ({ id: 'ann', scopes: new Set(scopes), method: 'jwt' as const });
  const rules = [
    { path: '/test.Play/*', priority: 'CRITICAL' },
    { path: '/test.*', priority: 'BEST_EFFORT' },
  ];
  const cases: readonly [string, object, Parameters<typeof createFakeCall>[0], CallPriority][] = [
    ['the first rule that matches', {}, { service: 'test.Play' }, 'CRITICAL'],
    ['a later rule', {}, { service: 'test.Browse' }, 'BEST_EFFORT'],
    ['the default without a rule', {}, { service: 'other' }, 'DEGRADED'],
    ['its rule, though an untrusted caller asks for more', {}, asking('CRITICAL', 'test.Browse'), 'BEST_EFFORT'],
    ['less, where an untrusted caller asks for less', {}, asking('BULK', 'test.Play'), 'BULK'],
    [
      'what a caller with the scope asks for',
      { trustHeader: 'scope' },
      { ...asking('CRITICAL', 'test.Browse'), principal: scope('priority.set') },
      'CRITICAL',
    ],
    [
      'its rule, where the caller lacks the scope',
      { trustHeader: 'scope' },
      { ...asking('CRITICAL', 'test.Browse'), principal: scope('other') },
      'BEST_EFFORT',
    ],
    [
      'what anybody asks for, where all are trusted',
      { trustHeader: 'all' },
      asking('CRITICAL', 'test.Browse'),
      'CRITICAL',
    ],
    ['its rule, for an unknown priority', { trustHeader: 'all' }, asking('critical', 'test.Browse'), 'BEST_EFFORT'],
  ];

  function asking(priority: string, service: string) {
    return { service, metadata: { 'x-priority': priority } };
  }

  for (const [what, config, init, expected] of cases) {
    it(`grants ${what}`, async () => {
      await using engine = await start({ ...config, rules });
      const call = createFakeCall(init);
      assert.equal((await runCall(engine, call)).error, undefined);
      assert.equal(callPriority.get(call), expected);
    });
  }

  it('refuses by class under pressure, with a longer wait the less it matters', async () => {
    const clock = createFakeClock();
    // Pressure 0.9: the threshold is 27.
    using _pressure = press(() => 0.815);
    await using engine = await start({ trustHeader: 'all' }, clock);
    await clock.advance(60_000);
    const refusedOf = async (priority: CallPriority) => {
      let refused = 0;
      for (let call = 0; call < 200; call++) {
        const { error } = await runCall(engine, createFakeCall(asking(priority, 'test.Service')));
        if (error !== undefined) refused++;
      }
      return refused;
    };
    assert.equal(await refusedOf('CRITICAL'), 0);
    const degraded = await refusedOf('DEGRADED');
    assert.ok(degraded > 40 && degraded < 100, `${degraded} of 200`);
    assert.deepEqual([await refusedOf('BEST_EFFORT'), await refusedOf('BULK')], [200, 200]);
    const call = createFakeCall(asking('BULK', 'test.Service'));
    const { error, endpointSaw } = await runCall(engine, call);
    assert.deepEqual([error?.code, error?.reason], [Code.UNAVAILABLE, 'LOAD_SHED']);
    assert.deepEqual([error?.metadata['priority'], error?.metadata['by']], ['BULK', 'limiter']);
    assert.equal(endpointSaw, undefined);
    assert.equal(localRefusal.get(call), id);
    const waitMs = Number(call.responseTrailers.get('grpc-retry-pushback-ms'));
    assert.ok(waitMs >= 2500 && waitMs <= 7500, `${waitMs}`);
    assert.equal(error?.retryAfterMs, waitMs);
  });

  it('tells the lower classes not to try again when full, and the upper ones when to', async () => {
    const clock = createFakeClock();
    using _pressure = press(() => 5);
    await using engine = await start({ trustHeader: 'all' }, clock);
    await clock.advance(60_000);
    const pushbackOf = async (priority: CallPriority) => {
      const call = createFakeCall(asking(priority, 'test.Service'));
      assert.equal((await runCall(engine, call)).error?.reason, 'LOAD_SHED');
      return Number(call.responseTrailers.get('grpc-retry-pushback-ms'));
    };
    assert.deepEqual([await pushbackOf('BULK'), await pushbackOf('BEST_EFFORT')], [-1, -1]);
    assert.ok((await pushbackOf('CRITICAL')) <= 150);
  });

  it('never sheds exempt paths', async () => {
    const clock = createFakeClock();
    using _pressure = press(() => 5);
    await using engine = await start({}, clock);
    await clock.advance(60_000);
    const health = createFakeCall({ service: 'grpc.health.v1.Health', method: 'Check' });
    assert.equal((await runCall(engine, health)).error, undefined);
  });

  it('refuses a configuration that cannot be', async () => {
    const faulty = [
      { rules: [{ path: '*', priority: 'HIGH' }] },
      { trustHeader: 'some' },
      { limiter: { saturateAt: -1 } },
    ];
    for (const config of faulty) await rejectsWith(start(config), Code.INVALID_ARGUMENT, 'FILTER_CONFIG_INVALID');
    const starting = start({ heap: { throttleAt: 0.9, saturateAt: 0.9 } });
    await rejectsWith(starting, Code.INVALID_ARGUMENT, 'FILTER_CONFIG_INVALID');
  });
});
