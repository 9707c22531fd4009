import { bestAtRate, type RatePoint, scoreAlong } from './hull.ts';

interface ChoiceRules {
  /** The top rung is the cheapest that scores this. */
  readonly targetScore: number;
  /** About one just noticeable difference: neighbours need not be closer. */
  readonly noticeableScore: number;
  /** No rung above, and why. */
  readonly most: { readonly kbps: number; readonly why: string };
  /** Smallest step of CRF that the encoder knows. */
  readonly crfStep: number;
}

/** Rules for VMAF (95 is as good as the source to most, 6 is about one noticeable step). */
export const vmafRules = { targetScore: 95, noticeableScore: 6 };
/** Rules for SSIM in dB; where VMAF goes from 40 to 95, SSIM goes up by some 11 dB. */
export const ssimRules = { targetScore: 20, noticeableScore: 1.2 };

/** A step chosen; bitrate and score as interpolated, before it is encoded. */
export type ChosenStep = RatePoint & { readonly why: string };

/** Ratio of neighbouring bitrates: closer wastes storage and caches, wider makes a player fall too far. */
const leastRatio = 1.5;
const mostRatio = 2;
/** The lowest rung is between these where the title has such rates at all: links of the worst phones. */
const floorKbps = 200;
const leastRungs = 3;
const mostRungs = 10;
/** Ratios are searched in steps of 1/32 of an octave. */
const searchSteps = 32;

/** The lowest rate with the wanted score, on a curve that rises; undefined when none has it. */
function cheapest(curve: readonly RatePoint[], wanted: number, least: number, most: number): number | undefined {
  if (scoreAlong(curve, most) < wanted) return undefined;
  let [low, high] = [Math.log2(least), Math.log2(most)];
  for (let round = 0; round < 40; round++) {
    const middle = (low + high) / 2;
    if (scoreAlong(curve, 2 ** middle) >= wanted) high = middle;
    else low = middle;
  }
  return 2 ** high;
}

function nextRate(curve: readonly RatePoint[], above: number, rules: ChoiceRules): { kbps: number; why: string } {
  const wanted = scoreAlong(curve, above) - rules.noticeableScore;
  const span = Math.log2(mostRatio / leastRatio);
  for (let step = 0; step <= searchSteps; step++) {
    const ratio = leastRatio * 2 ** ((span * step) / searchSteps);
    if (scoreAlong(curve, above / ratio) <= wanted) {
      const why = step === 0 ? `1/${leastRatio} of the rate above` : 'one noticeable step below';
      return { kbps: above / ratio, why };
    }
  }
  return { kbps: above / mostRatio, why: `1/${mostRatio} of the rate above` };
}

/**
 * Rungs for a title, best first. `points` are all trials with the score that orders heights; `curve` is the frontier
 * in the score that the rules are about (both the same for SSIM). Heights never rise as bitrates fall.
 */
export function chooseSteps(
  points: readonly RatePoint[],
  curve: readonly RatePoint[],
  rules: ChoiceRules,
): ChosenStep[] {
  const least = curve[0]?.kbps ?? 0;
  const best = curve.at(-1)?.kbps ?? 0;
  const most = Math.max(least, Math.min(best, rules.most.kbps));
  const top = cheapest(curve, rules.targetScore, least, most);
  const topWhy = most < best ? rules.most.why : 'the best of the trial';
  let next = top === undefined ? { kbps: most, why: topWhy } : { kbps: top, why: `reaches ${rules.targetScore}` };
  const steps: ChosenStep[] = [];
  while (steps.length < mostRungs && next.kbps >= least) {
    const found = bestAtRate(points, next.kbps, steps.at(-1)?.height);
    if (!found) break;
    const crf = Math.round(found.crf / rules.crfStep) * rules.crfStep;
    const { height, kbps } = found;
    steps.push({ height, crf, kbps, score: scoreAlong(curve, kbps), why: next.why });
    const below = nextRate(curve, kbps, rules);
    const lowest = steps.length < leastRungs ? least : Math.max(least, floorKbps);
    if (kbps / leastRatio < lowest) break;
    next = below.kbps < lowest ? { kbps: lowest, why: 'the floor' } : below;
  }
  return steps;
}
