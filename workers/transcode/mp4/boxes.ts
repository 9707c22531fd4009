import { mp4Malformed } from '../errors.ts';

/** One ISO-BMFF box in a buffer (ISO/IEC 14496-12 §4.2): `[start, end)` with the header, payload from `bodyStart`. */
export interface Box {
  readonly type: string;
  readonly start: number;
  readonly bodyStart: number;
  readonly end: number;
}

/** The boxes of `[start, end)` in order. DATA_LOSS MP4_MALFORMED when a size does not fit. */
export function parseBoxes(data: Buffer, start = 0, end = data.length): Box[] {
  const boxes: Box[] = [];
  let at = start;
  while (at < end) {
    if (at + 8 > end) throw mp4Malformed(`${end - at} stray bytes at ${at}`);
    let size = data.readUInt32BE(at);
    let header = 8;
    if (size === 1) {
      if (at + 16 > end) throw mp4Malformed(`large box header cut at ${at}`);
      size = Number(data.readBigUInt64BE(at + 8));
      header = 16;
    } else if (size === 0) {
      size = end - at;
    }
    if (size < header || at + size > end) throw mp4Malformed(`box at ${at} says ${size} bytes, ${end - at} are left`);
    const type = data.toString('latin1', at + 4, at + 8);
    boxes.push({ type, start: at, bodyStart: at + header, end: at + size });
    at += size;
  }
  return boxes;
}

/** Children of a box; `skip` bytes of the body come before the first one (4 for a full box such as `stsd` + 4). */
export function childBoxes(data: Buffer, box: Box, skip = 0): Box[] {
  return parseBoxes(data, box.bodyStart + skip, box.end);
}

/** First box of a type along a path such as `['moov', 'trak', 'mdia']`; undefined when any part is missing. */
export function findBox(data: Buffer, boxes: readonly Box[], path: readonly string[]): Box | undefined {
  let level: readonly Box[] = boxes;
  let found: Box | undefined;
  for (const type of path) {
    found = level.find((box) => box.type === type);
    if (!found) return undefined;
    if (type !== path.at(-1)) level = childBoxes(data, found);
  }
  return found;
}

/** As findBox, but DATA_LOSS MP4_MALFORMED when it is missing. */
export function getBox(data: Buffer, boxes: readonly Box[], path: readonly string[]): Box {
  const found = findBox(data, boxes, path);
  if (!found) throw mp4Malformed(`no ${path.join('/')} box`);
  return found;
}

/** A box of `type` with the given payload parts. */
export function makeBox(type: string, ...parts: readonly Uint8Array[]): Buffer {
  const size = parts.reduce((sum, part) => sum + part.length, 8);
  const header = Buffer.alloc(8);
  header.writeUInt32BE(size, 0);
  header.write(type, 4, 'latin1');
  return Buffer.concat([header, ...parts], size);
}

/** A full box: version and 24 bits of flags before the payload. */
export function makeFullBox(type: string, version: number, flags: number, ...parts: readonly Uint8Array[]): Buffer {
  return makeBox(type, uint32((version << 24) | flags), ...parts);
}

/** Big-endian 32-bit words; negative numbers are written in two's complement. */
export function uint32(...values: readonly number[]): Buffer {
  const out = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => {
    out.writeUInt32BE(value >>> 0, index * 4);
  });
  return out;
}

/** Big-endian 64-bit word. */
export function uint64(value: number): Buffer {
  const out = Buffer.alloc(8);
  out.writeBigUInt64BE(BigInt(value));
  return out;
}
