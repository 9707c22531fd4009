import type { ObjectStore } from '../../../server/stores/objects/object-store.ts';
import { encodeRejected } from '../errors.ts';
import { writeMediaPlaylist } from '../manifest/hls.ts';
import { mediaPlaylistName, type TextTrack } from '../manifest/media-track.ts';
import type { TranscodePlan } from '../plan/plan.ts';
import type { VersionFolder } from '../publish/publish-track.ts';
import { readPart } from '../read-part.ts';
import type { TextRecord } from './extract-text-kind.ts';
import type { PlannedText } from './plan-text.ts';
import { parseWebVtt, webVttSegment } from './webvtt.ts';

/** A segment of text lasts at least this long: cues are few, and a request costs more than they do. */
const segmentMs = 30_000;
const sidecarName = 'subtitles.vtt';

/** A subtitle track on its way out. */
export interface PublishedText {
  readonly planned: PlannedText;
  readonly track: TextTrack;
  readonly totalBytes: number;
  readonly sha256: string;
  readonly segmentCount: number;
}

/** Edges of text segments in ms: those of video segments, some of them left out. */
function edges(plan: TranscodePlan): number[] {
  const found = [0];
  for (const { end } of plan.segments) {
    const ms = Math.round((end * plan.rate.den * 1000) / plan.rate.num);
    const last = end === plan.frameCount;
    if (last || ms - (found.at(-1) ?? 0) >= segmentMs) found.push(ms);
  }
  return found;
}

/** Writes each track whole, for DASH, and in segments with their playlist, for HLS. Errors of readPart. */
export async function publishText(
  objects: ObjectStore,
  plan: TranscodePlan,
  record: TextRecord,
  out: VersionFolder,
  signal: AbortSignal,
): Promise<PublishedText[]> {
  const published: PublishedText[] = [];
  const at = edges(plan);
  for (const [index, planned] of plan.subtitles.entries()) {
    const stored = record.tracks[index];
    if (stored?.id !== planned.id) throw encodeRejected('subtitles', [`track ${planned.id} is missing`]);
    const whole = await readPart(objects, stored, signal);
    const cues = parseWebVtt(whole.toString());
    const folder = `text/${planned.id}`;
    const { bytes, sha256 } = await out.put(`${folder}/${sidecarName}`, whole, 'text/vtt');
    const segments = at.slice(1).map((endMs, part) => {
      const startMs = at[part] ?? 0;
      const body = Buffer.from(webVttSegment(cues, startMs, endMs));
      const name = `seg-${String(part + 1).padStart(5, '0')}.vtt`;
      return { name, startTicks: startMs, durationTicks: endMs - startMs, bytes: body.length, body };
    });
    for (const { name, body } of segments) await out.put(`${folder}/${name}`, body, 'text/vtt');
    const playlist = writeMediaPlaylist({ timescale: 1000, segments, map: false });
    await out.put(`${folder}/${mediaPlaylistName}`, Buffer.from(playlist), 'application/vnd.apple.mpegurl');
    const seconds = Math.max(1, (at.at(-1) ?? 0) / 1000);
    const track: TextTrack = {
      ...{ folder, id: planned.id, language: planned.language, title: planned.title },
      ...{ forced: planned.forced, hearingImpaired: planned.hearingImpaired },
      file: `${folder}/${sidecarName}`,
      averageBps: Math.ceil((bytes * 8) / seconds),
    };
    published.push({ planned, track, totalBytes: bytes, sha256, segmentCount: segments.length });
  }
  return published;
}
