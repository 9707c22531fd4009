import { createHash } from 'node:crypto';
import type { ObjectStore } from '../../../server/stores/objects/object-store.ts';
import type { ImageTrack } from '../manifest/media-track.ts';
import type { TranscodePlan } from '../plan/plan.ts';
import type { VersionFolder } from '../publish/publish-track.ts';
import { readPart } from '../read-part.ts';
import { writeWebVtt } from '../text/webvtt.ts';
import type { ThumbnailRecord } from './make-thumbnails-kind.ts';
import { sheetName } from './thumbnail-plan.ts';

/** Thumbnails on their way out. */
export interface PublishedThumbnails {
  readonly track: ImageTrack;
  readonly totalBytes: number;
  readonly sha256: string;
  readonly segmentCount: number;
}

/** The WebVTT track that web players read: each cue names a sheet and the part of it to show. */
function thumbnailTrack({ plan: thumbs }: ThumbnailRecord, { rate, frameCount }: TranscodePlan): string {
  const { everyFrames, columns, rows, width, height } = thumbs;
  const ms = (frame: number) => Math.round((Math.min(frame, frameCount) * rate.den * 1000) / rate.num);
  const cues = Array.from({ length: thumbs.count }, (_, index) => {
    const place = index % (columns * rows);
    const at = [(place % columns) * width, Math.floor(place / columns) * height, width, height].join();
    const text = `${sheetName(Math.floor(index / (columns * rows)))}#xywh=${at}`;
    return { startMs: ms(index * everyFrames), endMs: ms((index + 1) * everyFrames), settings: '', text };
  });
  return writeWebVtt(cues);
}

/** Writes the sheets and their WebVTT track below `images/`. Errors of readPart. */
export async function publishThumbnails(
  objects: ObjectStore,
  plan: TranscodePlan,
  record: ThumbnailRecord,
  out: VersionFolder,
  signal: AbortSignal,
): Promise<PublishedThumbnails> {
  const hash = createHash('sha256');
  let totalBytes = 0;
  let largest = 0;
  for (const [index, sheet] of record.sheets.entries()) {
    const body = await readPart(objects, sheet, signal);
    await out.put(`images/${sheetName(index)}`, body, 'image/jpeg');
    hash.update(body);
    totalBytes += body.length;
    largest = Math.max(largest, body.length);
  }
  await out.put('images/thumbnails.vtt', Buffer.from(thumbnailTrack(record, plan)), 'text/vtt');
  const { everyFrames, columns, rows, width, height } = record.plan;
  const sheetTicks = everyFrames * columns * rows * plan.rate.den;
  const track: ImageTrack = {
    ...{ folder: 'images', columns, rows, width, height, sheetTicks, timescale: plan.rate.num },
    peakBps: Math.ceil((largest * 8 * plan.rate.num) / sheetTicks),
  };
  return { track, totalBytes, sha256: hash.digest('hex'), segmentCount: record.sheets.length };
}
