import { type Rational, rational, toNumber } from '../rational.ts';

/** Rates that video is made at; a measured rate near one of these is that one. */
const standardRates: readonly Rational[] = [
  ...[10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 100, 120].map((fps) => rational(fps, 1)),
  ...[15, 24, 30, 48, 60, 120].map((fps) => rational(fps * 1000, 1001)),
  rational(25, 2),
];

/** Output is never faster: authoring guides for adaptive streams end at 60. */
export const maxRate = 60;

/** The rate that a source is encoded at, by what was measured. */
export interface MeasuredRate {
  /** Constant output rate, at most 60. */
  readonly rate: Rational;
  /** Output frames from the first presentation time to the end of the last frame at that rate. */
  readonly frameCount: number;
  /** True when frame distances differ by more than the clock's rounding. */
  readonly variable: boolean;
  /** Rate of most of the source; above `rate` where that is capped. */
  readonly sourceRate: Rational;
}

interface Dominant {
  readonly seconds: number;
  /** Ticks spanned by the distances that agree, and how many they are: their quotient has a fine resolution. */
  readonly spanTicks: number;
  readonly agreeing: number;
  readonly total: number;
}

/** The dominant frame distance of sorted times: the mode of the histogram, then the mean of all within a tick of it. */
function dominantDistance(ptsTicks: Float64Array, timeBase: Rational): Dominant | undefined {
  const histogram = new Map<number, number>();
  for (let index = 1; index < ptsTicks.length; index++) {
    const distance = (ptsTicks[index] ?? 0) - (ptsTicks[index - 1] ?? 0);
    if (distance > 0) histogram.set(distance, (histogram.get(distance) ?? 0) + 1);
  }
  let mode = 0;
  for (const [distance, count] of histogram) if (count > (histogram.get(mode) ?? 0)) mode = distance;
  if (mode === 0) return undefined;
  let agreeing = 0;
  let spanTicks = 0;
  let total = 0;
  for (const [distance, count] of histogram) {
    total += count;
    if (Math.abs(distance - mode) > 1) continue;
    agreeing += count;
    spanTicks += distance * count;
  }
  return { seconds: (spanTicks / agreeing) * toNumber(timeBase), spanTicks, agreeing, total };
}

/** A fraction with a denominator of 1001 at most, for rates that are nobody's standard. */
function approximate(value: number): Rational {
  let best = rational(Math.max(1, Math.round(value)), 1);
  for (let den = 1; den <= 1001; den++) {
    const candidate = rational(Math.max(1, Math.round(value * den)), den);
    if (Math.abs(toNumber(candidate) - value) < Math.abs(toNumber(best) - value) - 1e-9) best = candidate;
  }
  return best;
}

/** The standard rate within what the clock can tell apart; the container's own claim decides between two such. */
function snap(measured: number, tolerance: number, claims: readonly Rational[]): Rational {
  const near = (rate: Rational) => Math.abs(toNumber(rate) / measured - 1) <= tolerance;
  const distance = (rate: Rational) => Math.abs(toNumber(rate) - measured);
  const candidates = standardRates.filter(near);
  const claimed = candidates.find((rate) => claims.some((claim) => toNumber(claim) === toNumber(rate)));
  return claimed ?? candidates.sort((a, b) => distance(a) - distance(b))[0] ?? approximate(measured);
}

function capped(rate: Rational): Rational {
  let out = rate;
  while (toNumber(out) > maxRate) out = rational(out.num, out.den * 2);
  return out;
}

/**
 * The constant rate for a source, from the presentation times of its frames and not from its header, which is often
 * wrong. `ptsTicks` is sorted; `claims` are the container's rates, used only to decide ties and for one-frame files.
 */
export function measureRate(ptsTicks: Float64Array, timeBase: Rational, claims: readonly Rational[]): MeasuredRate {
  const dominant = dominantDistance(ptsTicks, timeBase);
  if (!dominant) {
    const rate = capped(claims[0] ?? rational(25, 1));
    return { rate, frameCount: 1, variable: false, sourceRate: rate };
  }
  // Both ends of the span are rounded to a tick; nothing finer than 1/5000 is worth a different rate.
  const tolerance = Math.max(0.0002, 1.5 / dominant.spanTicks);
  const sourceRate = snap(1 / dominant.seconds, tolerance, claims);
  const rate = capped(sourceRate);
  const first = ptsTicks[0] ?? 0;
  const last = ptsTicks.at(-1) ?? 0;
  const seconds = (last - first) * toNumber(timeBase);
  return {
    rate,
    // To the end of the last frame: at half the rate it may have no frame of its own.
    frameCount: Math.max(1, Math.round((seconds + 1 / toNumber(sourceRate)) * toNumber(rate))),
    variable: dominant.agreeing < dominant.total,
    sourceRate,
  };
}
