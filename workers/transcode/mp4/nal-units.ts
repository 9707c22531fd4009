import { mp4Malformed } from '../errors.ts';

/** NAL unit types of one H.264 sample stored with 4-byte lengths (ISO/IEC 14496-15), e.g. 5 = slice of an IDR picture. */
export function nalUnitTypes(sample: Buffer): number[] {
  const types: number[] = [];
  let at = 0;
  while (at < sample.length) {
    if (at + 5 > sample.length) throw mp4Malformed('NAL unit length is cut off');
    const size = sample.readUInt32BE(at);
    if (size === 0 || at + 4 + size > sample.length) throw mp4Malformed('NAL unit is longer than its sample');
    types.push((sample[at + 4] ?? 0) & 0x1f);
    at += 4 + size;
  }
  return types;
}

/** True when every slice of the sample belongs to an IDR picture: nothing before it is needed to decode it. */
export function isIdr(sample: Buffer): boolean {
  const slices = nalUnitTypes(sample).filter((type) => type >= 1 && type <= 5);
  return slices.length > 0 && slices.every((type) => type === 5);
}
