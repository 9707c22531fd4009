import assert from 'node:assert/strict';
import { collectEncodes, encodeJobs } from '../../workers/transcode/child-jobs.ts';
import { hevcLevelFor, levelFor } from '../../workers/transcode/codecs/levels.ts';
import { chunkFilters } from '../../workers/transcode/encode/chunk-command.ts';
import type { ChunkRecord } from '../../workers/transcode/encode/encode-chunk.ts';
import { gopFramesFor, planFrames, trackClock } from '../../workers/transcode/plan/frame-plan.ts';
import { chooseRungs, fixedLadder } from '../../workers/transcode/plan/ladder.ts';
import { planTranscode } from '../../workers/transcode/plan/plan.ts';
import { rational, rationalText } from '../../workers/transcode/rational.ts';
import { measureRate } from '../../workers/transcode/source/frame-rate.ts';
import { languageTag } from '../../workers/transcode/source/language-tag.ts';
import type { SourceVideo } from '../../workers/transcode/source/source-probe.ts';
import { probeOf, times } from './plan-fixture.ts';

const fps25 = rational(25, 1);
const fps2997 = rational(30_000, 1001);
const fps23976 = rational(24_000, 1001);

const planOf = (video: Partial<SourceVideo> = {}) =>
  planTranscode({ probe: probeOf(video), sourceKey: 'a', sourceSha256: 'b', encoderBuild: 'c' });

describe('frame plan', () => {
  it('cuts the shipped clip into [0,48) [48,96) [96,132)', () => {
    const plan = planFrames(132, fps25);
    const expected = [
      { start: 0, end: 48 },
      { start: 48, end: 96 },
      { start: 96, end: 132 },
    ];
    assert.deepEqual(plan, { frameCount: 132, gopFrames: 48, segments: expected, chunks: expected });
  });

  it('takes GOPs that end with a whole AAC frame where the rate has such, else 2 s', () => {
    const gops = ['24/1', '25/1', '30/1', '50/1', '60/1', '24000/1001', '30000/1001', '60000/1001', '12/1'];
    const expected = [64, 48, 64, 96, 128, 48, 60, 120, 24];
    const rates = gops.map((text) => text.split('/').map(Number)).map(([num = 1, den = 1]) => rational(num, den));
    assert.deepEqual(rates.map(gopFramesFor), expected);
    for (const rate of rates.slice(0, 5)) {
      assert.equal((gopFramesFor(rate) * 48_000 * rate.den) % (rate.num * 1024), 0, rationalText(rate));
    }
  });

  for (const [name, frames, rate] of [
    ['two hours at 23.976', 172_627, fps23976],
    ['two hours at 29.97', 215_784, fps2997],
    ['a minute at 29.97', 1799, fps2997],
    ['ten seconds at 25', 250, fps25],
    ['one frame', 1, fps25],
    ['one frame over a GOP', 49, fps25],
    ['one frame over 20 GOPs', 961, fps25],
  ] as const) {
    it(`covers ${name} with no frame twice and none missing, chunks made of whole segments of whole GOPs`, () => {
      const { segments, chunks, gopFrames } = planFrames(frames, rate);
      for (const ranges of [segments, chunks]) {
        assert.equal(ranges[0]?.start, 0);
        assert.equal(ranges.at(-1)?.end, frames);
        ranges.slice(1).forEach((range, index) => {
          assert.equal(range.start, ranges[index]?.end);
          assert.equal(range.start % gopFrames, 0);
        });
      }
      const starts = new Set(segments.map((segment) => segment.start));
      assert.ok(chunks.every((chunk) => starts.has(chunk.start)));
      const shortest = Math.min(...segments.slice(1).map((segment) => segment.end - segment.start), gopFrames);
      assert.ok(shortest >= gopFrames / 4, `a segment of ${shortest} frames`);
    });
  }

  it('makes chunks of about 15 s for a long title, each frame of it at an exact tick', () => {
    const { chunks } = planFrames(172_627, fps23976);
    const seconds = chunks.slice(0, -1).map((chunk) => ((chunk.end - chunk.start) * 1001) / 24_000);
    assert.ok(seconds.every((length) => length >= 12 && length <= 30));
    assert.deepEqual(trackClock(fps23976), { timescale: 24_000, ticksPerFrame: 1001 });
    assert.deepEqual(trackClock(fps25), { timescale: 12_800, ticksPerFrame: 512 });
  });

  it('names chunk edges of 29.97 in frames, where seconds would have slipped by one', () => {
    const { chunks } = planFrames(1800, fps2997);
    assert.deepEqual(
      chunks.map((chunk) => chunk.start),
      [0, 360, 720, 1080, 1440],
    );
    // Frame 1080 starts at 36.036 s; a cut planned at 36 s would take frame 1079 twice.
    assert.equal((1080 * 1001) / 30_000, 36.036);
  });
});

describe('measured frame rate', () => {
  for (const [name, rate, count, step, timeBase] of [
    ['exact 25', '25/1', 132, (i: number) => i * 512, rational(1, 12_800)],
    ['29.97 of a 90 kHz clock', '30000/1001', 300, (i: number) => 132_006 + i * 3003, rational(1, 90_000)],
    ['23.976 in whole ms', '24000/1001', 264, (i: number) => Math.round((i * 1001) / 24), rational(1, 1000)],
    ['29.97 in whole ms', '30000/1001', 300, (i: number) => Math.round((i * 1001) / 30), rational(1, 1000)],
    ['30 in whole ms', '30/1', 300, (i: number) => Math.round((i * 1000) / 30), rational(1, 1000)],
    ['59.94 in whole ms', '60000/1001', 600, (i: number) => Math.round((i * 1001) / 60), rational(1, 1000)],
    ['a rate of nobody', '17/1', 100, (i: number) => i * 1000, rational(1, 17_000)],
  ] as const) {
    it(`is ${rate} for ${name}, whatever the header claims`, () => {
      const measured = measureRate(times(count, step), timeBase, [rational(90_000, 1)]);
      assert.equal(rationalText(measured.rate), rate);
      assert.equal(measured.frameCount, count);
      assert.equal(measured.variable, false);
    });
  }

  it('is the dominant one of a variable source, with the frames a constant rate needs', () => {
    const gap = times(100, (index) => (index < 50 ? index : index + 20) * 1000);
    const measured = measureRate(gap, rational(1, 30_000), []);
    assert.deepEqual(measured, {
      rate: rational(30, 1),
      frameCount: 120,
      variable: true,
      sourceRate: rational(30, 1),
    });
  });

  it('is halved above 60', () => {
    const measured = measureRate(
      times(240, (index) => index * 100),
      rational(1, 12_000),
      [],
    );
    assert.deepEqual([rationalText(measured.rate), measured.frameCount], ['60/1', 120]);
  });

  it('is the claimed one for a single frame', () => {
    const measured = measureRate(
      times(1, () => 0),
      rational(1, 1000),
      [fps2997],
    );
    assert.deepEqual([rationalText(measured.rate), measured.frameCount], ['30000/1001', 1]);
  });
});

describe('ladder', () => {
  const sizes = (width: number, height: number) =>
    chooseRungs(fixedLadder, { width, height }, fps25).map((rung) => `${rung.width}x${rung.height}`);

  it('gives a 720p source 720, 432 and 270 lines and never more than the source has', () => {
    assert.deepEqual(sizes(1280, 720), ['1280x720', '768x432', '480x270']);
    assert.deepEqual(sizes(1920, 1080), ['1920x1080', '1280x720', '768x432', '480x270']);
    assert.deepEqual(sizes(854, 480), ['768x432', '480x270']);
  });

  it('measures portrait pictures by their short side', () => {
    assert.deepEqual(sizes(720, 1280), ['720x1280', '432x768', '270x480']);
  });

  it('gives a source below every step one even rung of its own size', () => {
    assert.deepEqual(sizes(161, 121), ['160x120']);
  });

  it('pins the lowest level that holds picture, rate and cap', () => {
    assert.equal(levelFor(1280, 720, fps25, 3500), '3.1');
    assert.equal(levelFor(1280, 720, rational(60, 1), 3500), '3.2');
    assert.equal(levelFor(1680, 720, fps25, 3500), '3.2');
    assert.equal(levelFor(1920, 1080, fps25, 6500), '4.0');
    assert.equal(levelFor(1920, 1080, rational(60, 1), 6500), '4.2');
  });
});

describe('transcode plan', () => {
  it('seeks to a keyframe with some frames to spare before each chunk', () => {
    const seeks = (keyframes: number) =>
      planOf({ keyframeTicks: times(6, (index) => index * 512 * keyframes) }).chunks.map(
        ({ seekSeconds }) => seekSeconds && Math.round(seekSeconds * 1e6) / 1e6,
      );
    assert.deepEqual(seeks(25), [null, 1, 3]);
    // Keyframes at 1.88 and 3.76 s are nearer than 0.2 s to chunks at 1.92 and 3.84 s; near the start there is no seek.
    assert.deepEqual(seeks(47), [null, null, 1.88]);
  });

  it('seeks at least one source GOP before each chunk where a seek may miss', () => {
    const probe = { ...probeOf({}), demuxer: 'mpegts' } as const;
    const plan = planTranscode({ probe, sourceKey: 'a', sourceSha256: 'b', encoderBuild: 'c' });
    assert.deepEqual(
      plan.chunks.map((chunk) => chunk.seekSeconds),
      [null, null, 2],
    );
  });

  it('seeks on the source clock when it does not start at 0', () => {
    const plan = planOf({
      ptsTicks: times(132, (index) => 12_800 + index * 512),
      keyframeTicks: times(6, (index) => 12_800 + index * 512 * 25),
    });
    assert.equal(plan.video.startTicks, 12_800);
    assert.deepEqual(
      plan.chunks.map((chunk) => chunk.seekSeconds),
      [null, 2, 4],
    );
  });

  it('reads a source with a single keyframe from its start', () => {
    assert.ok(planOf({ keyframeTicks: times(1, () => 0) }).chunks.every((chunk) => chunk.seekSeconds === null));
  });

  it('cuts a quarter frame early and makes times from frame numbers', () => {
    const plan = planOf();
    const [, , chunk] = plan.chunks;
    assert.ok(chunk);
    const filters = chunkFilters(plan, chunk, plan.rungs);
    assert.match(filters, /fps=25\/1,trim=start=3\.830000000:end=5\.270000000,setpts=N\/\(25\/1\*TB\),split=3/);
    assert.match(filters, /\[s2\]scale=480:270:/);
  });

  it('is the same for the same input, and another for another source', () => {
    assert.deepEqual(planOf(), planOf());
    assert.notDeepEqual(planOf(), planOf({ width: 1278 }));
  });

  it('gives languages their shortest tag and drops what is none', () => {
    assert.deepEqual(['eng', 'deu', 'pt-br', 'und', '', '???'].map(languageTag), ['en', 'de', 'pt-BR', '', '', '']);
  });
});

describe('child jobs of a title', () => {
  const plan = planTranscode({
    probe: probeOf({ frameBytes: times(132, (index) => (index >= 48 && index < 96 ? 5000 : 100)) }),
    sourceKey: 'a',
    sourceSha256: 'b',
    encoderBuild: 'c',
    codecs: [
      { codec: 'h264', encoder: 'libx264' },
      { codec: 'av1', encoder: 'libsvtav1' },
    ],
  });
  const jobs = encodeJobs('transcode/plans/0.json', plan);

  it('are queued longest first by the bytes of the source, the slowest codec of a chunk first', () => {
    assert.deepEqual(
      jobs.map((job) => job.key),
      ['chunk-1-av1', 'chunk-1', 'chunk-0-av1', 'chunk-0', 'chunk-2-av1', 'chunk-2'],
    );
    assert.deepEqual(
      jobs.slice(0, 2).map((job) => [job.kind, job.label]),
      [
        ['encode-chunk-av1', 'encode frames 48-95 (av1)'],
        ['encode-chunk', 'encode frames 48-95'],
      ],
    );
  });

  it('are put back in order when they have ended, all codecs of a chunk together', () => {
    const results = jobs.map((job) => ({ start: 0, end: 0, rungs: [{ id: job.key }] })) as unknown as ChunkRecord[];
    const { audio, chunks } = collectEncodes(plan, jobs, results);
    assert.deepEqual(audio, []);
    assert.deepEqual(
      chunks.map(({ start, end, rungs }) => [start, end, ...rungs.map((rung) => rung.id)]),
      [
        [0, 48, 'chunk-0-av1', 'chunk-0'],
        [48, 96, 'chunk-1-av1', 'chunk-1'],
        [96, 132, 'chunk-2-av1', 'chunk-2'],
      ],
    );
  });

  it('have levels of their codec: H.265 by its own table', () => {
    assert.equal(hevcLevelFor(1280, 720, fps25, 2450), '3.1');
    assert.equal(hevcLevelFor(1920, 1080, rational(60, 1), 4550), '4.1');
    assert.equal(hevcLevelFor(3840, 2160, fps25, 20_000), '5.0');
  });
});
