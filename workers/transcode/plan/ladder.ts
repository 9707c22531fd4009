import { hevcLevelFor, levelFor } from '../codecs/levels.ts';
import { codecTraits, type VideoCodec, type VideoEncoder } from '../codecs/video-codec.ts';
import { type Rational, toNumber } from '../rational.ts';
import type { HdrSignal } from '../source/hdr.ts';

/** One step asked for: a short side and how many bits it may take. */
export type LadderStep = {
  /** Short side in pixels, even. */
  readonly height: number;
  /** Constant rate factor on the scale of x264: the quality aimed at; lower is better. */
  readonly crf: number;
  /** Cap of the rate over one buffer, in kb/s of H.264. */
  readonly maxrateKbps: number;
};

/** One rung of a title, all of it decided: what an encoder is told and nothing else. */
export type Rung = {
  /** e.g. `720p`, `hevc-720p`; names its folder. */
  readonly id: string;
  readonly codec: VideoCodec;
  readonly encoder: VideoEncoder;
  /** e.g. `h264-high-720p`. */
  readonly profileName: string;
  readonly width: number;
  readonly height: number;
  /** On the encoder's own scale. */
  readonly crf: number;
  /** Finest quantizer that may be used, on the encoder's own scale; absent in plans, set to bring VP9 under a cap. */
  readonly leastQuantizer?: number;
  readonly maxrateKbps: number;
  readonly bufsizeKbps: number;
  /** e.g. `high`; empty where the encoder has only one. */
  readonly profile: string;
  /** e.g. `3.1`; empty where the encoder finds it by itself. */
  readonly level: string;
  /** Name or number of the encoder's speed. */
  readonly preset: string;
  /** Set for pictures that stay HDR, in 10 bit. */
  readonly hdr?: HdrSignal;
};

/** A codec and the encoder of this build for it; `hdr` = its rungs keep the source's range. */
export type CodecChoice = { readonly codec: VideoCodec; readonly encoder: VideoEncoder; readonly hdr?: HdrSignal };

/** What titles that ask for no codecs are made in: H.264 in SDR. */
export const h264Choice: CodecChoice = { codec: 'h264', encoder: 'libx264' };

/**
 * The fixed ladder, used when a title brings none: every step whose short side the source has, so a 720p source
 * gets 720, 432 and 270 lines. Quality falls with size because small pictures are watched on bad links, where a
 * stall costs more than blur; caps are about twice what animation and drama take at that quality.
 */
export const fixedLadder: readonly LadderStep[] = [
  { height: 1080, crf: 23, maxrateKbps: 6500 },
  { height: 720, crf: 23, maxrateKbps: 3500 },
  { height: 432, crf: 24, maxrateKbps: 1400 },
  { height: 270, crf: 26, maxrateKbps: 500 },
];

/** Production speeds: fast enough that a core makes 720p H.264 in real time, the others within 3 times that. */
const presets: Readonly<Record<VideoEncoder, string>> = {
  libx264: 'veryfast',
  libx265: 'veryfast',
  'libvpx-vp9': '5',
  libsvtav1: '9',
  'libaom-av1': '8',
};

function even(value: number): number {
  return Math.max(2, Math.round(value / 2) * 2);
}

/** Upright picture with square pixels. */
export interface DisplaySize {
  readonly width: number;
  readonly height: number;
}

/** Even size with this short side and the picture's shape. */
export function sizeFor(shortSide: number, display: DisplaySize): DisplaySize {
  const short = Math.min(display.width, display.height);
  const long = even((Math.max(display.width, display.height) * shortSide) / short);
  const portrait = display.height > display.width;
  return portrait ? { width: shortSide, height: long } : { width: long, height: shortSide };
}

/** What a rung is made from; CRF and cap on the codec's own scale. */
export interface RungRequest {
  readonly shortSide: number;
  readonly crf: number;
  readonly maxrateKbps: number;
  /** Default: the short side, as `720p`. */
  readonly name?: string;
}

/** A rung with all that follows from its codec and size: profile, level, speed, a buffer of 1.5 s. */
export function makeRung(request: RungRequest, display: DisplaySize, rate: Rational, choice: CodecChoice): Rung {
  const { codec, encoder, hdr } = choice;
  const { shortSide, crf, maxrateKbps } = request;
  const { width, height } = sizeFor(shortSide, display);
  const h264Profile = shortSide >= 720 ? 'high' : 'main';
  const profile = { h264: h264Profile, hevc: hdr ? 'main10' : 'main', vp9: '', av1: '' }[codec];
  const level = {
    h264: () => levelFor(width, height, rate, maxrateKbps),
    hevc: () => hevcLevelFor(width, height, rate, maxrateKbps),
    vp9: () => '',
    av1: () => '',
  }[codec]();
  const name = request.name ?? `${shortSide}p`;
  return {
    id: codec === 'h264' ? name : `${codec}${hdr ? '-hdr' : ''}-${name}`,
    codec,
    encoder,
    profileName: [codec, profile, name].filter((part) => part !== '').join('-'),
    width,
    height,
    crf,
    maxrateKbps,
    // A short buffer: every chunk starts with a full one, so a long one would let joins double the peak.
    bufsizeKbps: Math.round(maxrateKbps * 1.5),
    profile,
    level,
    preset: presets[encoder],
    ...(hdr ? { hdr } : {}),
  };
}

/**
 * Rungs for a picture, tallest first. Steps are measured by the short side, so portrait and landscape get the same
 * quality, and none is larger than the source; a source below every step gets one rung of its own size.
 */
export function chooseRungs(
  steps: readonly LadderStep[],
  display: DisplaySize,
  rate: Rational,
  choice: CodecChoice = h264Choice,
): Rung[] {
  const short = Math.min(display.width, display.height);
  const sorted = [...steps].sort((a, b) => b.height - a.height);
  const fitting = sorted.filter((step) => step.height <= short);
  const lowest = sorted.at(-1);
  if (fitting.length === 0 && lowest) fitting.push({ ...lowest, height: Math.max(2, Math.floor(short / 2) * 2) });
  const { fromH264Crf, relativeRate } = codecTraits(choice.codec);
  return fitting.map((step) => {
    const maxrateKbps = Math.max(50, Math.round(step.maxrateKbps * relativeRate));
    return makeRung({ shortSide: step.height, crf: fromH264Crf(step.crf), maxrateKbps }, display, rate, choice);
  });
}

/** Mean rates above are spent on grain that nobody sees: twice the cap of the fixed ladder. */
const ceilingByCap = 2;
/** Rate that the fixed ladder's caps are made for; faster pictures take more, though not in proportion. */
const plainRate = 30;

/**
 * The most that a rung of H.264 may take on average, in kb/s: twice the cap that the fixed ladder has at the picture's
 * size (by its lines between two steps), and half as much again at double rate.
 */
export function ceilingKbps(display: DisplaySize, rate: Rational): number {
  const short = Math.min(display.width, display.height);
  const next = fixedLadder.findLast((step) => step.height >= short) ?? fixedLadder[0];
  if (!next) return 0;
  const bySize = next.maxrateKbps * Math.min(1, short / next.height);
  return bySize * ceilingByCap * Math.max(1, toNumber(rate) / plainRate) ** 0.6;
}
