import type { Rational } from '../rational.ts';
import type { HdrSignal } from './hdr.ts';
import type { Demuxer } from './sniff-container.ts';

/** Video stream to encode, as its packets show it. Times are ticks of `timeBase`. */
export interface SourceVideo {
  readonly streamIndex: number;
  readonly codec: string;
  /** Coded size, before rotation. */
  readonly width: number;
  readonly height: number;
  /** Clockwise degrees that show it upright. */
  readonly rotation: 0 | 90 | 180 | 270;
  /** Width of a pixel by its height. */
  readonly pixelAspect: Rational;
  /** True when the pictures are woven of fields of different moments, and not only marked so. */
  readonly interlaced: boolean;
  readonly pixelFormat: string;
  /** ffprobe's names; empty or `unknown` where the stream does not say. */
  readonly colorSpace: string;
  readonly colorPrimaries: string;
  readonly colorTransfer: string;
  /** Set for PQ and HLG. */
  readonly hdr?: HdrSignal;
  readonly timeBase: Rational;
  /** Rates the container claims: the stream's base rate and its mean. */
  readonly claimedRates: readonly Rational[];
  /** Presentation times of the frames shown, sorted. */
  readonly ptsTicks: Float64Array;
  /** Ticks that decoded pictures come later than `ptsTicks`: not 0 only where a file has no presentation times. */
  readonly decodeDelayTicks: number;
  /** Coded bytes of each of those frames: where they are many, there is much to encode. */
  readonly frameBytes: Float64Array;
  /** Presentation times of the frames where decoding can start, sorted. */
  readonly keyframeTicks: Float64Array;
}

/** An audio stream as the file describes it. */
export interface SourceAudio {
  readonly streamIndex: number;
  readonly codec: string;
  readonly channels: number;
  /** e.g. `stereo`, `5.1`; empty when the file does not say. */
  readonly layout: string;
  readonly sampleRateHz: number;
  /** As the file has it, e.g. `eng`; empty for none and `und`. */
  readonly language: string;
  /** What the file calls it; empty = nothing. */
  readonly title: string;
  readonly isDefault: boolean;
  /** Somebody talks about the title. */
  readonly isCommentary: boolean;
  /** The pictures are told to people who cannot see them. */
  readonly isDescription: boolean;
}

/** A stream of subtitles as the file describes it. */
export interface SourceText {
  readonly streamIndex: number;
  readonly codec: string;
  /** As the file has it, e.g. `eng`; empty for none and `und`. */
  readonly language: string;
  readonly title: string;
  readonly forced: boolean;
  readonly hearingImpaired: boolean;
}

/** All that is known of a source before it is encoded. */
export interface SourceProbe {
  readonly demuxer: Demuxer;
  readonly bytes: number;
  readonly video: SourceVideo;
  readonly audio: readonly SourceAudio[];
  /** Seconds on the source's clock at which the last audio ends; unset where none goes on to the last picture. */
  readonly audioEndSeconds?: number;
  readonly subtitles: readonly SourceText[];
  /** Things that are odd and no reason to refuse. */
  readonly warnings: readonly string[];
}

/** What larger sources are refused by. */
export interface SourceLimits {
  readonly maxBytes: number;
  readonly maxWidth: number;
  readonly maxHeight: number;
  readonly maxSeconds: number;
  readonly maxFrames: number;
}

/** 1 TiB, 8K, 12 hours. */
export const defaultSourceLimits: SourceLimits = {
  maxBytes: 1024 ** 4,
  maxWidth: 8192,
  maxHeight: 8192,
  maxSeconds: 12 * 3600,
  maxFrames: 12 * 3600 * 120,
};
