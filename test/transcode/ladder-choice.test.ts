import assert from 'node:assert/strict';
import { bdRate } from '../../bench/transcode/bd-rate.ts';
import { ceilingKbps } from '../../workers/transcode/plan/ladder.ts';
import { displaySize, planTranscode } from '../../workers/transcode/plan/plan.ts';
import { prepareLadder } from '../../workers/transcode/quality/choose-ladder.ts';
import { chooseSteps } from '../../workers/transcode/quality/choose-steps.ts';
import { bestAtRate, frontier, type RatePoint, scoreAlong, upperHull } from '../../workers/transcode/quality/hull.ts';
import { ladderSvg } from '../../workers/transcode/quality/ladder-svg.ts';
import { heightsFor, sampleGops, trialGrid } from '../../workers/transcode/quality/trial-plan.ts';
import { rational } from '../../workers/transcode/rational.ts';
import { probeOf, times } from './plan-fixture.ts';

const point = (height: number, crf: number, kbps: number, score: number): RatePoint => ({ height, crf, kbps, score });

/** Two heights that cross between 500 and 1000 kb/s, and one that is never the best. */
const small = [point(270, 36, 125, 50), point(270, 30, 250, 62), point(270, 25, 500, 70), point(270, 20, 1000, 74)];
const tall = [point(720, 36, 500, 60), point(720, 30, 1000, 80), point(720, 25, 2000, 90), point(720, 20, 4000, 96)];
const useless = [point(540, 36, 300, 40), point(540, 20, 2000, 60)];
const all = [...tall, ...useless, ...small];

const most = (kbps: number) => ({ kbps, why: 'enough' });
const rules = { targetScore: 95, noticeableScore: 6, most: most(100_000), crfStep: 0.5 };

describe('rate and quality of trials', () => {
  it('have an upper hull of the points no line passes above', () => {
    const hull = upperHull(all);
    assert.deepEqual(
      hull.map(({ kbps, score }) => [kbps, score]),
      [
        [125, 50],
        [250, 62],
        [2000, 90],
        [4000, 96],
      ],
    );
    for (const each of all) assert.ok(scoreAlong(hull, each.kbps) >= each.score - 1e-9);
  });

  it('have a frontier of the points no other height beats at their rate', () => {
    const front = frontier(all).map(({ height, kbps }) => [height, kbps]);
    assert.deepEqual(front, [
      [270, 125],
      [270, 250],
      [270, 500],
      [720, 1000],
      [720, 2000],
      [720, 4000],
    ]);
  });

  it('are interpolated by height over the log of the rate', () => {
    const best = bestAtRate(all, Math.sqrt(1000 * 2000));
    assert.ok(best);
    assert.equal(best.height, 720);
    assert.ok(Math.abs(best.crf - 27.5) < 1e-9 && Math.abs(best.score - 85) < 1e-9);
    assert.equal(bestAtRate([...tall, ...useless], 1500, 540)?.height, 540);
    assert.equal(bestAtRate(all, 100), undefined);
    assert.equal(bestAtRate(all, 4000)?.crf, 20);
  });

  it('leave bits unspent where a height looks best at its finest trial', () => {
    assert.deepEqual(bestAtRate(all, 1500, 540), point(270, 20, 1000, 74));
    assert.deepEqual(bestAtRate(all, 9000), point(720, 20, 4000, 96));
  });

  it('of a single point are that point', () => {
    assert.deepEqual(upperHull([point(144, 30, 100, 10)]), [point(144, 30, 100, 10)]);
    assert.equal(scoreAlong([point(144, 30, 100, 10)], 7), 10);
    assert.equal(scoreAlong([], 7), Number.NEGATIVE_INFINITY);
  });
});

describe('rungs chosen along the frontier', () => {
  const steps = chooseSteps(all, frontier(all), rules);

  it('begin with the cheapest that reaches the target', () => {
    const top = steps[0];
    // 95 lies 5/6 of the way from 2000 to 4000 kb/s.
    assert.ok(top && Math.abs(top.kbps - 2000 * 2 ** (5 / 6)) < 0.5);
    assert.equal(top.why, 'reaches 95');
    assert.deepEqual([top.height, top.crf], [720, 21]);
  });

  it('step down by 1.5 to 2 in rate, and by a noticeable step where that allows it', () => {
    steps.slice(1).forEach((step, index) => {
      const above = steps[index];
      assert.ok(above);
      const ratio = above.kbps / step.kbps;
      assert.ok(ratio <= 2 + 1e-9 && (ratio >= 1.5 - 1e-9 || step.why === 'the floor'), `${ratio} ${step.why}`);
      if (step.why === 'one noticeable step below') assert.ok(above.score - step.score >= 6);
    });
  });

  it('end between 200 and 300 kb/s, and never grow as rates fall', () => {
    const last = steps.at(-1);
    assert.ok(last && last.kbps >= 200 && last.kbps <= 300, `${last?.kbps}`);
    const heights = steps.map((step) => step.height);
    assert.deepEqual(
      heights,
      [...heights].sort((a, b) => b - a),
    );
    assert.ok(steps.length >= 3 && steps.length <= 10);
  });

  it('take the best there is when nothing reaches the target', () => {
    const [top] = chooseSteps(small, frontier(small), rules);
    assert.deepEqual([top?.kbps, top?.crf, top?.why], [1000, 20, 'the best of the trial']);
  });

  it('take no more than they may', () => {
    const [top] = chooseSteps(all, frontier(all), { ...rules, most: most(1500) });
    assert.deepEqual([top?.kbps, top?.why], [1500, 'enough']);
  });

  it('go below the floor for an easy title rather than have fewer than three', () => {
    const easy = [point(720, 42, 60, 80), point(720, 36, 120, 90), point(720, 30, 240, 96)];
    const rates = chooseSteps(easy, frontier(easy), rules).map((step) => Math.round(step.kbps));
    assert.equal(rates.length, 3);
    assert.ok(
      rates.every((rate) => rate >= 60 && rate <= 240),
      `${rates}`,
    );
  });

  it('snap CRF to what the encoder knows', () => {
    for (const step of chooseSteps(all, frontier(all), { ...rules, crfStep: 1 })) assert.equal(step.crf % 1, 0);
  });

  it('are one when all trials came out equal, and none without trials', () => {
    const flat = [point(720, 20, 500, 80), point(720, 25, 500, 80)];
    assert.equal(chooseSteps(flat, frontier(flat), rules).length, 1);
    assert.deepEqual(chooseSteps([], [], rules), []);
  });
});

describe('preparing a ladder', () => {
  const probe = (seconds: number, more = {}) =>
    probeOf({
      ptsTicks: times(seconds * 25, (index) => index * 512),
      frameBytes: times(seconds * 25, (index) => (index < seconds * 12 ? 1000 : 9000)),
      ...more,
    });
  const prepare = (seconds: number, params: object = {}) => {
    const found = probe(seconds);
    const plan = planTranscode({ probe: found, sourceKey: 'a', sourceSha256: 'b', encoderBuild: 'c' });
    const codecs = [{ codec: 'h264', encoder: 'libx264' }] as const;
    const whole = { titleId: 'titles/a', sourceKey: 'a', ...params };
    return prepareLadder({ plan, video: found.video, params: whole, codecs, metric: 'ssim' });
  };

  it('samples a title of a minute unasked, a shorter one only when asked', () => {
    assert.ok(prepare(60).samples.length >= 3);
    assert.deepEqual(prepare(59).samples, []);
    assert.match(prepare(59).reason, /below 60 s/);
    assert.ok(prepare(30, { ladderMode: 'per-title' }).samples.length >= 3);
  });

  it('says why a title keeps the fixed ladder', () => {
    assert.match(prepare(60, { ladderMode: 'fixed' }).reason, /asks for it/);
    assert.match(prepare(9, { ladderMode: 'per-title' }).reason, /9\.0 s are less than the 10 s/);
    const own = { ladder: [{ height: 144, crf: 23, maxrateKbps: 800 }] };
    assert.match(prepare(60, own).reason, /its own steps/);
    assert.match(prepare(60, { analysisCpuSeconds: 5 }).reason, /about \d+ s of processor time, the budget is 5 s/);
  });

  it('takes fewer samples for a smaller budget', () => {
    const full = prepare(600, { analysisCpuSeconds: 10_000 }).samples.length;
    const half = prepare(600, { analysisCpuSeconds: 100 }).samples.length;
    assert.equal(full, 12);
    assert.ok(half >= 3 && half < full, `${half}`);
  });

  it('caps rates at 1.2 times those of the source', () => {
    // 12 s of every 25 at 1000 bytes a frame, the rest at 9000.
    assert.ok(Math.abs(prepare(100).maxKbps - 1.2 * ((5160 * 25 * 8) / 1000)) < 1);
  });

  it('caps rungs at twice what the fixed ladder allows at that size, more at double rate', () => {
    const ceiling = (width: number, height: number, fps = 25) => ceilingKbps({ width, height }, rational(fps, 1));
    assert.deepEqual([ceiling(1920, 1080), ceiling(1280, 720), ceiling(720, 1280)], [13_000, 7000, 7000]);
    assert.deepEqual(
      [ceiling(3840, 2160), ceiling(640, 360), ceiling(160, 90)],
      [13_000, 2800 * (360 / 432), 1000 / 3],
    );
    assert.ok(Math.abs(ceiling(1280, 720, 60) / 7000 - 2 ** 0.6) < 1e-9);
  });

  it('meets easy and hard scenes in the proportion they have', () => {
    const { video } = probe(96);
    const plan = planTranscode({ probe: probe(96), sourceKey: 'a', sourceSha256: 'b', encoderBuild: 'c' });
    const samples = sampleGops(plan, video, 10);
    const hard = samples.filter((gop) => gop.sourceBytes / (gop.end - gop.start) > 5000).length;
    assert.deepEqual([samples.length, hard], [10, 5]);
    assert.ok(samples.every((gop) => gop.end - gop.start === 48 && gop.start % 48 === 0));
    const starts = samples.map((gop) => gop.start);
    assert.deepEqual(
      starts,
      [...starts].sort((a, b) => a - b),
    );
  });

  it('tries no height above the source, and its own where that is none of the table', () => {
    assert.deepEqual(heightsFor({ width: 1280, height: 720 }), [720, 540, 432, 360, 270, 234]);
    assert.deepEqual(heightsFor({ width: 854, height: 481 }), [480, 432, 360, 270, 234]);
    assert.deepEqual(heightsFor({ width: 2160, height: 3840 })[0], 1080);
    assert.deepEqual(heightsFor({ width: 160, height: 90 }), [90]);
    const plan = planTranscode({ probe: probe(60), sourceKey: 'a', sourceSha256: 'b', encoderBuild: 'c' });
    assert.deepEqual(displaySize(probe(60).video), plan.video.display);
    assert.equal(trialGrid(plan, { codec: 'av1', encoder: 'libsvtav1' }).length, 30);
  });
});

describe('BD-rate', () => {
  const curve = [100, 200, 400].map((kbps, index) => ({ kbps, score: 10 * index }));
  const scaled = (factor: number) => curve.map(({ kbps, score }) => ({ kbps: kbps * factor, score }));

  it('is the part of bits that another curve takes more', () => {
    assert.ok(Math.abs((bdRate(curve, scaled(0.8)) ?? 0) + 0.2) < 1e-9);
    assert.ok(Math.abs((bdRate(curve, scaled(1.5)) ?? 0) - 0.5) < 1e-9);
    assert.equal(bdRate(curve, curve), 0);
  });

  it('looks only at scores that both reach, and is undefined without such', () => {
    const upper = [...scaled(0.5), { kbps: 10_000, score: 99 }];
    assert.ok(Math.abs((bdRate(curve, upper) ?? 0) + 0.5) < 1e-9);
    assert.equal(bdRate(curve, [{ kbps: 50, score: 50 }]), undefined);
    assert.equal(bdRate(curve, []), undefined);
  });
});

describe('ladder plot', () => {
  it('is well-formed SVG with every trial and every rung', () => {
    const points = all.map(({ height, crf, kbps, score }) => ({ height, crf, kbps, ssimDb: score / 5, onHull: false }));
    const rungs = [{ id: '720p', height: 720, crf: 22, maxrateKbps: 3000, kbps: 2000, score: 18, why: 'reaches 20' }];
    const codec = { codec: 'h264', encoder: 'libx264', metric: 'ssim', points, rungs } as const;
    const shared = { format: 1, mode: 'per-title', reason: '', notes: [], samples: [] } as const;
    const svg = ladderSvg({ ...shared, codecs: [codec, { ...codec, codec: 'av1', encoder: 'libsvtav1' }] });
    assert.equal(svg.match(/<circle[^>]*><title>/g)?.length, 2 * all.length);
    assert.equal(svg.match(/class="rung"/g)?.length, 2);
    assert.ok(!/NaN|undefined|Infinity/.test(svg));
    const scored = points.map((point, index) => (index % 4 === 0 ? { ...point, vmaf: point.ssimDb * 4 } : point));
    const byVmaf = ladderSvg({ ...shared, codecs: [{ ...codec, metric: 'vmaf', points: scored }] });
    // The few that have VMAF beside the rungs, then the SSIM of all.
    assert.equal(byVmaf.match(/<circle[^>]*><title>/g)?.length, Math.ceil(all.length / 4) + all.length);
    assert.deepEqual(byVmaf.match(/VMAF|SSIM in dB/g), ['VMAF', 'SSIM in dB']);
    assert.equal(byVmaf.match(/class="rung"/g)?.length, 1);
    assert.ok(!/NaN|undefined|Infinity/.test(byVmaf));
    const opened = [...svg.matchAll(/<([a-z]+)[^>]*?(\/?)>/g)].filter((match) => match[2] === '').length;
    assert.equal(opened, [...svg.matchAll(/<\/[a-z]+>/g)].length);
  });
});
