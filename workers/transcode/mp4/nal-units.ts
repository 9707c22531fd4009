import { mp4Malformed } from '../errors.ts';

/** First byte of each NAL unit of a sample stored with 4-byte lengths (ISO/IEC 14496-15). */
function firstBytes(sample: Buffer): number[] {
  const bytes: number[] = [];
  let at = 0;
  while (at < sample.length) {
    if (at + 5 > sample.length) throw mp4Malformed('NAL unit length is cut off');
    const size = sample.readUInt32BE(at);
    if (size === 0 || at + 4 + size > sample.length) throw mp4Malformed('NAL unit is longer than its sample');
    bytes.push(sample[at + 4] ?? 0);
    at += 4 + size;
  }
  return bytes;
}

/** NAL unit types of one H.264 sample, e.g. 5 = slice of an IDR picture. */
export function nalUnitTypes(sample: Buffer): number[] {
  return firstBytes(sample).map((byte) => byte & 0x1f);
}

/** True when every slice of the sample belongs to an IDR picture: nothing before it is needed to decode it. */
export function isIdr(sample: Buffer): boolean {
  const slices = nalUnitTypes(sample).filter((type) => type >= 1 && type <= 5);
  return slices.length > 0 && slices.every((type) => type === 5);
}

/** The same for H.265: IDR_W_RADL or IDR_N_LP, not CRA, whose leading pictures would refer to the past. */
export function isHevcIdr(sample: Buffer): boolean {
  const slices = firstBytes(sample)
    .map((byte) => (byte >> 1) & 0x3f)
    .filter((type) => type < 32);
  return slices.length > 0 && slices.every((type) => type === 19 || type === 20);
}
