import { type Rational, toNumber } from '../rational.ts';
import type { SourceVideo } from '../source/source-probe.ts';

/** Index of the first value that is not below `wanted`, of sorted values. */
function lowerBound(values: Float64Array, wanted: number): number {
  let from = 0;
  let to = values.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((values[middle] ?? 0) < wanted) from = middle + 1;
    else to = middle;
  }
  return from;
}

/**
 * Bytes of the source's frames that output frames `[start, end)` show. A source made at a steady quality spends bytes
 * where the picture is hard, so this stands for encoding time and for the rate of any new encode, at no cost.
 */
export function sourceBytesOf(video: SourceVideo, rate: Rational, start: number, end: number): number {
  const ticksPerFrame = 1 / toNumber(rate) / toNumber(video.timeBase);
  const zero = video.ptsTicks[0] ?? 0;
  const indexOf = (frame: number) => lowerBound(video.ptsTicks, zero + (frame - 0.25) * ticksPerFrame);
  let bytes = 0;
  for (const size of video.frameBytes.subarray(indexOf(start), indexOf(end))) bytes += size;
  return bytes;
}

/** Mean bits a second of the source's video stream. */
export function sourceRateBps(video: SourceVideo, seconds: number): number {
  let bytes = 0;
  for (const size of video.frameBytes) bytes += size;
  return (bytes * 8) / seconds;
}
