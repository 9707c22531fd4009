import assert from 'node:assert/strict';
import { localRefusal } from '../../plugins/engine/filter.ts';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createFakeCall, type FakeCall } from './bed/fake-call.ts';
import { holdCall } from './bed/held-call.ts';
import { createLogBook } from './bed/log-book.ts';
import { runCall } from './bed/run-call.ts';
import { startOnly } from './bed/start-only.ts';

const id = 'showrunner.circuit-breaker';

function start(config: object = {}, clock: FakeClock = createFakeClock(), log = createLogBook().log) {
  const small = { enabled: true, window: 'COUNT', windowSize: 4, minCalls: 4, probes: 1, openMs: 1000 };
  return startOnly({ [id]: { ...small, ...config } }, { clock, log, only: [id] });
}

type Engine = Awaited<ReturnType<typeof start>>;

async function fail(engine: Engine, count: number, code: Code, make: () => FakeCall = () => createFakeCall()) {
  for (let call = 0; call < count; call++) {
    const failing = await holdCall(engine, make());
    await failing.fail(new AppError({ code, reason: 'X', message: 'x' }));
  }
}

async function reasonOf(engine: Engine, call = createFakeCall()): Promise<string | undefined> {
  return (await runCall(engine, call)).error?.reason;
}

describe('the circuit breaker filter', () => {
  it('is off unless it is switched on', async () => {
    await using engine = await start({ enabled: false });
    assert.equal(engine.open(createFakeCall()), undefined);
  });

  it('refuses at once with the wait while open, probes after it, and closes again', async () => {
    const clock = createFakeClock();
    const book = createLogBook();
    await using engine = await start({}, clock, book.log);
    await fail(engine, 4, Code.UNAVAILABLE);
    const call = createFakeCall();
    const { error, endpointSaw } = await runCall(engine, call);
    assert.deepEqual([error?.code, error?.reason], [Code.UNAVAILABLE, 'CIRCUIT_OPEN']);
    assert.deepEqual(error?.metadata, { by: 'service', state: 'OPEN' });
    assert.equal(endpointSaw, undefined);
    assert.equal(localRefusal.get(call), id);
    const waitMs = Number(call.responseTrailers.get('grpc-retry-pushback-ms'));
    assert.ok(waitMs >= 1000 && waitMs <= 1100, `${waitMs}`);
    await clock.advance(waitMs);
    const probe = await holdCall(engine, createFakeCall());
    assert.equal(await reasonOf(engine), 'CIRCUIT_OPEN');
    await probe.end();
    assert.equal(await reasonOf(engine), undefined);
    const changes = book.of('circuit breaker changed').map(({ from, to, key }) => `${key} ${from} ${to}`);
    const service = 'test.Service';
    assert.deepEqual(changes, [`${service} CLOSED OPEN`, `${service} OPEN HALF_OPEN`, `${service} HALF_OPEN CLOSED`]);
  });

  it('opens again when the probe is never heard of', async () => {
    const clock = createFakeClock();
    await using engine = await start({ probeLeaseMs: 300 }, clock);
    await fail(engine, 4, Code.INTERNAL);
    await clock.advance(1100);
    const lost = await holdCall(engine, createFakeCall());
    await clock.advance(300);
    assert.equal(await reasonOf(engine), 'CIRCUIT_OPEN');
    await clock.advance(2200);
    assert.equal(await reasonOf(engine), undefined);
    assert.equal(await reasonOf(engine), undefined);
    await lost.end();
  });

  it('closes by streams that answer, however long they go on', async () => {
    const clock = createFakeClock();
    await using engine = await start({ probeLeaseMs: 300 }, clock);
    await fail(engine, 4, Code.INTERNAL);
    await clock.advance(1100);
    const probe = engine.open(createFakeCall({ kind: 'server_stream', method: 'Watch' }));
    await probe?.inbound?.();
    assert.equal(await reasonOf(engine), 'CIRCUIT_OPEN');
    await probe?.responseMessage?.({});
    await clock.advance(300);
    assert.equal(await reasonOf(engine), undefined);
    await probe?.responseMessage?.({});
    probe?.end?.({
      code: Code.UNAVAILABLE,
      error: undefined,
      durationMs: 300,
      requestMessages: 1,
      responseMessages: 2,
    });
    assert.equal(await reasonOf(engine), undefined);
  });

  it('has a breaker per service, method or principal, as configured', async () => {
    const other = { service: 'test.Other' };
    const principal = (name: string) => ({ id: name, scopes: new Set<string>(), method: 'jwt' as const });
    const cases = [
      ['service', {}, other],
      ['method', {}, { method: 'List' }],
      ['principal', { principal: principal('ann') }, { principal: principal('bob') }],
    ] as const;
    for (const [by, bad, good] of cases) {
      await using engine = await start({ by });
      await fail(engine, 4, Code.UNAVAILABLE, () => createFakeCall(bad));
      assert.equal(await reasonOf(engine, createFakeCall(bad)), 'CIRCUIT_OPEN');
      assert.equal(await reasonOf(engine, createFakeCall(good)), undefined);
    }
  });

  it('counts only the configured codes as failures', async () => {
    for (const code of [Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.RESOURCE_EXHAUSTED, Code.CANCELLED]) {
      await using engine = await start();
      await fail(engine, 20, code);
      assert.equal(await reasonOf(engine), undefined);
    }
    await using engine = await start({ failureCodes: ['RESOURCE_EXHAUSTED'] });
    await fail(engine, 20, Code.UNAVAILABLE);
    assert.equal(await reasonOf(engine), undefined);
    await fail(engine, 4, Code.RESOURCE_EXHAUSTED);
    assert.equal(await reasonOf(engine), 'CIRCUIT_OPEN');
  });

  it('leaves out refusals for load, and callers that ran out of time too soon', async () => {
    await using engine = await start();
    const refused = () => {
      const call = createFakeCall();
      localRefusal.set(call, 'test.other');
      return call;
    };
    await fail(engine, 20, Code.UNAVAILABLE, refused);
    await fail(engine, 20, Code.DEADLINE_EXCEEDED);
    assert.equal(await reasonOf(engine), undefined);
    await using strict = await start({ minTimeoutMs: 0 });
    await fail(strict, 4, Code.DEADLINE_EXCEEDED);
    assert.equal(await reasonOf(strict), 'CIRCUIT_OPEN');
  });

  it('opens on slow unary calls, not on long streams', async () => {
    for (const [kind, expected] of [
      ['unary', 'CIRCUIT_OPEN'],
      ['server_stream', undefined],
    ] as const) {
      const clock = createFakeClock();
      await using engine = await start({ slowMs: 100, slowRate: 50 }, clock);
      for (let call = 0; call < 4; call++) {
        const held = await holdCall(engine, createFakeCall({ kind }));
        await clock.advance(101);
        await held.end();
      }
      assert.equal(await reasonOf(engine, createFakeCall({ kind })), expected);
    }
  });

  it('takes forced modes by key', async () => {
    const modes = [
      { key: 'test.Down', mode: 'FORCED_OPEN' },
      { key: 'test.Never*', mode: 'DISABLED' },
      { key: 'test.Shadow', mode: 'METRICS_ONLY' },
    ];
    const book = createLogBook();
    await using engine = await start({ modes }, createFakeClock(), book.log);
    const down = createFakeCall({ service: 'test.Down' });
    assert.equal(await reasonOf(engine, down), 'CIRCUIT_OPEN');
    assert.equal(down.responseTrailers.get('grpc-retry-pushback-ms'), '-1');
    for (const service of ['test.NeverOpen', 'test.Shadow']) {
      await fail(engine, 10, Code.UNAVAILABLE, () => createFakeCall({ service }));
      assert.equal(await reasonOf(engine, createFakeCall({ service })), undefined);
    }
    assert.deepEqual(
      book.of('circuit breaker would open').map(({ key }) => key),
      ['test.Shadow'],
    );
  });

  it('keeps a bounded table in which open breakers stay', async () => {
    await using engine = await start({ maxKeys: 3 });
    const bad = () => createFakeCall({ service: 'test.Bad' });
    await fail(engine, 4, Code.UNAVAILABLE, bad);
    for (let key = 0; key < 50; key++) await runCall(engine, createFakeCall({ service: `scan.${key}` }));
    assert.equal(await reasonOf(engine, bad()), 'CIRCUIT_OPEN');
  });

  it('refuses a configuration out of range', async () => {
    for (const config of [{ failureRate: 0 }, { windowSize: 0 }, { failureCodes: ['OK'] }, { by: 'peer' }]) {
      await rejectsWith(start(config), Code.INVALID_ARGUMENT, 'FILTER_CONFIG_INVALID');
    }
  });
});
