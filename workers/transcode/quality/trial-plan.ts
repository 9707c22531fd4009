import { codecTraits } from '../codecs/video-codec.ts';
import { type CodecChoice, type DisplaySize, makeRung, type Rung, sizeFor } from '../plan/ladder.ts';
import { type PlannedChunk, planChunk, type TranscodePlan } from '../plan/plan.ts';
import type { SourceVideo } from '../source/source-probe.ts';

/** Short sides that are tried, as far as the source has them. */
const trialHeights = [1080, 720, 540, 432, 360, 270, 234];
const mostSamples = 12;
/** Fewer do not stand for a title, unless it has no more GOPs. */
export const leastSamples = 3;
/** A cap that no trial reaches: what is wanted is the rate that a CRF takes by itself. */
const noCapKbps = 60_000;

/** Megapixels that one core encodes a second at the production presets (measured, rounded down). */
const encodeRate = { libx264: 50, libx265: 25, 'libvpx-vp9': 15, libsvtav1: 20, 'libaom-av1': 5 } as const;
/** Megapixels of the reference that one core compares a second by SSIM on every third frame, decoding included. */
const scoreRate = 100;

/** Short sides for a picture: those of the table it has, and its own when it is below the tallest. */
export function heightsFor(display: DisplaySize): number[] {
  const own = Math.floor(Math.min(display.width, display.height) / 2) * 2;
  const tallest = trialHeights[0] ?? own;
  const heights = trialHeights.filter((height) => height <= own);
  return own < tallest && !heights.includes(own) ? [own, ...heights] : heights;
}

/** Size at which pictures are compared: the source's own, up to the tallest that a ladder has. */
export function referenceSize(display: DisplaySize): DisplaySize {
  return sizeFor(heightsFor(display)[0] ?? 2, display);
}

/** A rung to try, without a cap that matters. */
export function trialRung(plan: TranscodePlan, choice: CodecChoice, height: number, crf: number): Rung {
  const request = { shortSide: height, crf, maxrateKbps: noCapKbps, name: `${height}p-crf${crf}` };
  return makeRung(request, plan.video.display, plan.rate, choice);
}

/** Heights times CRF values of one codec. */
export function trialGrid(plan: TranscodePlan, choice: CodecChoice): Rung[] {
  const { trialCrfs } = codecTraits(choice.codec);
  return heightsFor(plan.video.display).flatMap((height) =>
    trialCrfs.map((crf) => trialRung(plan, choice, height, crf)),
  );
}

/** Processor seconds that a grid over one frame takes, roughly: to know beforehand what an analysis costs. */
export function trialSecondsPerFrame(plan: TranscodePlan, grid: readonly Rung[]): number {
  const reference = referenceSize(plan.video.display);
  const score = (grid.length * reference.width * reference.height) / 1e6 / scoreRate;
  return grid.reduce((sum, { width, height, encoder }) => sum + (width * height) / 1e6 / encodeRate[encoder], score);
}

/** The GOPs of a plan, each as a chunk of its own; a short tail is none. */
function gopsOf(plan: TranscodePlan, video: SourceVideo): PlannedChunk[] {
  const gops: PlannedChunk[] = [];
  for (let start = 0; start < plan.frameCount; start += plan.gopFrames) {
    const end = Math.min(start + plan.gopFrames, plan.frameCount);
    if (end - start >= plan.gopFrames / 2)
      gops.push(planChunk(start, end, plan.rate, { video, demuxer: plan.source.demuxer }));
  }
  return gops;
}

/**
 * GOPs that stand for the title: all are put in order of the bytes the source spends on them, cut into equal layers,
 * and the middle of each layer is taken. So easy and hard scenes are met in the proportion they have.
 */
export function sampleGops(plan: TranscodePlan, video: SourceVideo, most: number): PlannedChunk[] {
  const perFrame = (gop: PlannedChunk) => gop.sourceBytes / (gop.end - gop.start);
  const ordered = gopsOf(plan, video).sort((a, b) => perFrame(a) - perFrame(b) || a.start - b.start);
  const count = Math.min(most, mostSamples, ordered.length);
  const picked = Array.from({ length: count }, (_, layer) => {
    return ordered[Math.floor(((layer + 0.5) * ordered.length) / count)];
  });
  return picked.flatMap((gop) => gop ?? []).sort((a, b) => a.start - b.start);
}

/** The plan of an analysis: the samples in place of chunks, the rungs to try in place of the ladder. */
export function trialPlan(
  plan: TranscodePlan,
  samples: readonly PlannedChunk[],
  rungs: readonly Rung[],
): TranscodePlan {
  const segments = samples.map(({ start, end }) => ({ start, end }));
  return { ...plan, segments, chunks: samples, rungs, audio: [], subtitles: [], ladderKey: '' };
}
