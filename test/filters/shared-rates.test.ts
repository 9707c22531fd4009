import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import { silentLogger } from '../../server/core/log.ts';
import type { SharedRates } from '../../server/core/shared-rates.ts';
import { createSharedRates } from '../../workers/queue/shared-rates.ts';
import { type OpenedRedis, openRedis } from '../../workers/redis/private-redis.ts';
import { redisCommand } from '../jobs/fixtures/redis-command.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createTempDir, type TempDir } from '../support/temp-dir.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { runCall } from './bed/run-call.ts';
import { startShipped } from './bed/shipped.ts';

const id = 'showrunner.rate-limit';
const isPassed = async (call: ReturnType<typeof runCall>) => (await call).error === undefined;

describe('rates that servers share', () => {
  let temp: TempDir;
  let redis: OpenedRedis;
  const open: ReturnType<typeof createSharedRates>[] = [];
  const connect = () => {
    const rates = createSharedRates({ url: redis.url, log: silentLogger });
    open.push(rates);
    return rates;
  };
  /** Asks until the connection is there. */
  const connected = async (rates: SharedRates) => {
    for (;;) {
      try {
        await rates.take('warm-up', { ratePerSecond: 1e6, burst: 1000 });
        return rates;
      } catch {
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  };

  before(async () => {
    temp = await createTempDir();
    redis = await openRedis({ dir: temp.path, log: silentLogger });
  });
  after(async () => {
    for (const rates of open) await rates.close();
    await redis.close();
    await temp[Symbol.asyncDispose]();
  });

  it('grant a burst once, however many servers ask at the same time, and say the wait', async () => {
    const servers = await Promise.all([1, 2, 3].map(() => connected(connect())));
    const rate = { ratePerSecond: 0.01, burst: 7 };
    const waits = await Promise.all(Array.from({ length: 30 }, (_, i) => servers[i % 3]?.take('burst', rate)));
    assert.equal(waits.filter((wait) => wait === 0).length, 7);
    for (const wait of waits)
      assert.ok(wait === 0 || (wait !== undefined && wait > 90_000 && wait <= 100_000), `${wait}`);
  });

  it('grant at the rate once the burst is used, and keep callers apart', async () => {
    const rates = await connected(connect());
    const rate = { ratePerSecond: 200, burst: 2 };
    let granted = 0;
    const start = performance.now();
    while (granted < 22) if ((await rates.take('steady', rate)) === 0) granted++;
    const tookMs = performance.now() - start;
    assert.ok(tookMs >= 95, `20 calls beyond the burst took ${tookMs} ms, and 5 ms each are due`);
    assert.equal(await rates.take(`steady ${'x'.repeat(10_000)}`, rate), 0);
  });

  it('hold nobody back for an hour when the clock of Redis is set back by one', async () => {
    const rates = await connected(connect());
    const rate = { ratePerSecond: 10, burst: 5 };
    await rates.take('jump', rate);
    // What was due at a time that has now come again: an hour ahead.
    await redisCommand(redis.url, 'set', 'showrunner:rate:jump', String(Date.now() + 3_600_000));
    assert.ok((await rates.take('jump', rate)) <= 100, 'as after a whole burst');
  });

  it('are one limit for calls of two servers', async () => {
    const clock = createFakeClock();
    const config = { [id]: { ratePerSecond: 0.01, burst: 10, shared: true, sharedTimeoutMs: 5000 } };
    const start = async () =>
      startShipped(config, { clock, only: [id], capabilities: { sharedRates: await connected(connect()) } });
    await using one = await start();
    await using two = await start();
    const calls = Array.from({ length: 16 }, (_, i) => isPassed(runCall(i % 2 === 0 ? one : two, createFakeCall())));
    assert.equal((await Promise.all(calls)).filter(Boolean).length, 10);
    const refused = createFakeCall();
    assert.equal((await runCall(one, refused)).error?.reason, 'RATE_LIMITED');
    assert.ok(Number(refused.responseTrailers.get('grpc-retry-pushback-ms')) > 90_000);
  });
});

describe('the shared rate limit while Redis is away', () => {
  const away: SharedRates = { take: () => Promise.reject(new Error('away')) };
  const silent: SharedRates = { take: () => new Promise(() => {}) };
  const settings = { ratePerSecond: 1, burst: 3, shared: true };

  it('counts alone, and does not wait longer than allowed', async () => {
    const clock = createFakeClock();
    for (const sharedRates of [away, silent]) {
      await using engine = await startShipped({ [id]: settings }, { clock, only: [id], capabilities: { sharedRates } });
      const calls = Array.from({ length: 5 }, () => isPassed(runCall(engine, createFakeCall())));
      await clock.advance(50);
      assert.equal((await Promise.all(calls)).filter(Boolean).length, 3);
    }
  });

  it('refuses where that is wished', async () => {
    const clock = createFakeClock();
    const config = { [id]: { ...settings, unshared: 'refuse' } };
    await using engine = await startShipped(config, { clock, only: [id], capabilities: { sharedRates: away } });
    assert.equal((await runCall(engine, createFakeCall())).error?.reason, 'RATE_UNKNOWN');
  });

  it('does not start where the engine was lent no shared rates', async () => {
    const starting = startShipped({ [id]: settings }, { clock: createFakeClock(), only: [id] });
    await rejectsWith(starting, Code.FAILED_PRECONDITION, 'FILTER_LOAD_FAILED');
  });
});
