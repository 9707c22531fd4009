import { type Rational, rationalText, toNumber } from '../rational.ts';

/** Frames `[start, end)` of a title. */
export type FrameRange = { readonly start: number; readonly end: number };

/** How a title is cut, in frame numbers and never in seconds; every rung shares it. */
export interface FramePlan {
  readonly frameCount: number;
  /** Frames from one IDR picture to the next. */
  readonly gopFrames: number;
  /** Each is one media segment: whole GOPs, the last one maybe shorter. */
  readonly segments: readonly FrameRange[];
  /** Each is one encode job: whole segments. */
  readonly chunks: readonly FrameRange[];
}

/**
 * Frames after which a whole number of AAC frames (1024 samples at 48 kHz) has passed, nearest 2 s, so that audio and
 * video segments end together: 48 frames at 25 fps = 1.92 s = 90 AAC frames. 23.976 and 29.97 have none below 20 s.
 */
const alignedGop: Readonly<Record<string, number>> = {
  '24/1': 64,
  '25/1': 48,
  '30/1': 64,
  '48/1': 128,
  '50/1': 96,
  '60/1': 128,
};

/** GOP for a rate: AAC-aligned where the rate divides, else 2 s rounded to whole frames. */
export function gopFramesFor(rate: Rational): number {
  return alignedGop[rationalText(rate)] ?? Math.max(1, Math.round(2 * toNumber(rate)));
}

/** Chunks are this long in a long title: 12-30 s keeps a lost worker cheap and the loss of look-ahead small. */
const longChunkSeconds = 15;
/** Titles of this many GOPs and more take two GOPs a segment (about 4 s): fewer requests, same seek points. */
const longTitleGops = 20;

function ranges(frameCount: number, length: number, shortestTail: number): FrameRange[] {
  const out: FrameRange[] = [];
  for (let start = 0; start < frameCount; start += length) {
    const end = Math.min(start + length, frameCount);
    const last = out.at(-1);
    if (last && end - start < shortestTail) out[out.length - 1] = { start: last.start, end };
    else out.push({ start, end });
  }
  return out;
}

/**
 * Cuts `frameCount` frames into segments and chunks. A tail below a quarter GOP joins the segment before it, because
 * players stumble over near-empty last segments. Short titles get at least five chunks where they have as many GOPs.
 */
export function planFrames(frameCount: number, rate: Rational): FramePlan {
  const gopFrames = gopFramesFor(rate);
  const gops = Math.ceil(frameCount / gopFrames);
  const segmentGops = gops >= longTitleGops ? 2 : 1;
  const longest = Math.max(1, Math.round((longChunkSeconds * toNumber(rate)) / gopFrames));
  const chunkGops = Math.min(longest, Math.max(1, Math.floor(gops / 5)));
  const chunkSegments = Math.max(1, Math.floor(chunkGops / segmentGops));
  const tail = Math.ceil(gopFrames / 4);
  return {
    frameCount,
    gopFrames,
    segments: ranges(frameCount, gopFrames * segmentGops, tail),
    chunks: ranges(frameCount, gopFrames * segmentGops * chunkSegments, tail),
  };
}

/** Ticks per second and per frame of the output: exact for every rate, and fine enough for players (10,000 or more). */
export function trackClock(rate: Rational): { timescale: number; ticksPerFrame: number } {
  let timescale = rate.num;
  let ticksPerFrame = rate.den;
  while (timescale < 10_000) {
    timescale *= 2;
    ticksPerFrame *= 2;
  }
  return { timescale, ticksPerFrame };
}
