import { mp4Malformed } from '../errors.ts';
import { type Box, childBoxes, getBox } from './boxes.ts';

/** Bytes of a visual sample entry before its child boxes. */
const visualHeader = 78;
/** Bytes of an audio sample entry before its child boxes. */
const audioHeader = 28;

function hex(byte: number | undefined): string {
  return (byte ?? 0).toString(16).padStart(2, '0');
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}

/** `avc1.64001f`: profile, constraints and level of avcC (RFC 6381 §3.3). */
function avcCodec(data: Buffer, entry: Box): string {
  const avcC = getBox(data, childBoxes(data, entry, visualHeader), ['avcC']).bodyStart;
  return `avc1.${hex(data[avcC + 1])}${hex(data[avcC + 2])}${hex(data[avcC + 3])}`;
}

/** The 32 compatibility flags, first flag lowest (ISO/IEC 14496-15 annex E). */
function reversedBits(word: number): number {
  let out = 0;
  for (let bit = 0; bit < 32; bit++) if ((word >>> bit) & 1) out |= 1 << (31 - bit);
  return out >>> 0;
}

/** `hvc1.1.6.L93.90`: profile, compatibility, tier and level, constraint bytes without trailing zeros. */
function hevcCodec(data: Buffer, entry: Box): string {
  const hvcC = getBox(data, childBoxes(data, entry, visualHeader), ['hvcC']).bodyStart;
  const profileByte = data[hvcC + 1] ?? 0;
  const space = ['', 'A', 'B', 'C'][profileByte >> 6] ?? '';
  const tier = profileByte & 0x20 ? 'H' : 'L';
  const flags = reversedBits(data.readUInt32BE(hvcC + 2)).toString(16);
  const constraints = [...data.subarray(hvcC + 6, hvcC + 12)];
  while (constraints.at(-1) === 0) constraints.pop();
  const tail = constraints.map((byte) => byte.toString(16));
  return ['hvc1', `${space}${profileByte & 0x1f}`, flags, `${tier}${data[hvcC + 12] ?? 0}`, ...tail].join('.');
}

/** `vp09.00.31.08`: profile, level, bit depth of vpcC. */
function vp9Codec(data: Buffer, entry: Box): string {
  const vpcC = getBox(data, childBoxes(data, entry, visualHeader), ['vpcC']).bodyStart + 4;
  const parts = [data[vpcC] ?? 0, data[vpcC + 1] ?? 0, (data[vpcC + 2] ?? 0) >> 4];
  return `vp09.${parts.map(twoDigits).join('.')}`;
}

/** `av01.0.05M.08`: profile, level and tier, bit depth of av1C (AV1 in ISO-BMFF §5). */
function av1Codec(data: Buffer, entry: Box): string {
  const av1C = getBox(data, childBoxes(data, entry, visualHeader), ['av1C']).bodyStart;
  const level = data[av1C + 1] ?? 0;
  const flags = data[av1C + 2] ?? 0;
  const depth = flags & 0x40 ? (flags & 0x20 ? 12 : 10) : 8;
  return `av01.${level >> 5}.${twoDigits(level & 0x1f)}${flags & 0x80 ? 'H' : 'M'}.${twoDigits(depth)}`;
}

/** Body of the descriptor with `tag` at `at`; sizes are 7 bits a byte (ISO/IEC 14496-1 §8.3.3). */
function descriptorBody(data: Buffer, at: number, tag: number): number {
  if (data[at] !== tag) throw mp4Malformed(`esds descriptor ${tag} expected`);
  let next = at + 1;
  while ((data[next] ?? 0) & 0x80) next++;
  return next + 1;
}

/** Where AudioSpecificConfig begins, and its decoder config descriptor (ISO/IEC 14496-1 §7.2.6). */
function aacConfig(data: Buffer, entry: Box): { config: number; specific: number } {
  const esds = getBox(data, childBoxes(data, entry, audioHeader), ['esds']).bodyStart + 4;
  const config = descriptorBody(data, descriptorBody(data, esds, 3) + 3, 4);
  return { config, specific: descriptorBody(data, config + 13, 5) };
}

function aacCodec(data: Buffer, entry: Box): string {
  const { config, specific } = aacConfig(data, entry);
  return `mp4a.${hex(data[config])}.${(data[specific] ?? 0) >> 3}`;
}

const videoEntries: Readonly<Record<string, (data: Buffer, entry: Box) => string>> = {
  avc1: avcCodec,
  hvc1: hevcCodec,
  vp09: vp9Codec,
  av01: av1Codec,
};
const audioEntries: Readonly<Record<string, (data: Buffer, entry: Box) => string>> = {
  mp4a: aacCodec,
  Opus: () => 'opus',
};

/**
 * Channels of an audio sample entry. AAC says them in its AudioSpecificConfig; the count of the entry itself is 2 in
 * many files, whatever is inside.
 */
export function channelsOf(data: Buffer, entry: Box): number {
  const counted = data.readUInt16BE(entry.bodyStart + 16);
  if (entry.type !== 'mp4a') return counted;
  const { specific } = aacConfig(data, entry);
  const configuration = ((data[specific + 1] ?? 0) >> 3) & 0xf;
  return configuration === 7 ? 8 : configuration || counted;
}

/** Bytes of a sample entry's body before its child boxes; undefined for a box that is no entry known here. */
export function entryHeaderBytes(type: string): number | undefined {
  if (type in videoEntries) return visualHeader;
  return type in audioEntries ? audioHeader : undefined;
}

/**
 * RFC 6381 name of a sample entry, read from its configuration box and never from the encoder's settings.
 * DATA_LOSS MP4_MALFORMED for an entry that is not avc1, hvc1, vp09, av01, mp4a or Opus.
 */
export function codecString(data: Buffer, entry: Box): { readonly codec: string; readonly video: boolean } {
  const readVideo = videoEntries[entry.type];
  if (readVideo) return { codec: readVideo(data, entry), video: true };
  const readAudio = audioEntries[entry.type];
  if (readAudio) return { codec: readAudio(data, entry), video: false };
  throw mp4Malformed(`sample entry ${entry.type} is not known`);
}
