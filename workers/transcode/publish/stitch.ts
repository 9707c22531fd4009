import type { ObjectStore } from '../../../server/stores/objects/object-store.ts';
import type { AudioRecord } from '../encode/encode-audio.ts';
import type { ChunkRecord } from '../encode/encode-chunk.ts';
import { encodeRejected } from '../errors.ts';
import { makeInitSegment, readTrackInfo, type TrackInfo } from '../mp4/init-segment.ts';
import { readSamples, type Sample } from '../mp4/read-fragments.ts';
import { writeSegment } from '../mp4/write-segment.ts';
import type { TranscodePlan } from '../plan/plan.ts';
import { toNumber } from '../rational.ts';
import { readPart } from '../read-part.ts';

/** One finished media segment. Times are ticks of presentation, from the title's start. */
export interface StitchedSegment {
  readonly bytes: Buffer;
  readonly startTicks: number;
  readonly durationTicks: number;
}

/** A track's header and its segments, made one chunk at a time so that memory does not grow with the title. */
export interface StitchedTrack {
  readonly init: Buffer;
  readonly info: TrackInfo;
  readonly segments: AsyncIterable<StitchedSegment>;
}

function ticksOf(samples: readonly Sample[]): number {
  return samples.reduce((sum, sample) => sum + sample.durationTicks, 0);
}

/**
 * One rung from its chunks: samples are copied, times rebased to frame numbers of the title; no ffmpeg, no concat.
 * INTERNAL ENCODE_REJECTED when the chunks' headers differ; errors of readPart.
 */
export async function stitchVideo(
  objects: ObjectStore,
  plan: TranscodePlan,
  chunks: readonly ChunkRecord[],
  rungId: string,
  signal: AbortSignal,
): Promise<StitchedTrack> {
  const files = chunks.map((chunk) => {
    const rung = chunk.rungs.find((each) => each.id === rungId);
    if (!rung) throw encodeRejected(`chunk at frame ${chunk.start}`, [`it has no rung ${rungId}`]);
    return { ...rung, start: chunk.start, end: chunk.end };
  });
  const first = files[0];
  if (!first) throw encodeRejected(rungId, ['there are no chunks']);
  const odd = files.find((file) => file.initSha256 !== first.initSha256);
  if (odd) throw encodeRejected(rungId, [`the header of the chunk at frame ${odd.start} differs from the first one's`]);
  const delayTicks = Math.max(...files.map((file) => file.delayTicks));
  const init = makeInitSegment(await readPart(objects, first, signal), delayTicks);
  const info = readTrackInfo(init);
  async function* segments(): AsyncGenerator<StitchedSegment> {
    let sequence = 1;
    for (const file of files) {
      const samples = readSamples(await readPart(objects, file, signal));
      for (const segment of plan.segments.filter((each) => each.start >= file.start && each.end <= file.end)) {
        const own = samples.slice(segment.start - file.start, segment.end - file.start);
        const startTicks = segment.start * plan.ticksPerFrame;
        const bytes = writeSegment({
          trackId: info.trackId,
          sequence: sequence++,
          decodeTicks: startTicks,
          samples: own,
          shiftTicks: delayTicks - file.delayTicks,
        });
        yield { bytes, startTicks, durationTicks: ticksOf(own) };
      }
    }
  }
  return { init, info, segments: segments() };
}

/** Sample index where each audio segment ends: the frame edge nearest the end of the video segment. */
function audioCuts(plan: TranscodePlan, samples: readonly Sample[], info: TrackInfo): number[] {
  const frameTicks = samples[0]?.durationTicks ?? 1;
  const cuts: number[] = [];
  for (const { end } of plan.segments.slice(0, -1)) {
    const ticks = (end / toNumber(plan.rate)) * info.timescale + info.skipTicks;
    const cut = Math.round(ticks / frameTicks);
    if (cut > (cuts.at(-1) ?? 0) && cut < samples.length) cuts.push(cut);
  }
  return [...cuts, samples.length];
}

/**
 * The title's audio cut into segments beside the video's, as near as whole AAC frames allow. Priming stays in the
 * first segment and the edit list skips it, so presentation starts at 0. Errors of readPart.
 */
export async function stitchAudio(
  objects: ObjectStore,
  plan: TranscodePlan,
  record: AudioRecord,
  signal: AbortSignal,
): Promise<StitchedTrack> {
  const data = await readPart(objects, record, signal);
  const info = readTrackInfo(data);
  const init = makeInitSegment(data, info.skipTicks);
  const samples = readSamples(data);
  async function* segments(): AsyncGenerator<StitchedSegment> {
    let from = 0;
    let decodeTicks = 0;
    let sequence = 1;
    for (const cut of audioCuts(plan, samples, info)) {
      const own = samples.slice(from, cut);
      const ticks = ticksOf(own);
      const bytes = writeSegment({ trackId: info.trackId, sequence, decodeTicks, samples: own, shiftTicks: 0 });
      const startTicks = Math.max(0, decodeTicks - info.skipTicks);
      yield { bytes, startTicks, durationTicks: decodeTicks + ticks - info.skipTicks - startTicks };
      from = cut;
      decodeTicks += ticks;
      sequence++;
    }
  }
  return { init, info, segments: segments() };
}
