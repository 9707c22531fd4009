import { mp4Malformed } from '../errors.ts';
import { type Box, childBoxes, findBox, getBox, makeBox, makeFullBox, parseBoxes, uint32 } from './boxes.ts';
import { channelsOf, codecString, entryHeaderBytes } from './codec-string.ts';

/** What a player learns from an init segment. */
export interface TrackInfo {
  readonly trackId: number;
  /** Ticks per second. */
  readonly timescale: number;
  /** RFC 6381, as codecString reads it: `avc1.64001f`, `hvc1.1.6.L93.90`, `mp4a.40.2`. */
  readonly codec: string;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly sampleRateHz: number;
  /** Ticks that the edit list skips at the start (AAC priming, frame reordering); 0 without an edit list. */
  readonly skipTicks: number;
}

/** Structural brand of CMAF, and the brand that AV1 in ISO-BMFF §2.1 asks for. */
function ftyp(entryType: string | undefined): Buffer {
  const brands = `iso6cmfcmp41${entryType === 'av01' ? 'av01' : ''}`;
  return makeBox('ftyp', Buffer.from('cmfc'), uint32(0), Buffer.from(brands));
}

function sampleEntry(data: Buffer, trak: Box): Box | undefined {
  const stsd = findBox(data, childBoxes(data, trak), ['mdia', 'minf', 'stbl', 'stsd']);
  return stsd && childBoxes(data, stsd, 8)[0];
}

/** An edit list of one entry of unknown length that starts presentation `skipTicks` into the media. */
function editList(skipTicks: number): Buffer {
  return makeBox('edts', makeFullBox('elst', 0, 0, uint32(1, 0, skipTicks, 0x00010000)));
}

/** Boxes above the sample entries, and the bytes of their bodies before their children. */
const aboveEntries: Readonly<Record<string, number>> = { mdia: 0, minf: 0, stbl: 0, stsd: 8 };

/** A box as it is, but for `btrt` in sample entries: the encoder's caps, which may differ by chunk and bind nobody. */
function withoutRates(data: Buffer, box: Box): Buffer {
  const skip = aboveEntries[box.type] ?? entryHeaderBytes(box.type);
  if (skip === undefined) return data.subarray(box.start, box.end);
  const children = childBoxes(data, box, skip).filter((child) => child.type !== 'btrt');
  const head = data.subarray(box.bodyStart, box.bodyStart + skip);
  return makeBox(box.type, head, ...children.map((child) => withoutRates(data, child)));
}

/**
 * The CMAF header (ftyp + moov) of a fragmented MP4, with user data and rates dropped and an edit list that skips its
 * delay (priming of audio, reordering of video), so that presentation starts at 0. Negative composition offsets
 * would do the same without one, but FFmpeg's demuxer, and players made of it, then show video two frames late.
 */
export function makeInitSegment(fragmented: Buffer, skipTicks: number): Buffer {
  const moov = getBox(fragmented, parseBoxes(fragmented), ['moov']);
  const parts = childBoxes(fragmented, moov).filter((box) => box.type !== 'udta');
  const rebuilt = parts.map((box) => {
    if (box.type !== 'trak') return fragmented.subarray(box.start, box.end);
    const [tkhd, ...rest] = childBoxes(fragmented, box)
      .filter((child) => child.type !== 'edts' && child.type !== 'udta')
      .map((child) => withoutRates(fragmented, child));
    if (!tkhd) throw mp4Malformed('an empty track box');
    return makeBox('trak', tkhd, ...(skipTicks > 0 ? [editList(skipTicks)] : []), ...rest);
  });
  const trak = childBoxes(fragmented, moov).find((box) => box.type === 'trak');
  return Buffer.concat([ftyp(trak && sampleEntry(fragmented, trak)?.type), makeBox('moov', ...rebuilt)]);
}

function skipTicks(data: Buffer, trak: Box): number {
  const elst = findBox(data, childBoxes(data, trak), ['edts', 'elst']);
  if (!elst) return 0;
  if (data.readUInt32BE(elst.bodyStart + 4) !== 1) throw mp4Malformed('an edit list of one entry is expected');
  const version = data[elst.bodyStart];
  return version === 1 ? Number(data.readBigInt64BE(elst.bodyStart + 16)) : data.readInt32BE(elst.bodyStart + 12);
}

/** Reads the one track of an init segment. DATA_LOSS MP4_MALFORMED for anything but one track that codecString knows. */
export function readTrackInfo(init: Buffer): TrackInfo {
  const moov = getBox(init, parseBoxes(init), ['moov']);
  const traks = childBoxes(init, moov).filter((box) => box.type === 'trak');
  const trak = traks[0];
  if (!trak || traks.length > 1) throw mp4Malformed(`${traks.length} tracks, not 1`);
  const parts = childBoxes(init, trak);
  const tkhd = getBox(init, parts, ['tkhd']).bodyStart;
  const mdhd = getBox(init, parts, ['mdia', 'mdhd']).bodyStart;
  const entry = sampleEntry(init, trak);
  if (!entry) throw mp4Malformed('no sample entry');
  const { codec, video } = codecString(init, entry);
  return {
    trackId: init.readUInt32BE(tkhd + (init[tkhd] === 1 ? 20 : 12)),
    timescale: init.readUInt32BE(mdhd + (init[mdhd] === 1 ? 20 : 12)),
    codec,
    width: video ? init.readUInt16BE(entry.bodyStart + 24) : 0,
    height: video ? init.readUInt16BE(entry.bodyStart + 26) : 0,
    channels: video ? 0 : channelsOf(init, entry),
    sampleRateHz: video ? 0 : init.readUInt32BE(entry.bodyStart + 24) / 65_536,
    skipTicks: skipTicks(init, trak),
  };
}
