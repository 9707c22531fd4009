import assert from 'node:assert/strict';
import { createRegionSwitch, type RegionSwitchConfig } from '../../plugins/filters/failover/region-switch.ts';
import { createResponseCache, responseKey } from '../../plugins/filters/fallback/response-cache.ts';
import { createPercentileWindow } from '../../plugins/filters/hedging/percentile-window.ts';
import { createSeededRandom } from '../../server/core/random.ts';
import { createFakeClock } from '../support/fake-clock.ts';

const config: RegionSwitchConfig = {
  ...{ windowMs: 10_000, minCalls: 20, failurePercent: 50, holdMs: 30_000, maxHoldMs: 100_000 },
  ...{ steps: [5, 20, 50], stepMs: 20_000 },
};

function bed(count = 2) {
  const clock = createFakeClock();
  const choice = createRegionSwitch(count, config, { clock, random: createSeededRandom(2) });
  const record = (region: number, good: number, bad: number) => {
    for (let i = 0; i < good; i++) choice.record(region, true);
    for (let i = 0; i < bad; i++) choice.record(region, false);
  };
  const homeShare = () => Array.from({ length: 2000 }, () => choice.choose()).filter((at) => at === 0).length / 2000;
  return { clock, choice, record, homeShare };
}

const near = (value: number, wanted: number) => assert.ok(Math.abs(value - wanted) < 0.03, `${value}, not ${wanted}`);

describe('the choice of a region', () => {
  it('stays at home with failures below the limit, or too few calls for a verdict', () => {
    const { choice, record, homeShare } = bed();
    record(0, 0, 19);
    assert.equal(choice.phase(0), 'up');
    const other = bed();
    other.record(0, 30, 20);
    assert.equal(other.choice.phase(0), 'up');
    assert.equal(homeShare(), 1);
  });

  it('forgets failures with their window', async () => {
    const { clock, choice, record } = bed();
    record(0, 0, 19);
    await clock.advance(10_000);
    record(0, 0, 19);
    assert.equal(choice.phase(0), 'up');
  });

  it('leaves a region that fails, and comes back to it in steps', async () => {
    const { clock, choice, record, homeShare } = bed();
    record(0, 10, 10);
    assert.equal(choice.phase(0), 'down');
    assert.equal(homeShare(), 0);
    await clock.advance(29_999);
    assert.equal(homeShare(), 0);
    const shares: number[] = [];
    await clock.advance(1);
    for (let step = 0; step < 4; step++) {
      shares.push(homeShare());
      record(0, 10, 0);
      await clock.advance(20_000);
    }
    near(shares[0] ?? 0, 0.05);
    near(shares[1] ?? 0, 0.2);
    near(shares[2] ?? 0, 0.5);
    assert.equal(shares[3], 1);
    assert.equal(choice.phase(0), 'up');
  });

  it('leaves again, for twice as long, when it fails while it comes back', async () => {
    const { clock, choice, record, homeShare } = bed();
    record(0, 0, 20);
    await clock.advance(30_000);
    near(homeShare(), 0.05);
    assert.equal(choice.phase(0), 'returning');
    record(0, 0, 5);
    assert.equal(choice.phase(0), 'down');
    await clock.advance(59_999);
    assert.equal(homeShare(), 0);
    await clock.advance(1);
    near(homeShare(), 0.05);
    record(0, 0, 5);
    await clock.advance(99_999);
    assert.equal(homeShare(), 0, 'up to the maximum');
    await clock.advance(1);
    near(homeShare(), 0.05);
  });

  it('gives an isolated region nothing whatever its health, and lets it come back in steps', async () => {
    const { clock, choice, homeShare } = bed();
    choice.isolate(new Set([0]));
    assert.deepEqual([choice.phase(0), homeShare()], ['isolated', 0]);
    await clock.advance(600_000);
    assert.equal(homeShare(), 0);
    choice.isolate(new Set());
    near(homeShare(), 0.05);
    await clock.advance(60_000);
    assert.equal(homeShare(), 1);
  });

  it('takes the nearest when no region is well, and none when all are isolated', () => {
    const { choice, record } = bed(3);
    for (const region of [0, 1, 2]) record(region, 0, 20);
    assert.equal(choice.choose(), 0);
    assert.equal(choice.choose(new Set([0])), 1);
    choice.isolate(new Set([0]));
    assert.equal(choice.choose(), 1);
    choice.isolate(new Set([0, 1, 2]));
    assert.equal(choice.choose(), undefined);
  });
});

describe('the percentile window', () => {
  it('gives nothing until twenty values, then the percentile of the latest', () => {
    const window = createPercentileWindow(95, 100);
    for (let value = 1; value < 20; value++) window.add(value);
    assert.equal(window.read(), undefined);
    for (let value = 20; value <= 112; value++) window.add(value);
    assert.equal(window.read(), 108);
    for (let i = 0; i < 112; i++) window.add(1);
    assert.equal(window.read(), 1);
  });
});

describe('the cache of good responses', () => {
  const response = (size: number) => new Uint8Array(size);

  it('gives back what is young enough, with its age', async () => {
    const clock = createFakeClock();
    const cache = createResponseCache({ maxEntries: 10, maxBytes: 1000, clock });
    cache.store('a', response(3));
    await clock.advance(500);
    assert.deepEqual(cache.find('a', 500), { response: response(3), ageMs: 500 });
    assert.equal(cache.find('a', 499), undefined);
    assert.equal(cache.find('b', 500), undefined);
  });

  it('is bounded by entries and by bytes', () => {
    const cache = createResponseCache({ maxEntries: 3, maxBytes: 100, clock: createFakeClock() });
    for (const key of ['a', 'b', 'c', 'd']) cache.store(key, response(10));
    assert.deepEqual([cache.size, cache.bytes, cache.find('a', 1)], [3, 30, undefined]);
    cache.store('e', response(95));
    assert.deepEqual([cache.size, cache.bytes, cache.evicted], [1, 95, 4]);
    cache.store('f', response(101));
    assert.deepEqual([cache.size, cache.bytes], [1, 95]);
    cache.store('e', response(5));
    assert.deepEqual([cache.size, cache.bytes], [1, 5]);
  });

  it('tells methods, callers and requests apart', () => {
    const one = new Uint8Array([1]);
    const keys = [
      responseKey('/a/b', '', [one]),
      responseKey('/a/c', '', [one]),
      responseKey('/a/b', 'p', [one]),
      responseKey('/a/b', '', [one, one]),
      responseKey('/a/b', '', [new Uint8Array([1, 1])]),
    ];
    assert.equal(new Set(keys).size, keys.length);
    assert.equal(responseKey('/a/b', '', [one]), keys[0]);
  });
});
