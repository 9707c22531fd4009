import assert from 'node:assert/strict';
import { contestants } from '../../bench/limiters/contestants.ts';
import { createEventQueue } from '../../bench/limiters/event-queue.ts';
import { type SecondOf, simulateLimiter } from '../../bench/limiters/simulate-limiter.ts';
import { renderChart } from '../../bench/limiters/svg-chart.ts';
import type { LimitAlgorithm } from '../../plugins/filters/concurrency-limit/limit-algorithm.ts';
import { createSeededRandom } from '../../server/core/random.ts';

/** Four workers of 40 ms under ten times what they can answer. */
const scenario = {
  ...{ name: 'test', seconds: 600, workers: 4, serviceMs: 40, deadlineMs: 2000 },
  callsPerSecond: (second: number) => (second < 20 ? 50 : 1000),
};

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

function figures(algorithm: LimitAlgorithm) {
  const seconds = simulateLimiter(scenario, algorithm);
  const limits = (from: number, to: number) => mean(seconds.slice(from, to).map(({ limit }) => limit));
  const latency = (all: readonly SecondOf[]) => mean(all.map(({ latencyMs }) => latencyMs));
  return {
    drift: limits(560, 600) / limits(60, 100),
    latencyMs: latency(seconds.slice(560)),
    goodPerSecond: mean(seconds.slice(60).map(({ good }) => good)),
  };
}

describe('limits in simulated overload', () => {
  for (const { name, corrected } of contestants) {
    it(`${name}, corrected, keeps limit and latency for 500 windows and serves the capacity`, () => {
      const { drift, latencyMs, goodPerSecond } = figures(corrected());
      assert.ok(drift < 1.1, `drift ${drift}`);
      assert.ok(latencyMs < 3 * scenario.serviceMs, `latency ${latencyMs}`);
      assert.ok(goodPerSecond > 0.97 * 100, `good ${goodPerSecond}`);
    });
  }

  it('shows the drift of the original Gradient, which the corrected one is measured against', () => {
    const gradient = contestants.find(({ name }) => name === 'Gradient');
    assert.ok(gradient);
    const { drift, latencyMs } = figures(gradient.original());
    assert.ok(drift > 1.5, `drift ${drift}`);
    assert.ok(latencyMs > 6 * scenario.serviceMs, `latency ${latencyMs}`);
  });
});

describe('the event queue of simulations', () => {
  it('runs events in order of time, then of arrival, and moves the clock to them', () => {
    const random = createSeededRandom(4);
    const queue = createEventQueue();
    const seen: { at: number; serial: number }[] = [];
    for (let serial = 0; serial < 5000; serial++) {
      const at = Math.floor(random.next() * 500);
      queue.at(at, () => {
        assert.equal(queue.clock.monotonic(), at);
        seen.push({ at, serial });
      });
    }
    queue.runUntil(400);
    const isDue = seen.every(({ at }) => at <= 400);
    queue.runUntil(1000);
    assert.ok(isDue);
    assert.deepEqual(
      seen,
      seen.toSorted((a, b) => a.at - b.at || a.serial - b.serial),
    );
    assert.equal(seen.length, 5000);
  });
});

describe('charts', () => {
  it('are SVG with a curve per series, cut at the top, and texts escaped', () => {
    const series = [
      { name: 'a < b', color: '#123456', isDashed: false, values: [0, 5, 50] },
      { name: 'c', color: '#654321', isDashed: true, values: [1, 1, 1] },
    ];
    const svg = renderChart({ title: 'x & y', xTitle: 's', maxX: 2, panels: [{ title: 'p', maxY: 10, series }] });
    assert.equal(svg.match(/<polyline/g)?.length, 2);
    assert.ok(svg.includes('x &amp; y') && svg.includes('a &lt; b'));
    assert.ok(!/NaN|undefined|Infinity/.test(svg));
    const [points = ''] = [...svg.matchAll(/points="([^"]+)"/g)].map(([, list]) => list);
    const ys = points.split(' ').map((point) => Number(point.split(',')[1]));
    assert.equal(ys[0], 260);
    assert.deepEqual([ys[1], ys[2]], [155, 50]);
  });
});
