import { open } from 'node:fs/promises';
import { sourceRefused } from '../errors.ts';

/** Demuxers that foreign bytes may reach, by their ffmpeg names. Never a playlist, a script or an image sequence. */
export type Demuxer = 'mov' | 'matroska' | 'mpegts' | 'avi';

const movBoxes = new Set(['ftyp', 'moov', 'mdat', 'free', 'skip', 'wide', 'pnot', 'styp']);

/** Formats that are media or playlists, yet not accepted: [name, test of the first bytes]. */
const refused: readonly [string, (head: Buffer, text: string) => boolean][] = [
  ['an HLS playlist', (_head, text) => text.startsWith('#EXTM3U')],
  ['a concat script', (_head, text) => text.startsWith('ffconcat') || /^(#[^\n]*\n)*\s*file\s+\S/.test(text)],
  [
    'an XML manifest',
    (_head, text) => text.startsWith('<?xml') || text.startsWith('<MPD') || text.startsWith('<Smooth'),
  ],
  ['a session description', (_head, text) => text.startsWith('v=0') && text.includes('m=')],
  ['a playlist', (_head, text) => /^\[playlist\]|^\[reference\]/i.test(text)],
  ['a link', (_head, text) => /^[a-z][a-z0-9+.-]{1,20}:\/\/\S+\s*$/i.test(text)],
  ['Flash video', (head) => head.toString('latin1', 0, 3) === 'FLV'],
  ['Ogg', (head) => head.toString('latin1', 0, 4) === 'OggS'],
  ['ASF', (head) => head.readUInt32BE(0) === 0x3026b275],
  ['MPEG program stream', (head) => head.readUInt32BE(0) === 0x000001ba],
];

function isTransportStream(head: Buffer): boolean {
  return [
    { packet: 188, first: 0 },
    { packet: 192, first: 4 },
  ].some(({ packet, first }) => [0, 1, 2].every((index) => head[first + index * packet] === 0x47));
}

/**
 * The demuxer for a file, from its first bytes and never from its name.
 * INVALID_ARGUMENT SOURCE_EMPTY, SOURCE_FORMAT_REFUSED (playlists, scripts, links, other containers),
 * SOURCE_NOT_VIDEO (anything else: text, images, archives).
 */
export async function sniffContainer(path: string): Promise<Demuxer> {
  const buffer = Buffer.alloc(1024);
  const file = await open(path, 'r');
  try {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    if (bytesRead === 0) throw sourceRefused('SOURCE_EMPTY', 'the file has no bytes');
    return demuxerOf(buffer, bytesRead);
  } finally {
    await file.close();
  }
}

function demuxerOf(head: Buffer, length: number): Demuxer {
  if (movBoxes.has(head.toString('latin1', 4, 8))) return 'mov';
  if (head.readUInt32BE(0) === 0x1a45dfa3) return 'matroska';
  if (head.toString('latin1', 0, 4) === 'RIFF' && head.toString('latin1', 8, 11) === 'AVI') return 'avi';
  if (isTransportStream(head)) return 'mpegts';
  const text = head
    .toString('utf8', 0, length)
    .replace(/^\uFEFF/, '')
    .trimStart();
  const known = refused.find(([, test]) => test(head, text));
  if (known) {
    throw sourceRefused('SOURCE_FORMAT_REFUSED', `${known[0]}; send MP4, MOV, Matroska, WebM, MPEG-TS or AVI`);
  }
  throw sourceRefused(
    'SOURCE_NOT_VIDEO',
    'the bytes are not a video file; send MP4, MOV, Matroska, WebM, MPEG-TS or AVI',
  );
}
