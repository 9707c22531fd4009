/** A rung: what it takes and how it looks. */
export interface RateScore {
  readonly kbps: number;
  readonly score: number;
}

/** Steps of the integration over the score. */
const steps = 400;

/**
 * Bits that `tested` takes more than `reference` at equal score, on average over the scores both reach, as a part:
 * -0.2 = 20 % saved (Bjøntegaard's measure, with lines instead of cubics between the points, which never overshoot).
 * Undefined when their scores do not overlap.
 */
export function bdRate(reference: readonly RateScore[], tested: readonly RateScore[]): number | undefined {
  const [a, b] = [rising(reference), rising(tested)];
  const low = Math.max(a[0]?.score ?? 0, b[0]?.score ?? 0);
  const high = Math.min(a.at(-1)?.score ?? 0, b.at(-1)?.score ?? 0);
  if (high <= low) return undefined;
  let sum = 0;
  for (let step = 0; step < steps; step++) {
    const score = low + ((step + 0.5) / steps) * (high - low);
    sum += logRateAt(b, score) - logRateAt(a, score);
  }
  return 2 ** (sum / steps) - 1;
}

/** By rising bitrate, without points that cost more and look no better. */
function rising(points: readonly RateScore[]): RateScore[] {
  const kept: RateScore[] = [];
  for (const point of [...points].sort((x, y) => x.kbps - y.kbps)) {
    if (point.score > (kept.at(-1)?.score ?? Number.NEGATIVE_INFINITY)) kept.push(point);
  }
  return kept;
}

/** log2 of the bitrate at a score within the curve, linear between its points. */
function logRateAt(curve: readonly RateScore[], score: number): number {
  const next = Math.max(
    1,
    curve.findIndex((point) => point.score >= score),
  );
  const [from, to] = [curve[next - 1], curve[next]];
  if (!from || !to) return Number.NaN;
  const part = (score - from.score) / (to.score - from.score);
  return Math.log2(from.kbps) + part * Math.log2(to.kbps / from.kbps);
}
