import { type Rational, toNumber } from './rational.ts';

/** One step asked for: a short side and how many bits it may take. */
export type LadderStep = {
  /** Short side in pixels, even. */
  readonly height: number;
  /** Constant rate factor: the quality aimed at; lower is better. */
  readonly crf: number;
  /** Cap of the rate over one buffer, in kb/s. */
  readonly maxrateKbps: number;
};

/** One rung of a title, all of it decided: what an encoder is told and nothing else. */
export type Rung = {
  /** e.g. `720p`; names its folder. */
  readonly id: string;
  /** e.g. `h264-high-720p`. */
  readonly profileName: string;
  readonly width: number;
  readonly height: number;
  readonly crf: number;
  readonly maxrateKbps: number;
  readonly bufsizeKbps: number;
  readonly profile: 'main' | 'high';
  /** e.g. `3.1`. */
  readonly level: string;
  readonly preset: string;
};

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

/** [level, macroblocks a second, macroblocks a frame, kb/s in Main] of H.264 table A-1. */
const levels: readonly [string, number, number, number][] = [
  ['2.1', 19_800, 792, 4000],
  ['3.0', 40_500, 1620, 10_000],
  ['3.1', 108_000, 3600, 14_000],
  ['3.2', 216_000, 5120, 20_000],
  ['4.0', 245_760, 8192, 20_000],
  ['4.2', 522_240, 8704, 50_000],
  ['5.0', 589_824, 22_080, 135_000],
  ['5.1', 983_040, 36_864, 240_000],
  ['5.2', 2_073_600, 36_864, 240_000],
];

/** The lowest H.264 level that holds this picture, rate and cap. */
export function levelFor(width: number, height: number, rate: Rational, maxrateKbps: number): string {
  const blocks = Math.ceil(width / 16) * Math.ceil(height / 16);
  const fits = levels.find(
    ([, perSecond, perFrame, kbps]) =>
      blocks <= perFrame && blocks * toNumber(rate) <= perSecond && maxrateKbps <= kbps,
  );
  return fits?.[0] ?? '5.2';
}

function even(value: number): number {
  return Math.max(2, Math.round(value / 2) * 2);
}

/** Upright picture with square pixels. */
export interface DisplaySize {
  readonly width: number;
  readonly height: number;
}

function rungOf(step: LadderStep, display: DisplaySize, rate: Rational): Rung {
  const short = Math.min(display.width, display.height);
  const long = even((Math.max(display.width, display.height) * step.height) / short);
  const portrait = display.height > display.width;
  const width = portrait ? step.height : long;
  const height = portrait ? long : step.height;
  const profile = step.height >= 720 ? 'high' : 'main';
  return {
    id: `${step.height}p`,
    profileName: `h264-${profile}-${step.height}p`,
    width,
    height,
    crf: step.crf,
    maxrateKbps: step.maxrateKbps,
    // A short buffer: every chunk starts with a full one, so a long one would let joins double the peak.
    bufsizeKbps: Math.round(step.maxrateKbps * 1.5),
    profile,
    level: levelFor(width, height, rate, step.maxrateKbps),
    preset: 'veryfast',
  };
}

/**
 * Rungs for a picture, tallest first. Steps are measured by the short side, so portrait and landscape get the same
 * quality, and none is larger than the source; a source below every step gets one rung of its own size.
 */
export function chooseRungs(steps: readonly LadderStep[], display: DisplaySize, rate: Rational): Rung[] {
  const short = Math.min(display.width, display.height);
  const sorted = [...steps].sort((a, b) => b.height - a.height);
  const fitting = sorted.filter((step) => step.height <= short);
  const lowest = sorted.at(-1);
  if (fitting.length === 0 && lowest) fitting.push({ ...lowest, height: Math.max(2, Math.floor(short / 2) * 2) });
  return fitting.map((step) => rungOf(step, display, rate));
}
