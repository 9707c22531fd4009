import { mp4Malformed } from '../errors.ts';
import { type Box, childBoxes, findBox, getBox, makeBox, makeFullBox, parseBoxes, uint32 } from './boxes.ts';

/** What a player learns from an init segment. */
export interface TrackInfo {
  readonly trackId: number;
  /** Ticks per second. */
  readonly timescale: number;
  /** RFC 6381, read from avcC or esds and never from the encoder's settings: `avc1.64001f`, `mp4a.40.2`. */
  readonly codec: string;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly sampleRateHz: number;
  /** Ticks that the edit list skips at the start (AAC priming, frame reordering); 0 without an edit list. */
  readonly skipTicks: number;
}

function ftyp(): Buffer {
  return makeBox('ftyp', Buffer.from('cmfc'), uint32(0), Buffer.from('iso6cmfcmp41'));
}

/** An edit list of one entry of unknown length that starts presentation `skipTicks` into the media. */
function editList(skipTicks: number): Buffer {
  return makeBox('edts', makeFullBox('elst', 0, 0, uint32(1, 0, skipTicks, 0x00010000)));
}

/**
 * The CMAF header (ftyp + moov) of a fragmented MP4, with user data dropped and an edit list that skips the track's
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
      .map((child) => fragmented.subarray(child.start, child.end));
    if (!tkhd) throw mp4Malformed('an empty track box');
    return makeBox('trak', tkhd, ...(skipTicks > 0 ? [editList(skipTicks)] : []), ...rest);
  });
  return Buffer.concat([ftyp(), makeBox('moov', ...rebuilt)]);
}

function hex(byte: number | undefined): string {
  return (byte ?? 0).toString(16).padStart(2, '0');
}

function avcCodec(data: Buffer, entry: Box): string {
  const avcC = getBox(data, childBoxes(data, entry, 78), ['avcC']).bodyStart;
  return `avc1.${hex(data[avcC + 1])}${hex(data[avcC + 2])}${hex(data[avcC + 3])}`;
}

/** Body of the descriptor with `tag` at `at`; sizes are 7 bits a byte (ISO/IEC 14496-1 §8.3.3). */
function descriptorBody(data: Buffer, at: number, tag: number): number {
  if (data[at] !== tag) throw mp4Malformed(`esds descriptor ${tag} expected`);
  let next = at + 1;
  while ((data[next] ?? 0) & 0x80) next++;
  return next + 1;
}

function aacCodec(data: Buffer, entry: Box): string {
  const esds = getBox(data, childBoxes(data, entry, 28), ['esds']).bodyStart + 4;
  const config = descriptorBody(data, descriptorBody(data, esds, 3) + 3, 4);
  const specific = descriptorBody(data, config + 13, 5);
  return `mp4a.${hex(data[config])}.${(data[specific] ?? 0) >> 3}`;
}

function skipTicks(data: Buffer, trak: Box): number {
  const elst = findBox(data, childBoxes(data, trak), ['edts', 'elst']);
  if (!elst) return 0;
  if (data.readUInt32BE(elst.bodyStart + 4) !== 1) throw mp4Malformed('an edit list of one entry is expected');
  const version = data[elst.bodyStart];
  return version === 1 ? Number(data.readBigInt64BE(elst.bodyStart + 16)) : data.readInt32BE(elst.bodyStart + 12);
}

/** Reads the one track of an init segment. DATA_LOSS MP4_MALFORMED for anything but one avc1 or mp4a track. */
export function readTrackInfo(init: Buffer): TrackInfo {
  const moov = getBox(init, parseBoxes(init), ['moov']);
  const traks = childBoxes(init, moov).filter((box) => box.type === 'trak');
  const trak = traks[0];
  if (!trak || traks.length > 1) throw mp4Malformed(`${traks.length} tracks, not 1`);
  const parts = childBoxes(init, trak);
  const tkhd = getBox(init, parts, ['tkhd']).bodyStart;
  const mdhd = getBox(init, parts, ['mdia', 'mdhd']).bodyStart;
  const stsd = getBox(init, parts, ['mdia', 'minf', 'stbl', 'stsd']);
  const entry = childBoxes(init, stsd, 8)[0];
  if (entry?.type !== 'avc1' && entry?.type !== 'mp4a') throw mp4Malformed(`sample entry ${entry?.type} is not known`);
  const video = entry.type === 'avc1';
  return {
    trackId: init.readUInt32BE(tkhd + (init[tkhd] === 1 ? 20 : 12)),
    timescale: init.readUInt32BE(mdhd + (init[mdhd] === 1 ? 20 : 12)),
    codec: video ? avcCodec(init, entry) : aacCodec(init, entry),
    width: video ? init.readUInt16BE(entry.bodyStart + 24) : 0,
    height: video ? init.readUInt16BE(entry.bodyStart + 26) : 0,
    channels: video ? 0 : init.readUInt16BE(entry.bodyStart + 16),
    sampleRateHz: video ? 0 : init.readUInt32BE(entry.bodyStart + 24) / 65_536,
    skipTicks: skipTicks(init, trak),
  };
}
