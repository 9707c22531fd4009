import assert from 'node:assert/strict';
import { planKeyOf, rungProgress, type TranscodePart } from '../../server/transcode/rung-progress.ts';

const plan = {
  frameCount: 300,
  chunks: [
    { start: 0, end: 120 },
    { start: 120, end: 240 },
    { start: 240, end: 300 },
  ],
  rungs: [
    { id: '720p', codec: 'h264' },
    { id: '270p', codec: 'h264' },
    { id: 'hevc-720p', codec: 'hevc' },
  ],
};

function part(kind: string, chunk: number, more: Partial<TranscodePart> = {}): TranscodePart {
  return { kind, params: { plan: 'transcode/plans/a.json', chunk }, isDone: false, frames: 0, ...more };
}

const audio: TranscodePart = {
  kind: 'encode-audio',
  params: { plan: 'x', track: 0 },
  isDone: true,
  frames: 999,
};

describe('the progress of rungs', () => {
  it('counts whole chunks that have ended and what running ones reported, by codec', () => {
    const parts = [
      audio,
      part('encode-chunk', 2, { isDone: true, frames: 59, startMs: 1000, endMs: 2000 }),
      part('encode-chunk', 0, { frames: 60, startMs: 2000 }),
      part('encode-chunk', 1),
      part('encode-chunk-hevc', 0, { frames: 500, startMs: 5000 }),
    ];
    const [high, low, hevc] = rungProgress(plan, parts, 7000);
    // 120 of 300 frames in 6 s: 180 more take 9 s.
    assert.deepEqual(high, { rung: '720p', frames: 120, totalFrames: 300, framesPerSecond: 20, remainingMs: 9000 });
    assert.deepEqual(low, { ...high, rung: '270p' });
    // No more than the chunk has, whatever was reported.
    const other = { rung: 'hevc-720p', frames: 120, totalFrames: 300, framesPerSecond: 60, remainingMs: 3000 };
    assert.deepEqual(hevc, other);
  });

  it('has no pace and no end before the first chunk began', () => {
    for (const parts of [[part('encode-chunk', 0)], [], [part('encode-chunk', 0, { startMs: 7000 })]]) {
      const [first] = rungProgress(plan, parts, 7000);
      assert.deepEqual(first, { rung: '720p', frames: 0, totalFrames: 300, framesPerSecond: 0 });
    }
  });

  it('ends at all frames with nothing left', () => {
    const parts = [0, 1, 2].map((chunk) => part('encode-chunk', chunk, { isDone: true, startMs: 0, endMs: 5000 }));
    const [first] = rungProgress(plan, parts, 10_000);
    // The pace of the encode stays, however long its title is packaged.
    assert.deepEqual([first?.frames, first?.remainingMs, first?.framesPerSecond], [300, 0, 60]);
  });

  it('does not take chunks that were there already for a pace', () => {
    const there = { isDone: true, startMs: 1000, endMs: 1001, encodes: ['270p'] };
    const at = (frames: number, nowMs: number) =>
      rungProgress(plan, [part('encode-chunk', 0, there), part('encode-chunk', 1, { frames, startMs: 1001 })], nowMs);
    const [begun, other] = at(0, 1501);
    assert.deepEqual(begun, { rung: '720p', frames: 120, totalFrames: 300, framesPerSecond: 0 });
    assert.ok(other && other.framesPerSecond > 0, 'of the other rung it was encoded');
    const [later] = at(60, 4001);
    // What a chunk that runs leaves out is there, too.
    const [there720, runs270] = rungProgress(
      plan,
      [part('encode-chunk', 0, { frames: 30, startMs: 0, encodes: ['270p'] })],
      1000,
    );
    assert.deepEqual([there720?.frames, runs270?.frames, there720?.remainingMs], [120, 30, undefined]);
    assert.deepEqual(later, { rung: '720p', frames: 180, totalFrames: 300, framesPerSecond: 20, remainingMs: 6000 });
  });

  it('forgets the time in which nothing was encoded', () => {
    const dayMs = 86_400_000;
    const parts = [
      part('encode-chunk', 0, { isDone: true, startMs: 0, endMs: 4000 }),
      part('encode-chunk', 1, { frames: 30, startMs: dayMs }),
    ];
    const [first] = rungProgress(plan, parts, dayMs + 30_000);
    // 30 frames in the 60 s before, of which it ran for half.
    assert.deepEqual([first?.framesPerSecond, first?.remainingMs], [0.5, 300_000]);
    assert.equal(rungProgress(plan, parts.slice(0, 1), dayMs)[0]?.remainingMs, undefined);
  });

  it('takes clocks that differ, and reports that make no sense, without a time that makes none', () => {
    for (const more of [
      { startMs: 9000 },
      { startMs: 9000, endMs: 8000, isDone: true },
      { startMs: 6999, frames: 1e9 },
    ]) {
      for (const { framesPerSecond, remainingMs = 0 } of rungProgress(plan, [part('encode-chunk', 0, more)], 7000)) {
        assert.ok(Number.isFinite(framesPerSecond) && framesPerSecond >= 0);
        assert.ok(Number.isSafeInteger(remainingMs) && remainingMs >= 0);
      }
    }
  });

  it('follows the plan of its chunks, and of nothing else', () => {
    assert.equal(planKeyOf([audio, part('encode-chunk-av1', 0)]), 'transcode/plans/a.json');
    assert.equal(planKeyOf([audio]), undefined);
  });
});
