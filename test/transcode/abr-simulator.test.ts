import assert from 'node:assert/strict';
import { bolaRule, bolaScores, throughputRule } from '../../bench/transcode/simulate/abr-rules.ts';
import { type AbrRule, type PlayedTitle, simulateSession } from '../../bench/transcode/simulate/simulate-session.ts';
import { downloadSeconds, linkModels, makeTrace } from '../../bench/transcode/simulate/throughput-trace.ts';
import { createSeededRandom } from '../../server/core/random.ts';

const near = (actual: number, expected: number, what = '') =>
  assert.ok(Math.abs(actual - expected) < 1e-9, `${what} ${actual}, not ${expected}`);

/** Renditions of a constant rate in Mb/s over segments of 2 s. */
function titleOf(megabits: readonly number[], segments: number): PlayedTitle {
  return {
    segmentSeconds: Array.from({ length: segments }, () => 2),
    renditions: megabits.map((rate) => ({
      averageBps: rate * 1e6,
      peakBps: rate * 1e6,
      score: rate * 10,
      segmentBytes: Array.from({ length: segments }, () => rate * 250_000),
    })),
  };
}

const steady = (megabits: number) => ({ name: 'steady', bps: [megabits * 1e6] });
const always = (index: number): AbrRule => ({ name: 'always', observe: () => {}, choose: () => index });

describe('a simulated link', () => {
  it('takes bytes second by second, through outages, and begins anew at its end', () => {
    const trace = { name: 'steps', bps: [8e6, 0, 4e6] };
    near(downloadSeconds(trace, 0, 500_000), 0.5);
    // 4 Mb are left of the first second, then nothing for one, then 4 Mb/s.
    near(downloadSeconds(trace, 0.5, 750_000), 0.5 + 1 + 0.5);
    // Second 3 is second 0 again.
    near(downloadSeconds(trace, 2, 750_000), 1 + 0.25);
    near(downloadSeconds(trace, 0, 0), 0);
  });

  it('is the same for the same seed, has the mean of its model, and outages where it has such', () => {
    for (const model of linkModels) {
      const trace = makeTrace(model, 200_000, createSeededRandom(3));
      assert.deepEqual(makeTrace(model, 200_000, createSeededRandom(3)), trace);
      const mean = trace.bps.reduce((sum, rate) => sum + rate, 0) / trace.bps.length;
      const up = 1 - trace.bps.filter((rate) => rate === 0).length / trace.bps.length;
      assert.ok(Math.abs(mean / (model.meanBps * up) - 1) < 0.1, `${model.name}: ${mean}`);
      assert.equal(up < 1, model.outageChance > 0);
    }
  });
});

describe('a simulated session', () => {
  it('never stalls when each segment comes as fast as it plays', () => {
    const report = simulateSession(titleOf([1], 4), steady(1), always(0));
    near(report.startSeconds, 2);
    assert.deepEqual([report.stalls, report.stallSeconds, report.rebufferRatio], [0, 0, 0]);
  });

  it('stalls 2 s for each segment but the first on a link of half the rate: 6 s of 14', () => {
    const report = simulateSession(titleOf([1], 4), steady(0.5), always(0));
    near(report.startSeconds, 4);
    assert.equal(report.stalls, 3);
    near(report.stallSeconds, 6);
    near(report.rebufferRatio, 6 / 14);
  });

  it('plays from its buffer through an outage that is shorter', () => {
    // 2 s segments come in 0.5 s; after four of them at 2 s the buffer holds 8 - 1.5 s, and the link is gone for 5 s.
    const trace = { name: 'outage', bps: [4e6, 4e6, 0, 0, 0, 0, 0, 4e6, 4e6, 4e6] };
    const report = simulateSession(titleOf([1], 8), trace, always(0));
    near(report.startSeconds, 0.5);
    assert.equal(report.stalls, 0);
    // Gone for 7 s: the next segment takes 7.5 s, the buffer lasts 6.5 s.
    const longer = { name: 'outage', bps: [4e6, 4e6, 0, 0, 0, 0, 0, 0, 0, 4e6, 4e6, 4e6] };
    near(simulateSession(titleOf([1], 8), longer, always(0)).stallSeconds, 7.5 - 6.5);
  });

  it('fetches no more than 30 s ahead', () => {
    let most = 0;
    const watching: AbrRule = {
      ...always(0),
      choose: ({ bufferSeconds, segmentSeconds }) => {
        most = Math.max(most, bufferSeconds + segmentSeconds);
        return 0;
      },
    };
    simulateSession(titleOf([1], 60), steady(100), watching);
    near(most, 30);
  });

  it('counts switches and weighs scores and bits by what was played', () => {
    let turn = 0;
    const rule: AbrRule = { ...always(0), choose: () => [0, 0, 1, 0][turn++] ?? 0 };
    const report = simulateSession(titleOf([1, 3], 4), steady(100), rule);
    assert.equal(report.switches, 2);
    near(report.meanScore, (10 + 10 + 30 + 10) / 4);
    near(report.meanBps, 1.5e6);
  });

  it('refuses a rule that chooses what is not there', () => {
    assert.throws(() => simulateSession(titleOf([1], 4), steady(1), always(1)), RangeError);
  });
});

describe('adaptation rules', () => {
  const state = (bufferSeconds: number, current: number | undefined) => {
    return { renditions: titleOf([1, 2, 4], 1).renditions, bufferSeconds, segmentSeconds: 2, current };
  };

  it('by throughput begin at the lowest, go up at 0.7 and stay at 0.95 of the estimate', () => {
    const rule = throughputRule();
    assert.equal(rule.choose(state(0, undefined)), 0);
    rule.observe(60, 2.5e6);
    assert.equal(rule.choose(state(20, 0)), 0);
    rule.observe(600, 2.9e6);
    assert.equal(rule.choose(state(20, 0)), 1);
    rule.observe(600, 2.2e6);
    assert.equal(rule.choose(state(20, 1)), 1);
    rule.observe(600, 2e6);
    assert.equal(rule.choose(state(20, 1)), 0);
  });

  it('by throughput trust the lower of a fast and a slow mean: a dip counts at once, a peak does not', () => {
    const rule = throughputRule();
    rule.observe(60, 10e6);
    rule.observe(6, 1e6);
    // Fast: 10 x 1/4 + 1 x 3/4 = 3.25 Mb/s; 0.95 of it holds 2 Mb/s.
    assert.equal(rule.choose(state(20, 2)), 1);
    const rising = throughputRule();
    rising.observe(60, 1e6);
    rising.observe(3, 20e6);
    // Slow: 1 x 2^(-1/3) + 20 x (1 - 2^(-1/3)) = 4.92 Mb/s; 0.7 of it holds 2 Mb/s, not 4.
    assert.equal(rising.choose(state(20, 0)), 1);
  });

  it('by throughput fit peaks while starved', () => {
    const rule = throughputRule();
    rule.observe(600, 3e6);
    const peaky = titleOf([1, 2], 1).renditions.map((each) => ({ ...each, peakBps: each.averageBps * 1.5 }));
    const asked = { renditions: peaky, segmentSeconds: 2, current: 0 };
    assert.equal(rule.choose({ ...asked, bufferSeconds: 3 }), 0);
    assert.equal(rule.choose({ ...asked, bufferSeconds: 5 }), 1);
  });

  it('by BOLA score renditions as worked out by hand', () => {
    // u = 1, 1.693, 2.386; T = 16 s; gp = 1.386 / 0.6 = 2.310; Vp = 10 / gp = 4.328.
    const scores = bolaScores([1e6, 2e6, 4e6], 10).map((score) => score * 1e6);
    const gp = Math.log(4) / 0.6;
    near(scores[0] ?? 0, 0);
    near(scores[1] ?? 0, ((10 / gp) * Math.log(2)) / 2);
    near(scores[2] ?? 0, ((10 / gp) * Math.log(4)) / 4);
    const best = (buffer: number) => {
      const found = bolaScores([1e6, 2e6, 4e6], buffer);
      return found.indexOf(Math.max(...found));
    };
    assert.deepEqual([6, 8, 12, 15].map(best), [0, 1, 2, 2]);
  });

  it('by BOLA go by throughput until 10 s are buffered, and never choose what arrives too late', () => {
    const rule = bolaRule();
    rule.observe(600, 5e6);
    assert.equal(rule.choose(state(0, undefined)), 2);
    // 0.7 x 5 Mb/s x 1 s / 2 s = 1.75 Mb/s.
    assert.equal(rule.choose(state(1, 2)), 0);
    assert.equal(rule.choose(state(12, 0)), 2);
  });

  it('by BOLA step up no further than the throughput, and keep what they have', () => {
    const rule = bolaRule();
    rule.observe(600, 2.5e6);
    // BOLA alone would take 4 Mb/s at 15 s; 0.9 x 2.5 Mb/s holds 2.
    assert.equal(rule.choose(state(15, 0)), 1);
    assert.equal(rule.choose(state(15, 1)), 1);
    assert.equal(rule.choose(state(15, 2)), 2);
  });

  it('both reach the rendition that a steady link holds, without a stall', () => {
    for (const rule of [throughputRule(), bolaRule()]) {
      const report = simulateSession(titleOf([0.5, 1, 2, 4], 100), steady(3.2), rule);
      assert.equal(report.stalls, 0);
      assert.ok(report.meanBps > 1.8e6, `${rule.name}: ${report.meanBps}`);
    }
  });
});
