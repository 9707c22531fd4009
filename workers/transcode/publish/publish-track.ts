import { createHash } from 'node:crypto';
import type { ObjectStore } from '../../../server/stores/objects/object-store.ts';
import { writeIframePlaylist, writeMediaPlaylist } from '../manifest/hls.ts';
import {
  iframePlaylistName,
  initName,
  type MediaSegment,
  mediaPlaylistName,
  segmentName,
  targetSeconds,
} from '../manifest/media-track.ts';
import { averageRate, peakRate } from '../manifest/peak-rate.ts';
import type { TrackInfo } from '../mp4/init-segment.ts';
import { putSame } from '../put-same.ts';
import type { EncodeSetObject } from './encode-set.ts';
import type { StitchedTrack } from './stitch.ts';
import { createTrackAudit, type TrackAudit } from './track-audit.ts';

/** Stores objects under a title's version folder and remembers them for its commit record. */
export interface VersionFolder {
  put(path: string, body: Uint8Array, contentType: string): Promise<EncodeSetObject>;
  readonly objects: readonly EncodeSetObject[];
}

/** The commit record of a version, in its folder. */
export const commitName = 'encode-set.json';

/** `folder` without a trailing slash. */
export function createVersionFolder(objects: ObjectStore, folder: string, signal: AbortSignal): VersionFolder {
  const stored: EncodeSetObject[] = [];
  return {
    objects: stored,
    put: async (path, body, contentType) => {
      const place = { key: `${folder}/${path}`, commitKey: `${folder}/${commitName}` };
      const { key, bytes, sha256 } = await putSame(objects, { ...place, body, contentType, signal });
      const object = { key, bytes, sha256 };
      stored.push(object);
      return object;
    },
  };
}

/** A track on its way out: everything measured, nothing visible to players before the commit record. */
export interface PublishedTrack {
  readonly folder: string;
  readonly info: TrackInfo;
  readonly segments: readonly MediaSegment[];
  readonly totalBytes: number;
  readonly sha256: string;
  readonly averageBps: number;
  /** The larger of the peaks over segment runs and over sliding windows. */
  readonly peakBps: number;
  readonly audit: TrackAudit;
}

interface TrackPlace {
  /** e.g. `video/720p`. */
  readonly folder: string;
  /** e.g. `video-720p`. */
  readonly id: string;
  readonly kind: 'video' | 'audio';
  /** Longest segment the plan makes, in seconds; windows of this length are searched for the peak. */
  readonly windowSeconds: number;
  readonly onSegment: (durationTicks: number) => void;
}

/** Writes a stitched track's header, segments and media playlist, auditing the very bytes it stores. */
export async function publishTrack(
  out: VersionFolder,
  track: StitchedTrack,
  place: TrackPlace,
): Promise<PublishedTrack> {
  const { timescale, skipTicks } = track.info;
  const { windowSeconds, folder } = place;
  const audit = createTrackAudit({ ...place, init: track.init, timescale, skipTicks, video: place.kind === 'video' });
  const hash = createHash('sha256').update(track.init);
  const contentType = `${place.kind}/mp4`;
  await out.put(`${folder}/${initName}`, track.init, contentType);
  const segments: MediaSegment[] = [];
  let totalBytes = track.init.length;
  for await (const { bytes, startTicks, durationTicks } of track.segments) {
    const name = segmentName(segments.length);
    await out.put(`${folder}/${name}`, bytes, contentType);
    const keyframe = audit.segment(bytes);
    hash.update(bytes);
    const segment = { name, startTicks, durationTicks, bytes: bytes.length };
    segments.push(place.kind === 'video' && keyframe ? { ...segment, keyframe } : segment);
    totalBytes += bytes.length;
    place.onSegment(durationTicks);
  }
  const playlist = writeMediaPlaylist({ timescale, segments });
  await out.put(`${folder}/${mediaPlaylistName}`, Buffer.from(playlist), 'application/vnd.apple.mpegurl');
  if (place.kind === 'video') {
    const pictures = Buffer.from(writeIframePlaylist({ timescale, segments }));
    await out.put(`${folder}/${iframePlaylistName}`, pictures, 'application/vnd.apple.mpegurl');
  }
  const report = audit.finish();
  const runPeak = peakRate(segments, timescale, targetSeconds({ timescale, segments }));
  return {
    folder,
    info: track.info,
    segments,
    totalBytes,
    sha256: hash.digest('hex'),
    averageBps: averageRate(segments, timescale),
    peakBps: Math.max(runPeak, report.windowPeakBps),
    audit: { ...report, windowSeconds },
  };
}
