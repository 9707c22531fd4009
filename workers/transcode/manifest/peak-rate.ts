import type { MediaSegment } from './media-track.ts';

/**
 * Peak segment bit rate of RFC 8216 §4.1: the most bits a second over any run of segments that lasts 0.5 to 1.5
 * target durations; with segments outside that range (one short segment), over any single one.
 */
export function peakRate(segments: readonly MediaSegment[], timescale: number, targetSeconds: number): number {
  const least = 0.5 * targetSeconds * timescale;
  const most = 1.5 * targetSeconds * timescale;
  let peak = 0;
  for (let first = 0; first < segments.length; first++) {
    let bytes = 0;
    let ticks = 0;
    for (const segment of segments.slice(first, first + 256)) {
      bytes += segment.bytes;
      ticks += segment.durationTicks;
      if (ticks > most) break;
      if (ticks >= least) peak = Math.max(peak, (bytes * 8 * timescale) / ticks);
    }
  }
  const single = () => Math.max(...segments.map((segment) => (segment.bytes * 8 * timescale) / segment.durationTicks));
  return Math.ceil(peak > 0 ? peak : single());
}

/** Mean bits a second over all segments. */
export function averageRate(segments: readonly MediaSegment[], timescale: number): number {
  const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
  const ticks = segments.reduce((sum, segment) => sum + segment.durationTicks, 0);
  return Math.ceil((bytes * 8 * timescale) / ticks);
}
