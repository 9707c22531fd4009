import type { VideoCodec } from '../codecs/video-codec.ts';
import { isHevcIdr, isIdr } from './nal-units.ts';

/** VP9 (bitstream specification §6.2): a shown frame of type 0 starts everything anew. */
function isVp9Key(sample: Buffer): boolean {
  const first = sample[0] ?? 0;
  if (first >> 6 !== 2) return false;
  const profile = ((first >> 5) & 1) | (((first >> 4) & 1) << 1);
  // Profile 3 has one reserved bit more.
  const at = profile === 3 ? 2 : 3;
  const showExisting = (first >> at) & 1;
  const frameType = (first >> (at - 1)) & 1;
  return showExisting === 0 && frameType === 0;
}

const sequenceHeader = 1;
const frameHeader = 3;
const frame = 6;

/** One OBU header at `at`: its type, where its payload starts and where the next one does; undefined when cut off. */
function obuAt(sample: Buffer, at: number): { type: number; body: number; end: number } | undefined {
  const header = sample[at];
  if (header === undefined) return undefined;
  let next = at + (header & 4 ? 2 : 1);
  let size = 0;
  if (header & 2) {
    for (let shift = 0; shift < 56; shift += 7) {
      const byte = sample[next++];
      if (byte === undefined) return undefined;
      size += (byte & 0x7f) * 2 ** shift;
      if ((byte & 0x80) === 0) break;
    }
  } else {
    size = sample.length - next;
  }
  return next + size > sample.length ? undefined : { type: (header >> 3) & 15, body: next, end: next + size };
}

/** AV1 (specification §7.6.1): a sequence header, then a shown key frame as the first frame of the temporal unit. */
function isAv1Key(sample: Buffer): boolean {
  let hasSequence = false;
  for (let obu = obuAt(sample, 0); obu; obu = obuAt(sample, obu.end)) {
    if (obu.type === sequenceHeader) hasSequence = true;
    if (obu.type !== frameHeader && obu.type !== frame) continue;
    const first = sample[obu.body] ?? 0xff;
    const isShown = first & 0x10;
    // show_existing_frame, two bits of frame_type, show_frame.
    return hasSequence && (first & 0xe0) === 0 && isShown !== 0;
  }
  return false;
}

const tests: Readonly<Record<VideoCodec, (sample: Buffer) => boolean>> = {
  h264: isIdr,
  hevc: isHevcIdr,
  vp9: isVp9Key,
  av1: isAv1Key,
};

/** True when decoding can start at this sample and nothing after it needs what came before, by the coded bits. */
export function isRandomAccess(codec: VideoCodec, sample: Buffer): boolean {
  return tests[codec](sample);
}
