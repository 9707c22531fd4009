import type { TranscodePlan } from '../plan/plan.ts';

/**
 * Seconds that ffmpeg is told to add to the times of a transport stream. Where such a file begins at exactly 0 it takes
 * its own offset of 0 for one it may correct, and moves a stream that begins later back to 0, `-copyts` or not.
 */
const transportOffsetSeconds = 1;

/** Options before the input that keep its clock as the file has it, but for the offset that {@link titleTime} takes away. */
export function clockArguments({ source }: Pick<TranscodePlan, 'source'>): string[] {
  return ['-copyts', ...(source.demuxer === 'mpegts' ? ['-itsoffset', String(transportOffsetSeconds)] : [])];
}

/** Expression of `setpts` and `asetpts` from the source's clock to the title's, in ticks that are not rounded. */
export function titleTime({ source, video }: Pick<TranscodePlan, 'source' | 'video'>, startTicks: number): string {
  const { num, den } = video.timeBase;
  return `PTS-${startTicks}*${num}/${den}/TB${source.demuxer === 'mpegts' ? `-${transportOffsetSeconds}/TB` : ''}`;
}
