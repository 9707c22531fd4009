import assert from 'node:assert/strict';
import { createAimd, createGradient, createVegas } from '../../plugins/filters/concurrency-limit/corrected-limits.ts';
import type { LimitAlgorithm } from '../../plugins/filters/concurrency-limit/limit-algorithm.ts';
import { createOriginalAimd } from '../../plugins/filters/concurrency-limit/original-aimd.ts';
import { createOriginalGradient } from '../../plugins/filters/concurrency-limit/original-gradient.ts';
import { createOriginalVegas } from '../../plugins/filters/concurrency-limit/original-vegas.ts';
import { createRttBaseline } from '../../plugins/filters/concurrency-limit/rtt-baseline.ts';
import { createSampleWindow } from '../../plugins/filters/concurrency-limit/sample-window.ts';
import { createSeededRandom } from '../../server/core/random.ts';

/** The limit after each of `count` windows, all with as many calls in flight as allowed. */
function limitsAfter(
  algorithm: LimitAlgorithm,
  count: number,
  rttMs: number | ((limit: number) => number),
  isDropped = false,
): number[] {
  return Array.from({ length: count }, () => {
    const inFlight = algorithm.limit;
    algorithm.update({ rttMs: typeof rttMs === 'number' ? rttMs : rttMs(inFlight), inFlight, isDropped });
    return algorithm.limit;
  });
}

const seeded = () => createSeededRandom(1);
const noProbe = { random: seeded(), probeMultiplier: Number.POSITIVE_INFINITY };

describe('the original limits give the published figures', () => {
  it('Gradient2 at constant latency: 0.8 a window, at the top with update 225', () => {
    const limits = limitsAfter(createOriginalGradient(), 225, 10);
    assert.deepEqual(limits.slice(0, 10), [20, 21, 22, 23, 24, 24, 25, 26, 27, 28]);
    assert.deepEqual([limits[223], limits[224]], [199, 200]);
  });

  it('Gradient2 under ten times the latency for ever: at the bottom with update 26, drifting from 213, at the top with 482', () => {
    const limit = createOriginalGradient({ initial: 200 });
    limitsAfter(limit, 10, 10);
    const limits = limitsAfter(limit, 482, 100);
    assert.deepEqual(limits.slice(0, 8), [180, 163, 147, 133, 121, 110, 99, 90]);
    assert.equal(limits.indexOf(20) + 1, 26);
    assert.equal(limits.findIndex((value, index) => index > 26 && value > 20) + 1, 213);
    assert.equal(limits.findIndex((value, index) => index > 26 && value === 200) + 1, 482);
  });

  it('Gradient2 under twice the latency for ever: lowest 43 with update 69, at the top again with 293', () => {
    const limit = createOriginalGradient({ initial: 200 });
    limitsAfter(limit, 10, 10);
    const limits = limitsAfter(limit, 293, 20);
    assert.equal(Math.min(...limits), 43);
    assert.equal(limits.indexOf(43) + 1, 69);
    assert.equal(limits.findIndex((value, index) => index > 69 && value === 200) + 1, 293);
  });

  it('Vegas at constant latency and with a queue', () => {
    assert.deepEqual(limitsAfter(createOriginalVegas(noProbe), 8, 10), [20, 26, 32, 38, 44, 50, 56, 62]);
    const queueing = createOriginalVegas(noProbe);
    assert.deepEqual([...limitsAfter(queueing, 1, 10), ...limitsAfter(queueing, 5, 15)], [20, 19, 18, 17, 17, 17]);
  });

  it('AIMD up and down', () => {
    assert.deepEqual(limitsAfter(createOriginalAimd(), 3, 10), [21, 22, 23]);
    assert.deepEqual(limitsAfter(createOriginalAimd({ initial: 100 }), 3, 10, true), [90, 81, 72]);
    assert.deepEqual(limitsAfter(createOriginalAimd({ initial: 100 }), 1, 5001), [90]);
  });

  it('show their published faults: Vegas takes an overloaded probe for the baseline, Gradient2 ignores drops', () => {
    const vegas = createOriginalVegas({ random: seeded(), probeMultiplier: 1 });
    const limits = limitsAfter(vegas, 300, (limit) => 10 * Math.max(1, limit / 10));
    assert.ok(Math.min(...limits.slice(250)) > 40, `drifts beyond four times the capacity, got ${limits.at(-1)}`);
    const gradient = createOriginalGradient();
    assert.ok((limitsAfter(gradient, 50, 10, true).at(-1) ?? 0) > 50);
  });
});

const corrected = {
  gradient: createGradient,
  vegas: createVegas,
  aimd: createAimd,
} as const;

for (const [name, create] of Object.entries(corrected)) {
  describe(`the corrected ${name} limit`, () => {
    it('does not drift in 2000 windows of a latency that is ten times as high whatever the limit', () => {
      const limit = create({ random: seeded(), initial: 200 });
      limitsAfter(limit, 10, 10);
      const limits = limitsAfter(limit, 2000, 100);
      assert.ok(Math.max(...limits.slice(100)) <= 10, `climbed to ${Math.max(...limits.slice(100))}`);
    });

    it('settles near what is served without queueing and stays there for 2000 windows of overload', () => {
      for (const workers of [5, 40, 300]) {
        const limit = create({ random: seeded() });
        const latency = (inFlight: number) => 10 * Math.max(1, inFlight / workers);
        const limits = limitsAfter(limit, 2000, latency);
        // Probes come at random: their windows are no part of the drift.
        const isSettled = (value: number) => value > 0.7 * workers;
        const late = limits.slice(500);
        const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
        assert.ok(mean(late) >= 0.9 * workers, `${workers} workers: mean ${mean(late)}`);
        assert.ok(Math.max(...late) <= 2.2 * workers + 8, `${workers} workers: most ${Math.max(...late)}`);
        const drift = mean(limits.slice(-500).filter(isSettled)) / mean(limits.slice(500, 1000).filter(isSettled));
        assert.ok(Math.abs(drift - 1) < 0.05, `${workers} workers: drift ${drift}`);
      }
    });

    it('counts drops, also where the latency is as ever', () => {
      const limit = create({ random: seeded(), initial: 100 });
      assert.deepEqual(limitsAfter(limit, 3, 10, true), [90, 81, 72]);
      assert.equal(limitsAfter(limit, 100, 10, true).at(-1), 4);
    });

    it('is not poisoned by one lucky window', () => {
      const limit = create({ random: seeded(), initial: 50 });
      const latency = (inFlight: number) => 10 * Math.max(1, inFlight / 50);
      limitsAfter(limit, 300, latency);
      const before = limit.settledLimit;
      limitsAfter(limit, 1, 1);
      assert.ok(Math.min(...limitsAfter(limit, 50, latency)) > 0.25 * before);
      limitsAfter(limit, 250, latency);
      assert.ok(limit.settledLimit > 0.8 * before, `${limit.settledLimit} of ${before}`);
    });

    it('accepts a dependency that became slower by half within some probes', () => {
      const limit = create({ random: seeded(), initial: 50 });
      const latency = (base: number) => (inFlight: number) => base * Math.max(1, inFlight / 50);
      limitsAfter(limit, 200, latency(10));
      limitsAfter(limit, 400, latency(15));
      assert.ok(limit.settledLimit >= 45, `only ${limit.settledLimit}`);
    });

    it('holds while the limit is not what holds calls back', () => {
      const limit = create({ random: seeded(), initial: 100 });
      for (let window = 0; window < 200; window++) limit.update({ rttMs: 10, inFlight: 20, isDropped: false });
      assert.equal(limit.limit, 100);
    });

    it('stays within its bounds, whatever windows it is given', () => {
      const random = createSeededRandom(99);
      for (let round = 0; round < 30; round++) {
        const limit = create({ random, initial: 20, min: 5, max: 60 });
        for (let window = 0; window < 300; window++) {
          const rttMs = 10 ** (random.next() * 6 - 2);
          limit.update({ rttMs, inFlight: Math.floor(random.next() * 80), isDropped: random.next() < 0.1 });
          assert.ok(limit.settledLimit >= 5 && limit.settledLimit <= 60);
          assert.ok(Number.isInteger(limit.limit) && limit.limit >= 1 && limit.limit <= limit.settledLimit);
        }
      }
    });
  });
}

describe('the latency baseline', () => {
  const observe = (baseline: ReturnType<typeof createRttBaseline>, count: number, rttMs: number) => {
    for (let window = 0; window < count; window++) baseline.observe(rttMs, true);
  };

  it('rises to at most a multiple of the lowest latency of the horizon, and beyond it when that is forgotten', () => {
    const baseline = createRttBaseline({ random: seeded(), probeEvery: 10, horizon: 600 });
    observe(baseline, 50, 10);
    assert.equal(baseline.rttMs, 10);
    observe(baseline, 500, 100);
    assert.equal(baseline.rttMs, 20);
    observe(baseline, 300, 100);
    assert.ok(baseline.rttMs > 90, `${baseline.rttMs}`);
  });

  it('falls with the latency within some windows', () => {
    const baseline = createRttBaseline({ random: seeded() });
    observe(baseline, 20, 100);
    observe(baseline, 20, 10);
    assert.ok(baseline.rttMs < 12, `${baseline.rttMs}`);
  });
});

describe('sampling windows', () => {
  it('need ten samples and a second, and give mean latency, most calls in flight and whether one was dropped', () => {
    const window = createSampleWindow();
    for (let call = 1; call <= 9; call++) assert.equal(window.add(2000 + call, call, 3, false), undefined);
    assert.deepEqual(window.add(2010, 15, 7, false), { rttMs: 6, inFlight: 7, isDropped: false });
    for (let call = 0; call < 50; call++) assert.equal(window.add(2010 + call, 4, 9, call === 3), undefined);
    assert.deepEqual(window.add(3011, 4, 1, false), { rttMs: 4, inFlight: 9, isDropped: true });
  });

  it('leave out what is too short to be a sample, and last twice the lowest latency within their bounds', () => {
    const window = createSampleWindow({ minSamples: 1, minRttMs: 1, minWindowMs: 10, maxWindowMs: 100 });
    assert.equal(window.add(1, 0.5, 1, false), undefined);
    assert.ok(window.add(2, 30, 1, false));
    assert.equal(window.add(62, 500, 1, false), undefined);
    assert.ok(window.add(63, 500, 1, false));
    assert.equal(window.add(163, 500, 1, false), undefined);
    assert.ok(window.add(164, 500, 1, false));
  });
});
