import assert from 'node:assert/strict';
import { createTokenBuckets } from '../../plugins/engine/contract/token-buckets.ts';
import { Code } from '../../server/core/codes.ts';
import { createSeededRandom } from '../../server/core/random.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { runCall } from './bed/run-call.ts';
import { startShipped } from './bed/shipped.ts';

const id = 'showrunner.rate-limit';
const only = [id];
const principal = (name: string) => ({ id: name, scopes: new Set<string>(), method: 'jwt' as const });

describe('token buckets', () => {
  it('behave as the reference model in 20,000 random events, exact to the ms', async () => {
    const random = createSeededRandom(11);
    const whole = (least: number, most: number) => least + Math.floor(random.next() * (most - least + 1));
    for (let round = 0; round < 20; round++) {
      const clock = createFakeClock();
      const ratePerSecond = whole(1, 300);
      const burst = whole(1, 20);
      const buckets = createTokenBuckets({ ratePerSecond, burst, maxKeys: 100, clock });
      // The reference: whole thousandths of tokens since the last event, in BigInt.
      const model = new Map<string, { level: bigint; at: number }>();
      for (let step = 0; step < 1000; step++) {
        if (random.next() < 0.5) await clock.advance(random.next() < 0.1 ? whole(0, 5000) : whole(0, 20));
        const key = `k${whole(0, 4)}`;
        const now = clock.monotonic();
        const bucket = model.get(key) ?? { level: BigInt(burst) * 1000n, at: now };
        model.set(key, bucket);
        const filled = bucket.level + BigInt(now - bucket.at) * BigInt(ratePerSecond);
        bucket.level = filled < BigInt(burst) * 1000n ? filled : BigInt(burst) * 1000n;
        bucket.at = now;
        const isAllowed = bucket.level >= 1000n;
        const missing = 1000n - bucket.level;
        const rate = BigInt(ratePerSecond);
        const expected = isAllowed ? 0 : Number((missing + rate - 1n) / rate);
        if (isAllowed) bucket.level -= 1000n;
        assert.equal(buckets.take(key), expected, `round ${round}, step ${step}`);
      }
    }
  });

  it('say a wait after which the call passes, and not a ms before', async () => {
    for (const ratePerSecond of [1, 3, 7, 250, 999]) {
      const clock = createFakeClock();
      const buckets = createTokenBuckets({ ratePerSecond, burst: 1, maxKeys: 10, clock });
      assert.equal(buckets.take('a'), 0);
      const waitMs = buckets.take('a');
      await clock.advance(waitMs - 1);
      assert.equal(buckets.take('a'), 1);
      await clock.advance(1);
      assert.equal(buckets.take('a'), 0);
    }
  });

  it('keep a bounded table, in which the bucket used longest ago makes room, and count that', () => {
    const buckets = createTokenBuckets({ ratePerSecond: 1, burst: 1, maxKeys: 3, clock: createFakeClock() });
    for (const key of ['a', 'b', 'c']) assert.equal(buckets.take(key), 0);
    assert.equal(buckets.take('a'), 1000);
    assert.equal(buckets.take('d'), 0);
    assert.deepEqual([buckets.size, buckets.evicted], [3, 1]);
    assert.equal(buckets.take('a'), 1000, 'was used lately and is still there');
    assert.equal(buckets.take('b'), 0, 'made room and is full again');
    for (let i = 0; i < 10_000; i++) buckets.take(`attacker ${i}`);
    assert.equal(buckets.size, 3);
  });
});

describe('rate limit', () => {
  it('refuses beyond the burst with the exact wait, as error and as pushback, and then lets through', async () => {
    const clock = createFakeClock();
    await using engine = await startShipped({ [id]: { ratePerSecond: 4, burst: 2 } }, { clock, only });
    for (let i = 0; i < 2; i++) assert.equal((await runCall(engine, createFakeCall())).error, undefined);
    await clock.advance(100);
    const call = createFakeCall();
    const { error, endpointSaw } = await runCall(engine, call);
    assert.deepEqual([error?.code, error?.reason, error?.retryAfterMs], [Code.RESOURCE_EXHAUSTED, 'RATE_LIMITED', 150]);
    assert.equal(endpointSaw, undefined);
    assert.equal(call.responseTrailers.get('grpc-retry-pushback-ms'), '150');
    await clock.advance(150);
    assert.equal((await runCall(engine, createFakeCall())).error, undefined);
  });

  it('counts each principal by itself, whatever connection it comes from', async () => {
    await using engine = await startShipped({ [id]: { burst: 1 } }, { clock: createFakeClock(), only });
    const reasonOf = async (name: string, peer: string) =>
      (await runCall(engine, createFakeCall({ principal: principal(name), peer }))).error?.reason;
    assert.equal(await reasonOf('ann', '10.0.0.1:1'), undefined);
    assert.equal(await reasonOf('bob', '10.0.0.1:1'), undefined);
    assert.equal(await reasonOf('ann', '10.0.0.2:1'), 'RATE_LIMITED');
  });

  it('counts anonymous callers by host, without the port, for IPv6 too', async () => {
    await using engine = await startShipped({ [id]: { burst: 1 } }, { clock: createFakeClock(), only });
    const anonymous = { id: 'anonymous', scopes: new Set<string>(), method: 'none' as const };
    const reasonOf = async (peer: string) =>
      (await runCall(engine, createFakeCall({ peer, principal: anonymous }))).error?.reason;
    assert.equal(await reasonOf('10.0.0.1:1000'), undefined);
    assert.equal(await reasonOf('10.0.0.1:2000'), 'RATE_LIMITED');
    assert.equal(await reasonOf('10.0.0.2:1000'), undefined);
    assert.equal(await reasonOf('[::1]:1000'), undefined);
    assert.equal(await reasonOf('[::1]:2000'), 'RATE_LIMITED');
  });

  it('does not take a principal for a peer of the same name', async () => {
    await using engine = await startShipped({ [id]: { burst: 1 } }, { clock: createFakeClock(), only });
    const peer = '10.0.0.1:1';
    assert.equal((await runCall(engine, createFakeCall({ peer }))).error, undefined);
    const named = createFakeCall({ peer, principal: principal('10.0.0.1') });
    assert.equal((await runCall(engine, named)).error, undefined);
  });

  it('leaves exempt paths alone, and counts unknown methods', async () => {
    const config = { [id]: { burst: 1, exemptPaths: ['/grpc.health.v1.Health/*'] } };
    await using engine = await startShipped(config, { clock: createFakeClock(), only });
    const health = () => createFakeCall({ service: 'grpc.health.v1.Health', method: 'Check' });
    for (let i = 0; i < 5; i++) assert.equal((await runCall(engine, health())).error, undefined);
    const unknown = () => createFakeCall({ known: false, service: 'scan' });
    assert.equal((await runCall(engine, unknown())).error, undefined);
    assert.equal((await runCall(engine, unknown())).error?.reason, 'RATE_LIMITED');
  });

  it('refuses a configuration out of range', async () => {
    for (const config of [{ ratePerSecond: 0 }, { burst: 0 }, { burst: 1.5 }, { maxKeys: 0 }, { rate: 5 }]) {
      const starting = startShipped({ [id]: config }, { clock: createFakeClock(), only });
      await rejectsWith(starting, Code.INVALID_ARGUMENT, 'FILTER_CONFIG_INVALID');
    }
  });
});
