import type { AudioPurpose } from '../plan/plan-audio.ts';
import type { Rational } from '../rational.ts';
import type { HdrSignal } from '../source/hdr.ts';

/** One media segment of a track; times are ticks of presentation, exact. */
export type MediaSegment = {
  /** File name in the track's folder, e.g. `seg-00001.m4s`. */
  readonly name: string;
  readonly startTicks: number;
  readonly durationTicks: number;
  readonly bytes: number;
  /** Where in the file its first picture can be decoded from alone: movie fragment and first sample. Video only. */
  readonly keyframe?: { readonly offset: number; readonly bytes: number };
};

interface TrackBase {
  /** Path of the track's folder from the title's, e.g. `video/720p`. */
  readonly folder: string;
  /** Last part of the folder: DASH representation id. */
  readonly id: string;
  /** RFC 6381. */
  readonly codec: string;
  readonly timescale: number;
  readonly segments: readonly MediaSegment[];
  /** Most bits a second that any stretch of about one target duration takes: what a player must be ready for. */
  readonly peakBps: number;
  readonly averageBps: number;
}

/** One rung as it is published. */
export interface VideoTrack extends TrackBase {
  readonly width: number;
  readonly height: number;
  readonly frameRate: Rational;
  /** Undefined = SDR. */
  readonly hdr?: HdrSignal;
}

/** One sound track as it is published. */
export interface AudioTrack extends TrackBase {
  /** BCP 47, empty when unknown. */
  readonly language: string;
  /** What the source calls it; empty = nothing. */
  readonly title: string;
  readonly purpose: AudioPurpose;
  /** Stream of the source: tracks of one stream are the same sound in other codecs or layouts. */
  readonly streamIndex: number;
  /** e.g. `aac-stereo`: tracks of one profile form a group. */
  readonly profile: string;
  readonly channels: number;
  readonly sampleRateHz: number;
}

/** Subtitles: a whole file, and segments of it. */
export interface TextTrack {
  readonly folder: string;
  readonly id: string;
  /** Path of the whole WebVTT file from the title's folder. */
  readonly file: string;
  /** BCP 47, empty when unknown. */
  readonly language: string;
  readonly title: string;
  readonly forced: boolean;
  readonly hearingImpaired: boolean;
  readonly averageBps: number;
}

/** Thumbnails on sheets of equal pictures. */
export interface ImageTrack {
  readonly folder: string;
  readonly columns: number;
  readonly rows: number;
  /** Of one picture, in pixels. */
  readonly width: number;
  readonly height: number;
  /** How long one sheet is for. */
  readonly sheetTicks: number;
  readonly timescale: number;
  readonly peakBps: number;
}

/** What both manifests describe: one set of files. */
export interface Presentation {
  /** Length of the video: exact. */
  readonly seconds: Rational;
  /** Lowest bitrate first: players that do not measure begin with the first. */
  readonly video: readonly VideoTrack[];
  /** Main track first. */
  readonly audio: readonly AudioTrack[];
  readonly text: readonly TextTrack[];
  readonly images?: ImageTrack | undefined;
}

/** Names shared by the writers of files and manifests. */
export const initName = 'init.mp4';
/** HLS playlist of one track, in its folder. */
export const mediaPlaylistName = 'index.m3u8';
/** HLS playlist of the pictures of a video track that can be decoded alone, for fast seeking. */
export const iframePlaylistName = 'iframes.m3u8';
/** HLS playlist of the whole title. */
export const masterPlaylistName = 'master.m3u8';
/** DASH manifest of the whole title. */
export const mpdName = 'manifest.mpd';

/** `seg-00001.m4s` for index 0. */
export function segmentName(index: number): string {
  return `seg-${String(index + 1).padStart(5, '0')}.m4s`;
}

/** Whole seconds that no segment exceeds when rounded (RFC 8216 §4.3.3.1). */
export function targetSeconds(track: { timescale: number; segments: readonly MediaSegment[] }): number {
  return Math.max(1, ...track.segments.map((segment) => Math.round(segment.durationTicks / track.timescale)));
}
