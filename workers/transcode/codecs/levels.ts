import { type Rational, toNumber } from '../rational.ts';

/** [level, macroblocks a second, macroblocks a frame, kb/s in Main] of H.264 table A-1. */
const h264Levels: readonly (readonly [string, number, number, number])[] = [
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

/** [level, luma samples a second, luma samples a frame, kb/s of the main tier] of H.265 tables A.8 and A.9. */
const hevcLevels: readonly (readonly [string, number, number, number])[] = [
  ['2.0', 3_686_400, 122_880, 1500],
  ['2.1', 7_372_800, 245_760, 3000],
  ['3.0', 16_588_800, 552_960, 6000],
  ['3.1', 33_177_600, 983_040, 10_000],
  ['4.0', 66_846_720, 2_228_224, 12_000],
  ['4.1', 133_693_440, 2_228_224, 20_000],
  ['5.0', 267_386_880, 8_912_896, 25_000],
  ['5.1', 534_773_760, 8_912_896, 40_000],
  ['5.2', 1_069_547_520, 8_912_896, 60_000],
  ['6.0', 1_069_547_520, 35_651_584, 60_000],
];

type Levels = readonly (readonly [string, number, number, number])[];

function lowest(levels: Levels, perFrame: number, rate: Rational, maxrateKbps: number): string {
  const fits = levels.find(
    ([, mostPerSecond, mostPerFrame, kbps]) =>
      perFrame <= mostPerFrame && perFrame * toNumber(rate) <= mostPerSecond && maxrateKbps <= kbps,
  );
  return (fits ?? levels.at(-1) ?? ['5.2'])[0];
}

/** The lowest H.264 level that holds this picture, rate and cap. */
export function levelFor(width: number, height: number, rate: Rational, maxrateKbps: number): string {
  return lowest(h264Levels, Math.ceil(width / 16) * Math.ceil(height / 16), rate, maxrateKbps);
}

/** The lowest H.265 level of the main tier that holds this picture, rate and cap. */
export function hevcLevelFor(width: number, height: number, rate: Rational, maxrateKbps: number): string {
  return lowest(hevcLevels, width * height, rate, maxrateKbps);
}
