import { mp4Malformed } from '../errors.ts';
import { type Box, childBoxes, findBox, getBox, parseBoxes } from './boxes.ts';

/** One coded sample of a fragmented track. Times are ticks of the track's timescale. */
export interface Sample {
  readonly decodeTicks: number;
  readonly durationTicks: number;
  /** Presentation minus decode time; may be negative (trun version 1). */
  readonly offsetTicks: number;
  readonly sync: boolean;
  readonly data: Buffer;
}

/** `sample_is_non_sync_sample` of ISO/IEC 14496-12 §8.8.3.1. */
const nonSync = 0x10000;

interface TrackDefaults {
  duration: number;
  size: number;
  flags: number;
}

function trackDefaults(data: Buffer, boxes: readonly Box[]): TrackDefaults {
  const trex = findBox(data, boxes, ['moov', 'mvex', 'trex']);
  if (!trex) return { duration: 0, size: 0, flags: 0 };
  const at = trex.bodyStart + 12;
  return { duration: data.readUInt32BE(at), size: data.readUInt32BE(at + 4), flags: data.readUInt32BE(at + 8) };
}

function readTfhd(data: Buffer, tfhd: Box, moofStart: number, defaults: TrackDefaults) {
  const flags = data.readUInt32BE(tfhd.bodyStart) & 0xffffff;
  let at = tfhd.bodyStart + 8;
  const own = { ...defaults, base: moofStart };
  if (flags & 0x1) {
    own.base = Number(data.readBigUInt64BE(at));
    at += 8;
  }
  if (flags & 0x2) at += 4;
  const next = () => {
    at += 4;
    return data.readUInt32BE(at - 4);
  };
  if (flags & 0x8) own.duration = next();
  if (flags & 0x10) own.size = next();
  if (flags & 0x20) own.flags = next();
  return own;
}

function readTfdt(data: Buffer, tfdt: Box): number {
  const version = data[tfdt.bodyStart];
  return version === 1 ? Number(data.readBigUInt64BE(tfdt.bodyStart + 4)) : data.readUInt32BE(tfdt.bodyStart + 4);
}

function* readTrun(data: Buffer, trun: Box, track: ReturnType<typeof readTfhd>, from: { ticks: number; at: number }) {
  const flags = data.readUInt32BE(trun.bodyStart) & 0xffffff;
  const count = data.readUInt32BE(trun.bodyStart + 4);
  let at = trun.bodyStart + 8;
  const next = () => {
    at += 4;
    if (at > trun.end) throw mp4Malformed('trun is shorter than its sample count');
    return at - 4;
  };
  if (flags & 0x1) from.at = track.base + data.readInt32BE(next());
  const firstFlags = flags & 0x4 ? data.readUInt32BE(next()) : undefined;
  for (let index = 0; index < count; index++) {
    const durationTicks = flags & 0x100 ? data.readUInt32BE(next()) : track.duration;
    const size = flags & 0x200 ? data.readUInt32BE(next()) : track.size;
    const own = flags & 0x400 ? data.readUInt32BE(next()) : track.flags;
    const sampleFlags = index === 0 && firstFlags !== undefined ? firstFlags : own;
    // Version 0 offsets are unsigned, yet writers store negative ones in both: 2^31 ticks is no real offset.
    const offsetTicks = flags & 0x800 ? data.readInt32BE(next()) : 0;
    if (from.at + size > data.length) throw mp4Malformed('sample data is cut off');
    const bytes = data.subarray(from.at, from.at + size);
    yield { decodeTicks: from.ticks, durationTicks, offsetTicks, sync: (sampleFlags & nonSync) === 0, data: bytes };
    from.ticks += durationTicks;
    from.at += size;
  }
}

/**
 * All samples of a single-track fragmented MP4 (or of media segments alone, with the init segment's bytes in front)
 * in decode order, as views into `data`. DATA_LOSS MP4_MALFORMED when a box or sample does not fit.
 */
export function readSamples(data: Buffer): Sample[] {
  const boxes = parseBoxes(data);
  const defaults = trackDefaults(data, boxes);
  const samples: Sample[] = [];
  for (const moof of boxes.filter((box) => box.type === 'moof')) {
    const trafs = childBoxes(data, moof).filter((box) => box.type === 'traf');
    const traf = trafs[0];
    if (!traf || trafs.length > 1) throw mp4Malformed(`a moof holds ${trafs.length} tracks, not 1`);
    const parts = childBoxes(data, traf);
    const track = readTfhd(data, getBox(data, parts, ['tfhd']), moof.start, defaults);
    const from = { ticks: readTfdt(data, getBox(data, parts, ['tfdt'])), at: moof.end + 8 };
    for (const trun of parts.filter((box) => box.type === 'trun')) samples.push(...readTrun(data, trun, track, from));
  }
  return samples;
}
