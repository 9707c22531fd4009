import { toNumber } from '../rational.ts';
import {
  type AudioTrack,
  iframePlaylistName,
  initName,
  type MediaSegment,
  mediaPlaylistName,
  type Presentation,
  type TextTrack,
  targetSeconds,
  type VideoTrack,
} from './media-track.ts';

/** Attribute values in quotes hold neither quotes nor line ends (RFC 8216 §4.2). */
function quotable(value: string): string {
  return value.replace(/["\r\n]/g, '');
}

function quoted(value: string): string {
  return `"${quotable(value)}"`;
}

/** A name for people: what the source says, else the language, else what it is. */
function nameOf(track: { title: string; language: string }, fallback: string): string {
  return quotable(track.title).trim() || track.language || fallback;
}

/** Names of one group, told apart by a number where two are the same (RFC 8216 §4.3.4.1.1). */
function uniqueNames(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    let unique = name;
    // A source may itself call a track `English 2`.
    for (let count = 2; taken.has(unique); count++) unique = `${name} ${count}`;
    taken.add(unique);
    return unique;
  });
}

/** Tracks of one profile; a source stream that lacks it is there in stereo AAC, so that every group has every choice. */
interface AudioGroup {
  readonly id: string;
  readonly tracks: readonly AudioTrack[];
}

function audioGroups(audio: readonly AudioTrack[]): AudioGroup[] {
  const profiles = [...new Set(audio.map((track) => track.profile))];
  const streams = [...new Set(audio.map((track) => track.streamIndex))];
  return profiles.map((profile, index) => ({
    id: index === 0 ? 'audio' : profile,
    tracks: streams.flatMap((stream) => {
      const own = audio.filter((track) => track.streamIndex === stream);
      return own.find((track) => track.profile === profile) ?? own[0] ?? [];
    }),
  }));
}

const describesVideo = 'public.accessibility.describes-video';

function audioLines({ id, tracks }: AudioGroup): string[] {
  const names = uniqueNames(tracks.map((track) => nameOf(track, 'main')));
  return tracks.map((track, index) => {
    const attributes = [
      'TYPE=AUDIO',
      `GROUP-ID=${quoted(id)}`,
      `NAME=${quoted(names[index] ?? '')}`,
      ...(track.language ? [`LANGUAGE=${quoted(track.language)}`] : []),
      `DEFAULT=${index === 0 ? 'YES' : 'NO'}`,
      // The default is YES by rule (RFC 8216 §4.3.4.1): a title may have nothing but commentaries.
      `AUTOSELECT=${track.purpose === 'commentary' && index > 0 ? 'NO' : 'YES'}`,
      ...(track.purpose === 'description' ? [`CHARACTERISTICS=${quoted(describesVideo)}`] : []),
      `CHANNELS=${quoted(String(track.channels))}`,
      `URI=${quoted(`${track.folder}/${mediaPlaylistName}`)}`,
    ];
    return `#EXT-X-MEDIA:${attributes.join(',')}`;
  });
}

const textGroup = 'subtitles';
const transcribes = 'public.accessibility.transcribes-spoken-dialog,public.accessibility.describes-music-and-sound';

function textLines(tracks: readonly TextTrack[]): string[] {
  const names = uniqueNames(tracks.map((track) => nameOf(track, 'subtitles')));
  return tracks.map((track, index) => {
    const attributes = [
      'TYPE=SUBTITLES',
      `GROUP-ID=${quoted(textGroup)}`,
      `NAME=${quoted(names[index] ?? '')}`,
      ...(track.language ? [`LANGUAGE=${quoted(track.language)}`] : []),
      'DEFAULT=NO',
      'AUTOSELECT=YES',
      `FORCED=${track.forced ? 'YES' : 'NO'}`,
      ...(track.hearingImpaired ? [`CHARACTERISTICS=${quoted(transcribes)}`] : []),
      `URI=${quoted(`${track.folder}/${mediaPlaylistName}`)}`,
    ];
    return `#EXT-X-MEDIA:${attributes.join(',')}`;
  });
}

function variantLines(track: VideoTrack, group: AudioGroup | undefined, hasText: boolean): string[] {
  const audio = group?.tracks ?? [];
  const most = (read: (each: AudioTrack) => number) => audio.reduce((top, each) => Math.max(top, read(each)), 0);
  const codecs = [...new Set([track.codec, ...audio.map((each) => each.codec)])].join(',');
  const attributes = [
    `BANDWIDTH=${track.peakBps + most((each) => each.peakBps)}`,
    `AVERAGE-BANDWIDTH=${track.averageBps + most((each) => each.averageBps)}`,
    `CODECS=${quoted(codecs)}`,
    `RESOLUTION=${track.width}x${track.height}`,
    `FRAME-RATE=${toNumber(track.frameRate).toFixed(3)}`,
    `VIDEO-RANGE=${track.hdr?.range ?? 'SDR'}`,
    ...(group ? [`AUDIO=${quoted(group.id)}`] : []),
    ...(hasText ? [`SUBTITLES=${quoted(textGroup)}`] : []),
    'CLOSED-CAPTIONS=NONE',
  ];
  return [`#EXT-X-STREAM-INF:${attributes.join(',')}`, `${track.folder}/${mediaPlaylistName}`];
}

/**
 * HLS multivariant playlist, version 7 (RFC 8216): measured peak and mean rates, codecs as the files say.
 * URIs are relative, so a copy of the folder plays from anywhere.
 */
export function writeMasterPlaylist({ video, audio, text }: Presentation): string {
  const groups = audioGroups(audio);
  const lines = [
    '#EXTM3U',
    '#EXT-X-VERSION:7',
    '#EXT-X-INDEPENDENT-SEGMENTS',
    ...groups.flatMap(audioLines),
    ...textLines(text),
    // A player without a preference begins with the first variant: stereo AAC.
    ...(groups.length > 0 ? groups : [undefined]).flatMap((group) =>
      video.flatMap((track) => variantLines(track, group, text.length > 0)),
    ),
    ...video.flatMap(iframeLine),
  ];
  return `${lines.join('\n')}\n`;
}

/** The pictures of a track that a player can show while it is wound: the first of each segment. */
function keyframesOf(track: { segments: readonly MediaSegment[] }) {
  return track.segments.flatMap(({ keyframe, ...segment }) => (keyframe ? [{ ...segment, keyframe }] : []));
}

/** One line for each rung that has a playlist of pictures (RFC 8216 §4.3.4.3). */
function iframeLine(track: VideoTrack): string[] {
  const frames = keyframesOf(track);
  if (frames.length === 0) return [];
  const rates = frames.map(({ keyframe, durationTicks }) => (keyframe.bytes * 8 * track.timescale) / durationTicks);
  const ticks = frames.reduce((sum, { durationTicks }) => sum + durationTicks, 0);
  const bytes = frames.reduce((sum, { keyframe }) => sum + keyframe.bytes, 0);
  const attributes = [
    `BANDWIDTH=${Math.ceil(Math.max(...rates))}`,
    `AVERAGE-BANDWIDTH=${Math.ceil((bytes * 8 * track.timescale) / ticks)}`,
    `CODECS=${quoted(track.codec)}`,
    `RESOLUTION=${track.width}x${track.height}`,
    `VIDEO-RANGE=${track.hdr?.range ?? 'SDR'}`,
    `URI=${quoted(`${track.folder}/${iframePlaylistName}`)}`,
  ];
  return [`#EXT-X-I-FRAME-STREAM-INF:${attributes.join(',')}`];
}

/** HLS playlist of the first picture of each segment, by byte ranges of the same files (RFC 8216 §4.3.3.6). */
export function writeIframePlaylist(track: { timescale: number; segments: readonly MediaSegment[] }): string {
  const lines = [
    '#EXTM3U',
    '#EXT-X-VERSION:7',
    `#EXT-X-TARGETDURATION:${targetSeconds(track)}`,
    '#EXT-X-MEDIA-SEQUENCE:1',
    '#EXT-X-PLAYLIST-TYPE:VOD',
    '#EXT-X-I-FRAMES-ONLY',
    `#EXT-X-MAP:URI=${quoted(initName)}`,
    ...keyframesOf(track).flatMap(({ name, durationTicks, keyframe }) => [
      `#EXTINF:${(durationTicks / track.timescale).toFixed(6)},`,
      `#EXT-X-BYTERANGE:${keyframe.bytes}@${keyframe.offset}`,
      name,
    ]),
    '#EXT-X-ENDLIST',
  ];
  return `${lines.join('\n')}\n`;
}

/** HLS media playlist of one track: complete (VOD), fMP4 segments with their map, or text without one. */
export function writeMediaPlaylist(track: {
  timescale: number;
  segments: readonly MediaSegment[];
  map?: boolean;
}): string {
  const lines = [
    '#EXTM3U',
    '#EXT-X-VERSION:7',
    `#EXT-X-TARGETDURATION:${targetSeconds(track)}`,
    '#EXT-X-MEDIA-SEQUENCE:1',
    '#EXT-X-PLAYLIST-TYPE:VOD',
    '#EXT-X-INDEPENDENT-SEGMENTS',
    ...(track.map === false ? [] : [`#EXT-X-MAP:URI=${quoted(initName)}`]),
    ...track.segments.flatMap((segment) => [
      `#EXTINF:${(segment.durationTicks / track.timescale).toFixed(6)},`,
      segment.name,
    ]),
    '#EXT-X-ENDLIST',
  ];
  return `${lines.join('\n')}\n`;
}
