import { type Rational, rational, toNumber } from '../rational.ts';
import { type Colour, colourOf, highDefinition } from '../source/colour.ts';
import { type MeasuredRate, maxRate, measureRate } from '../source/frame-rate.ts';
import { hdrRangeOf } from '../source/hdr.ts';
import type { Demuxer } from '../source/sniff-container.ts';
import type { SourceProbe, SourceVideo } from '../source/source-probe.ts';
import { type PlannedText, planText } from '../text/plan-text.ts';
import { sourceBytesOf } from './complexity.ts';
import { planFrames, trackClock } from './frame-plan.ts';
import {
  type CodecChoice,
  chooseRungs,
  type DisplaySize,
  fixedLadder,
  h264Choice,
  type LadderStep,
  type Rung,
} from './ladder.ts';
import { type AudioChoice, defaultAudio, type PlannedAudio, planAudio } from './plan-audio.ts';
import { planWarnings } from './plan-warnings.ts';

/** One encode job of a plan: output frames `[start, end)`. */
export type PlannedChunk = {
  readonly start: number;
  readonly end: number;
  /** Source time to start reading at, in seconds: a keyframe before the chunk; null = the start. */
  readonly seekSeconds: number | null;
  /** Bytes that the source takes for these frames: how much work the chunk is likely to be. */
  readonly sourceBytes: number;
};

/**
 * All that is decided before the first frame is encoded. Stored once, content-addressed; jobs carry its key.
 * The same source, ladder and encoder build give the same bytes.
 */
export type TranscodePlan = {
  readonly format: 1;
  readonly source: { readonly key: string; readonly sha256: string; readonly demuxer: Demuxer };
  /** ffmpeg build that the chunk keys stand for. */
  readonly encoderBuild: string;
  readonly rate: Rational;
  readonly timescale: number;
  readonly ticksPerFrame: number;
  readonly frameCount: number;
  readonly gopFrames: number;
  readonly segments: readonly { readonly start: number; readonly end: number }[];
  readonly chunks: readonly PlannedChunk[];
  readonly video: {
    readonly streamIndex: number;
    /** Presentation time of the first frame, in source ticks: the title's zero. */
    readonly startTicks: number;
    readonly timeBase: Rational;
    /** True for interlaced sources: a picture of each field, so `rate` is twice the frame rate where that is allowed. */
    readonly deinterlace: boolean;
    /** True for PQ and HLG sources: mapped to SDR, except for rungs that say otherwise. */
    readonly toneMap: boolean;
    readonly variableRate: boolean;
    /** True when nothing but the scaler minds the size of a decoded picture, which may then change in the source. */
    readonly mayChangeSize: boolean;
    /** Frames at the end that show the last picture, because the audio goes on. */
    readonly heldFrames: number;
    /** Frames more than those that may be missing at the end, where rounding to the output's rate decides. */
    readonly roundedFrames: number;
    /** Added to the times of a source that is faster than the output: which frame of each group is shown is then not left to rounding. */
    readonly shiftSeconds: number;
    /** Ticks that decoded pictures come later than the times that the plan was made by. */
    readonly decodeDelayTicks: number;
    /** Upright, with square pixels. */
    readonly display: DisplaySize;
    /** Of all rungs but those that stay HDR. */
    readonly colour: Colour;
  };
  readonly rungs: readonly Rung[];
  /** Main track first. */
  readonly audio: readonly PlannedAudio[];
  readonly subtitles: readonly PlannedText[];
  /** What is odd of the source and no reason to refuse it, for people. */
  readonly warnings: readonly string[];
  /** Key of the document that explains the rungs; empty while they are not final. */
  readonly ladderKey: string;
};

interface PlanInput {
  readonly probe: SourceProbe;
  readonly sourceKey: string;
  readonly sourceSha256: string;
  readonly encoderBuild: string;
  /** Default: the fixed ladder. */
  readonly ladder?: readonly LadderStep[] | undefined;
  /** Default: H.264 alone. */
  readonly codecs?: readonly CodecChoice[] | undefined;
  /** Default: AAC alone, at -23 LUFS. */
  readonly audio?: AudioChoice | undefined;
  /** True where the job asks for HDR rungs. Default false. */
  readonly keepsHdr?: boolean | undefined;
}

/** Upright, square-pixel size of a source. */
export function displaySize(video: SourceVideo): DisplaySize {
  const aspect = toNumber(video.pixelAspect);
  // Anamorphic pictures grow, so no line is lost before the ladder scales.
  const width = aspect >= 1 ? Math.round(video.width * aspect) : video.width;
  const height = aspect >= 1 ? video.height : Math.round(video.height / aspect);
  return video.rotation % 180 === 0 ? { width, height } : { width: height, height: width };
}

/** Output frames `[start, end)` with what their encoder must know about the source. */
export function planChunk(
  start: number,
  end: number,
  rate: Rational,
  { video, demuxer }: Pick<SourceProbe, 'video' | 'demuxer'>,
): PlannedChunk {
  const seekSeconds = start === 0 ? null : seekFor(start, rate, video, indexed.has(demuxer));
  return { start, end, seekSeconds, sourceBytes: sourceBytesOf(video, rate, start, end) };
}

/** Containers that say where their keyframes are: a seek ends at the very one that was meant. */
const indexed: ReadonlySet<Demuxer> = new Set(['mov', 'matroska']);
/** What deinterlacing and variable rates look back on, and more. */
const leastPreRollSeconds = 0.2;

/**
 * Where to start reading for output frame `start`: the last keyframe with some frames to spare, all of them decoded and
 * thrown away. Pictures that an open GOP shows before its keyframe come before that too. Where a seek may miss by a
 * keyframe, one more of them, so that at least one whole source GOP is thrown away.
 */
function seekFor(start: number, rate: Rational, video: SourceVideo, isIndexed: boolean): number | null {
  const startTicks = video.ptsTicks[0] ?? 0;
  const wanted = startTicks + start / toNumber(rate) / toNumber(video.timeBase);
  const latest = isIndexed ? wanted - leastPreRollSeconds / toNumber(video.timeBase) : wanted;
  const before = video.keyframeTicks.filter((ticks) => ticks <= latest);
  const seek = before.at(isIndexed ? -1 : -2);
  return seek === undefined || seek <= startTicks ? null : seek * toNumber(video.timeBase);
}

/** Audio that goes on for less after the last picture is a muxer's rounding, and is cut. */
const leastHeldSeconds = 0.25;

/** Frames of the last picture that the audio still needs. */
function heldFramesOf({ video, audioEndSeconds }: SourceProbe, { rate, frameCount }: MeasuredRate): number {
  if (audioEndSeconds === undefined) return 0;
  const startSeconds = (video.ptsTicks[0] ?? 0) * toNumber(video.timeBase);
  const left = audioEndSeconds - startSeconds - frameCount / toNumber(rate);
  return left < leastHeldSeconds ? 0 : Math.ceil(left * toNumber(rate) - 0.01);
}

/** Rate and frames of the output: those of the source, or of its fields where they are pictures of their own. */
export function outputRate(video: SourceVideo): MeasuredRate {
  const measured = measureRate(video.ptsTicks, video.timeBase, video.claimedRates);
  const { rate, frameCount } = measured;
  if (!video.interlaced || 2 * toNumber(rate) > maxRate) return measured;
  return { ...measured, rate: rational(rate.num * 2, rate.den), frameCount: frameCount * 2 };
}

/** Decides everything about a title from what the probe saw. Pure: the same input gives the same plan. */
export function planTranscode(input: PlanInput): TranscodePlan {
  const { video, audio, demuxer } = input.probe;
  const { codecs = [h264Choice], ladder = fixedLadder } = input;
  const measured = outputRate(video);
  const { rate, variable } = measured;
  const isReduced = toNumber(measured.sourceRate) > maxRate;
  const heldFrames = heldFramesOf(input.probe, measured);
  const frameCount = measured.frameCount + heldFrames;
  const frames = planFrames(frameCount, rate);
  const display = displaySize(video);
  const toneMap = hdrRangeOf(video.colorTransfer) !== undefined;
  return {
    format: 1,
    source: { key: input.sourceKey, sha256: input.sourceSha256, demuxer },
    encoderBuild: input.encoderBuild,
    rate,
    ...trackClock(rate),
    frameCount,
    gopFrames: frames.gopFrames,
    segments: frames.segments,
    chunks: frames.chunks.map(({ start, end }) => planChunk(start, end, rate, input.probe)),
    video: {
      streamIndex: video.streamIndex,
      startTicks: video.ptsTicks[0] ?? 0,
      timeBase: rational(video.timeBase.num, video.timeBase.den),
      deinterlace: video.interlaced,
      toneMap,
      variableRate: variable,
      mayChangeSize: video.rotation === 0 && !video.interlaced && video.hdr === undefined,
      heldFrames,
      roundedFrames: variable || isReduced ? 1 : 0,
      shiftSeconds: isReduced ? 0.25 / toNumber(measured.sourceRate) : 0,
      decodeDelayTicks: video.decodeDelayTicks,
      display,
      colour: toneMap ? highDefinition : colourOf(video, display),
    },
    rungs: codecs.flatMap((choice) => chooseRungs(ladder, display, rate, choice)),
    audio: planAudio(audio, input.audio ?? defaultAudio),
    subtitles: planText(input.probe.subtitles).planned,
    warnings: planWarnings({
      probe: input.probe,
      heldSeconds: heldFrames / toNumber(rate),
      keepsHdr: input.keepsHdr ?? false,
    }),
    ladderKey: '',
  };
}
