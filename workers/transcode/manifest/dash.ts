import { escapeMarkup } from '../../../server/core/escape-markup.ts';
import type { AudioPurpose } from '../plan/plan-audio.ts';
import { type Rational, rational, toNumber } from '../rational.ts';
import { type HdrSignal, hdrMatrices, hdrPrimaries, hdrTransfers } from '../source/hdr.ts';
import {
  type AudioTrack,
  type ImageTrack,
  initName,
  type MediaSegment,
  type Presentation,
  type TextTrack,
  targetSeconds,
  type VideoTrack,
} from './media-track.ts';

type Attributes = Readonly<Record<string, string | number | undefined>>;

function element(name: string, attributes: Attributes, children: readonly string[] = []): string {
  const written = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}="${escapeMarkup(String(value))}"`)
    .join('');
  if (children.length === 0) return `<${name}${written}/>`;
  const inner = children
    .join('\n')
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n');
  return `<${name}${written}>\n${inner}\n</${name}>`;
}

/** xs:duration in seconds, to the microsecond, with no trailing zeros. */
function duration(seconds: Rational): string {
  return `PT${toNumber(seconds)
    .toFixed(6)
    .replace(/\.?0+$/, '')}S`;
}

function timeline(segments: readonly MediaSegment[]): string {
  const runs: { t: number; d: number; r: number }[] = [];
  for (const { startTicks, durationTicks } of segments) {
    const last = runs.at(-1);
    if (last && last.d === durationTicks && last.t + (last.r + 1) * last.d === startTicks) last.r++;
    else runs.push({ t: startTicks, d: durationTicks, r: 0 });
  }
  const lines = runs.map(({ t, d, r }) => element('S', { t, d, r: r > 0 ? r : undefined }));
  return element('SegmentTimeline', {}, lines);
}

function template(track: VideoTrack | AudioTrack): string {
  const folder = track.folder.slice(0, track.folder.length - track.id.length);
  const attributes = {
    timescale: track.timescale,
    startNumber: 1,
    initialization: `${folder}$RepresentationID$/${initName}`,
    media: `${folder}$RepresentationID$/seg-$Number%05d$.m4s`,
  };
  return element('SegmentTemplate', attributes, [timeline(track.segments)]);
}

/** One adaptation set a codec: players switch within a set, and no decoder switches codecs. */
function videoSets(tracks: readonly VideoTrack[]): string[] {
  const byCodec = Map.groupBy(tracks, (track) => track.codec.split('.')[0]);
  return [...byCodec.values()].flatMap((own, index) => videoSet(own, index + 1));
}

/** Essential: a player that does not know HDR leaves the set alone (ISO/IEC 23001-8, DASH-IF IOP §11). */
function colourProperties({ range, primaries, matrix }: HdrSignal): string[] {
  const values = {
    ColourPrimaries: hdrPrimaries[primaries],
    TransferCharacteristics: hdrTransfers[range].cicp,
    MatrixCoefficients: hdrMatrices[matrix],
  };
  return Object.entries(values).map(([name, value]) =>
    element('EssentialProperty', { schemeIdUri: `urn:mpeg:mpegB:cicp:${name}`, value }),
  );
}

function videoSet(tracks: readonly VideoTrack[], id: number): string[] {
  const first = tracks[0];
  if (!first) return [];
  const aspect = rational(first.width, first.height);
  const attributes = {
    id,
    contentType: 'video',
    mimeType: 'video/mp4',
    segmentAlignment: 'true',
    startWithSAP: 1,
    par: `${aspect.num}:${aspect.den}`,
    maxWidth: Math.max(...tracks.map((track) => track.width)),
    maxHeight: Math.max(...tracks.map((track) => track.height)),
  };
  const colours = first.hdr ? colourProperties(first.hdr) : [];
  const representations = tracks.map((track) =>
    element('Representation', {
      id: track.id,
      bandwidth: track.peakBps,
      codecs: track.codec,
      width: track.width,
      height: track.height,
      frameRate: track.frameRate.den === 1 ? track.frameRate.num : `${track.frameRate.num}/${track.frameRate.den}`,
      sar: '1:1',
    }),
  );
  // All rungs share one plan, so one template and one timeline describe them all.
  return [element('AdaptationSet', attributes, [...colours, template(first), ...representations])];
}

const channelScheme = 'urn:mpeg:dash:23003:3:audio_channel_configuration:2011';
const roleScheme = 'urn:mpeg:dash:role:2011';
const audioRoles: Readonly<Record<AudioPurpose, string>> = {
  main: 'main',
  alternate: 'alternate',
  commentary: 'commentary',
  description: 'description',
};

/** Stands before roles: the schema gives the order of elements. */
function labelled(title: string): string[] {
  return title === '' ? [] : [`<Label>${escapeMarkup(title)}</Label>`];
}

function audioSet(track: AudioTrack, id: number): string {
  const attributes = {
    id,
    contentType: 'audio',
    mimeType: 'audio/mp4',
    lang: track.language || undefined,
    segmentAlignment: 'true',
    startWithSAP: 1,
  };
  const channels = element('AudioChannelConfiguration', { schemeIdUri: channelScheme, value: track.channels });
  const role = element('Role', { schemeIdUri: roleScheme, value: audioRoles[track.purpose] });
  const shape = { id: track.id, bandwidth: track.peakBps, codecs: track.codec, audioSamplingRate: track.sampleRateHz };
  const representation = element('Representation', shape, [channels]);
  return element('AdaptationSet', attributes, [...labelled(track.title), role, template(track), representation]);
}

function textRole({ forced, hearingImpaired }: TextTrack): string {
  if (forced) return 'forced-subtitle';
  return hearingImpaired ? 'caption' : 'subtitle';
}

/** Subtitles as one whole file beside the media. */
function textSet(track: TextTrack, id: number): string {
  const attributes = { id, contentType: 'text', mimeType: 'text/vtt', lang: track.language || undefined };
  const role = element('Role', { schemeIdUri: roleScheme, value: textRole(track) });
  const shape = { id: `text-${track.id}`, bandwidth: track.averageBps };
  const representation = element('Representation', shape, [`<BaseURL>${escapeMarkup(track.file)}</BaseURL>`]);
  return element('AdaptationSet', attributes, [...labelled(track.title), role, representation]);
}

const tileScheme = 'http://dashif.org/guidelines/thumbnail_tile';

/** Thumbnails on sheets (DASH-IF IOP §6.2.6). */
function imageSet(track: ImageTrack, id: number): string {
  const { columns, rows, folder, timescale } = track;
  const media = `${folder}/sheet-$Number%05d$.jpg`;
  const pages = element('SegmentTemplate', { timescale, startNumber: 1, duration: track.sheetTicks, media });
  const tiles = element('EssentialProperty', { schemeIdUri: tileScheme, value: `${columns}x${rows}` });
  const shape = {
    id: 'thumbnails',
    bandwidth: track.peakBps,
    width: track.width * columns,
    height: track.height * rows,
  };
  const attributes = { id, contentType: 'image', mimeType: 'image/jpeg' };
  return element('AdaptationSet', attributes, [pages, element('Representation', shape, [tiles])]);
}

/** Static MPD of the isoff-live profile (ISO/IEC 23009-1) over the same files as the HLS playlists. */
export function writeMpd(presentation: Presentation): string {
  const longest = Math.max(1, ...[...presentation.video, ...presentation.audio].map(targetSeconds));
  const attributes = {
    xmlns: 'urn:mpeg:dash:schema:mpd:2011',
    profiles: 'urn:mpeg:dash:profile:isoff-live:2011',
    type: 'static',
    mediaPresentationDuration: duration(presentation.seconds),
    minBufferTime: `PT${longest}S`,
  };
  const video = videoSets(presentation.video);
  const audio = presentation.audio.map((track, index) => audioSet(track, video.length + index + 1));
  const before = video.length + audio.length;
  const text = presentation.text.map((track, index) => textSet(track, before + index + 1));
  const { images } = presentation;
  const sets = [...video, ...audio, ...text, ...(images ? [imageSet(images, before + text.length + 1)] : [])];
  const period = element('Period', { id: 'p0', start: 'PT0S' }, sets);
  return `<?xml version="1.0" encoding="UTF-8"?>\n${element('MPD', attributes, [period])}\n`;
}
