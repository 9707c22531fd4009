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

const audio: TranscodePart = { kind: 'encode-audio', params: { plan: 'x', track: 0 }, isDone: true, frames: 999 };

describe('the progress of rungs', () => {
  it('counts whole chunks that have ended and what running ones reported, by codec', () => {
    const parts = [
      audio,
      part('encode-chunk', 2, { isDone: true, frames: 59, startMs: 1000 }),
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
    const parts = [0, 1, 2].map((chunk) => part('encode-chunk', chunk, { isDone: true, startMs: 0 }));
    const [first] = rungProgress(plan, parts, 10_000);
    assert.deepEqual([first?.frames, first?.remainingMs], [300, 0]);
  });

  it('follows the plan of its chunks, and of nothing else', () => {
    assert.equal(planKeyOf([audio, part('encode-chunk-av1', 0)]), 'transcode/plans/a.json');
    assert.equal(planKeyOf([audio]), undefined);
  });
});
