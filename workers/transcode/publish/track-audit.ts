import { parseBoxes } from '../mp4/boxes.ts';
import { readSamples, type Sample } from '../mp4/read-fragments.ts';

/** What the published bytes of a track turned out to hold; read back by the box parser, not by the writer. */
export type TrackAudit = {
  readonly id: string;
  readonly samples: number;
  /** Decode time from the first to the end of the last sample. */
  readonly durationTicks: number;
  /** First presentation time. */
  readonly firstPresentationTicks: number;
  /** Decode time at which each segment starts. */
  readonly segmentStartTicks: readonly number[];
  /** Most bits a second in any window of `windowSeconds`, at sample edges. */
  readonly windowPeakBps: number;
  readonly windowSeconds: number;
  readonly faults: readonly string[];
};

/** Most bits a second over windows of a fixed length sliding one sample at a time. */
function createWindowPeak(windowTicks: number, timescale: number) {
  const held: { bytes: number; ticks: number }[] = [];
  let from = 0;
  let bytes = 0;
  let ticks = 0;
  let peak = 0;
  return {
    add: (sampleBytes: number, sampleTicks: number) => {
      held.push({ bytes: sampleBytes, ticks: sampleTicks });
      bytes += sampleBytes;
      ticks += sampleTicks;
      for (let first = held[from]; first && ticks > windowTicks; first = held[from]) {
        bytes -= first.bytes;
        ticks -= first.ticks;
        from++;
      }
      if (from > 4096) {
        held.splice(0, from);
        from = 0;
      }
      // A window not yet full is judged over its full length: the start of a title is no peak.
      peak = Math.max(peak, (bytes * 8 * timescale) / windowTicks);
    },
    peakBps: () => Math.ceil(peak),
  };
}

interface TrackAuditInit {
  readonly id: string;
  readonly init: Buffer;
  readonly timescale: number;
  /** Ticks the edit list skips. */
  readonly skipTicks: number;
  readonly windowSeconds: number;
  /** True where every segment must start with a keyframe and presentation fills the segment without a hole. */
  readonly video: boolean;
}

/** Looks at segments of a track as they are published. */
export interface TrackAuditor {
  /** Gives where the movie fragment begins and its first sample ends, when that is a keyframe. */
  segment(bytes: Buffer): { readonly offset: number; readonly bytes: number } | undefined;
  finish(): TrackAudit;
}

/** Reads a segment's first sample as a player does that fetches it alone. */
function keyframeRange(bytes: Buffer, first: Sample | undefined) {
  const moof = parseBoxes(bytes).find((box) => box.type === 'moof');
  if (!moof || !first?.sync) return undefined;
  const end = parseBoxes(bytes).find((box) => box.type === 'mdat')?.bodyStart ?? 0;
  return { offset: moof.start, bytes: end + first.data.length - moof.start };
}

/** Takes a track's segments in order, as they are published, and reports what they hold. */
export function createTrackAudit(options: TrackAuditInit): TrackAuditor {
  const faults: string[] = [];
  const segmentStartTicks: number[] = [];
  const peak = createWindowPeak(options.windowSeconds * options.timescale, options.timescale);
  let samples = 0;
  let nextTicks = 0;
  let firstPresentationTicks: number | undefined;
  return {
    segment: (bytes) => {
      const own = readSamples(Buffer.concat([options.init, bytes]));
      const index = segmentStartTicks.push(own[0]?.decodeTicks ?? -1) - 1;
      if (own.length === 0) faults.push(`segment ${index} is empty`);
      if (options.video && own[0]?.sync === false) faults.push(`segment ${index} does not start with a keyframe`);
      const startTicks = nextTicks;
      let earliest = Number.POSITIVE_INFINITY;
      for (const sample of own) {
        if (sample.decodeTicks !== nextTicks)
          faults.push(`segment ${index}: tick ${sample.decodeTicks}, not ${nextTicks}`);
        nextTicks = sample.decodeTicks + sample.durationTicks;
        earliest = Math.min(earliest, sample.decodeTicks + sample.offsetTicks - options.skipTicks);
        peak.add(sample.data.length, sample.durationTicks);
      }
      if (options.video && earliest !== startTicks) faults.push(`segment ${index} is shown from tick ${earliest}`);
      firstPresentationTicks ??= earliest;
      samples += own.length;
      return keyframeRange(bytes, own[0]);
    },
    finish: () => ({
      id: options.id,
      samples,
      durationTicks: nextTicks,
      firstPresentationTicks: firstPresentationTicks ?? -1,
      segmentStartTicks,
      windowPeakBps: peak.peakBps(),
      windowSeconds: options.windowSeconds,
      faults,
    }),
  };
}
