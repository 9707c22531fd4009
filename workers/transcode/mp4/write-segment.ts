import { makeBox, makeFullBox, uint32, uint64 } from './boxes.ts';
import type { Sample } from './read-fragments.ts';

/** `sample_depends_on` = 2 (an intra frame) and sync; = 1 and non-sync (ISO/IEC 14496-12 §8.8.3.1). */
const syncFlags = 0x02000000;
const dependentFlags = 0x01010000;

interface SegmentInit {
  readonly trackId: number;
  /** Number of the fragment in its track, from 1 (`mfhd`). */
  readonly sequence: number;
  /** Decode time of the first sample, in ticks from the title's start (`tfdt`, version 1). */
  readonly decodeTicks: number;
  readonly samples: readonly Sample[];
  /** Ticks to add to every composition offset, so that all chunks of a track have the delay its edit list skips. */
  readonly shiftTicks: number;
}

function trunOf(segment: SegmentInit, dataOffset: number, evenDuration: boolean): Buffer {
  const offsets = segment.samples.some((sample) => sample.offsetTicks + segment.shiftTicks !== 0);
  const flags = 0x1 | 0x200 | 0x400 | (evenDuration ? 0 : 0x100) | (offsets ? 0x800 : 0);
  const words: number[] = [segment.samples.length, dataOffset];
  for (const sample of segment.samples) {
    if (!evenDuration) words.push(sample.durationTicks);
    words.push(sample.data.length, sample.sync ? syncFlags : dependentFlags);
    if (offsets) words.push(sample.offsetTicks + segment.shiftTicks);
  }
  return makeFullBox('trun', 1, flags, uint32(...words));
}

function moofOf(segment: SegmentInit, dataOffset: number): Buffer {
  const duration = segment.samples[0]?.durationTicks ?? 0;
  const evenDuration = segment.samples.every((sample) => sample.durationTicks === duration);
  // 0x020000 default-base-is-moof, as CMAF asks; 0x8 default sample duration.
  const tfhd = makeFullBox('tfhd', 0, 0x020000 | 0x8, uint32(segment.trackId, duration));
  const tfdt = makeFullBox('tfdt', 1, 0, uint64(segment.decodeTicks));
  const mfhd = makeFullBox('mfhd', 0, 0, uint32(segment.sequence));
  return makeBox('moof', mfhd, makeBox('traf', tfhd, tfdt, trunOf(segment, dataOffset, evenDuration)));
}

/**
 * One CMAF media segment (styp + moof + mdat; ISO/IEC 23000-19) of the samples: times are rebased to the title's
 * timeline, sample bytes are copied untouched. There is no `sidx`: the manifests carry exact segment times.
 */
export function writeSegment(segment: SegmentInit): Buffer {
  const styp = makeBox('styp', Buffer.from('cmfs'), uint32(0), Buffer.from('cmfscmffiso6msdh'));
  const moofBytes = moofOf(segment, 0).length;
  const moof = moofOf(segment, moofBytes + 8);
  return Buffer.concat([styp, moof, makeBox('mdat', ...segment.samples.map((sample) => sample.data))]);
}
