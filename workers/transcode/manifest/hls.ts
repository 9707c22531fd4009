import { toNumber } from '../rational.ts';
import {
  type AudioTrack,
  initName,
  type MediaSegment,
  mediaPlaylistName,
  type Presentation,
  targetSeconds,
  type VideoTrack,
} from './media-track.ts';

/** Attribute values in quotes hold neither quotes nor line ends (RFC 8216 §4.2). */
function quoted(value: string): string {
  return `"${value.replace(/["\r\n]/g, '')}"`;
}

const audioGroup = 'audio';

function audioLine(track: AudioTrack, isFirst: boolean): string {
  const attributes = [
    'TYPE=AUDIO',
    `GROUP-ID=${quoted(audioGroup)}`,
    `NAME=${quoted(track.language || 'main')}`,
    ...(track.language ? [`LANGUAGE=${quoted(track.language)}`] : []),
    `DEFAULT=${isFirst ? 'YES' : 'NO'}`,
    'AUTOSELECT=YES',
    `CHANNELS=${quoted(String(track.channels))}`,
    `URI=${quoted(`${track.folder}/${mediaPlaylistName}`)}`,
  ];
  return `#EXT-X-MEDIA:${attributes.join(',')}`;
}

function variantLines(track: VideoTrack, audio: readonly AudioTrack[]): string[] {
  const most = (read: (each: AudioTrack) => number) => audio.reduce((top, each) => Math.max(top, read(each)), 0);
  const codecs = [track.codec, ...new Set(audio.map((each) => each.codec))].join(',');
  const attributes = [
    `BANDWIDTH=${track.peakBps + most((each) => each.peakBps)}`,
    `AVERAGE-BANDWIDTH=${track.averageBps + most((each) => each.averageBps)}`,
    `CODECS=${quoted(codecs)}`,
    `RESOLUTION=${track.width}x${track.height}`,
    `FRAME-RATE=${toNumber(track.frameRate).toFixed(3)}`,
    'VIDEO-RANGE=SDR',
    ...(audio.length > 0 ? [`AUDIO=${quoted(audioGroup)}`] : []),
    'CLOSED-CAPTIONS=NONE',
  ];
  return [`#EXT-X-STREAM-INF:${attributes.join(',')}`, `${track.folder}/${mediaPlaylistName}`];
}

/**
 * HLS multivariant playlist, version 7 (RFC 8216): measured peak and mean rates, codecs as the files say.
 * URIs are relative, so a copy of the folder plays from anywhere.
 */
export function writeMasterPlaylist(presentation: Presentation): string {
  const lines = [
    '#EXTM3U',
    '#EXT-X-VERSION:7',
    '#EXT-X-INDEPENDENT-SEGMENTS',
    ...presentation.audio.map((track, index) => audioLine(track, index === 0)),
    ...presentation.video.flatMap((track) => variantLines(track, presentation.audio)),
  ];
  return `${lines.join('\n')}\n`;
}

/** HLS media playlist of one track: complete (VOD), fMP4 segments with their map. */
export function writeMediaPlaylist(track: { timescale: number; segments: readonly MediaSegment[] }): string {
  const lines = [
    '#EXTM3U',
    '#EXT-X-VERSION:7',
    `#EXT-X-TARGETDURATION:${targetSeconds(track)}`,
    '#EXT-X-MEDIA-SEQUENCE:1',
    '#EXT-X-PLAYLIST-TYPE:VOD',
    '#EXT-X-INDEPENDENT-SEGMENTS',
    `#EXT-X-MAP:URI=${quoted(initName)}`,
    ...track.segments.flatMap((segment) => [
      `#EXTINF:${(segment.durationTicks / track.timescale).toFixed(6)},`,
      segment.name,
    ]),
    '#EXT-X-ENDLIST',
  ];
  return `${lines.join('\n')}\n`;
}
