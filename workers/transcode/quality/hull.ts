/** One trial encode: what it costs and how it looks. */
export type RatePoint = {
  /** Short side in pixels. */
  readonly height: number;
  /** On the encoder's own scale. */
  readonly crf: number;
  readonly kbps: number;
  /** Higher is better: SSIM in dB or VMAF. */
  readonly score: number;
};

/** Slope of a line over log2(kbps). */
function slope(from: RatePoint, to: RatePoint): number {
  return (to.score - from.score) / Math.log2(to.kbps / from.kbps);
}

/**
 * Upper convex hull over (log2 bitrate, score), by rising bitrate and rising score: no point lies above it, so each
 * of its points is the best way to spend its bits. Points that cost more and look no better are dropped.
 */
export function upperHull<T extends RatePoint>(points: readonly T[]): T[] {
  const hull: T[] = [];
  for (const point of [...points].sort((a, b) => a.kbps - b.kbps || b.score - a.score)) {
    const highest = hull.at(-1);
    if (highest && point.score <= highest.score) continue;
    for (let last = hull.at(-1), before = hull.at(-2); last && before; last = hull.at(-1), before = hull.at(-2)) {
      if (slope(before, point) < slope(before, last)) break;
      hull.pop();
    }
    hull.push(point);
  }
  return hull;
}

/** Score along a curve at a bitrate, linear over log2(kbps), flat beyond its ends. The curve rises in bitrate. */
export function scoreAlong(curve: readonly RatePoint[], kbps: number): number {
  const [first] = curve;
  const last = curve.at(-1);
  if (!first || !last) return Number.NEGATIVE_INFINITY;
  if (kbps <= first.kbps) return first.score;
  const next = curve.findIndex((point) => point.kbps >= kbps);
  const [from, to] = [curve[next - 1], curve[next]];
  if (!from || !to) return last.score;
  return from.score + slope(from, to) * Math.log2(kbps / from.kbps);
}

/** What one height makes of a bitrate: its finest trial where that takes less; undefined below its coarsest. */
function atRate(curve: readonly RatePoint[], kbps: number): RatePoint | undefined {
  const next = curve.findIndex((point) => point.kbps >= kbps * (1 - 1e-9));
  const to = curve[next];
  if (!to) return curve.at(-1);
  const from = curve[next - 1];
  if (!from) return to.kbps <= kbps * (1 + 1e-9) ? to : undefined;
  const part = Math.log2(kbps / from.kbps) / Math.log2(to.kbps / from.kbps);
  const score = from.score + (to.score - from.score) * part;
  return { height: to.height, crf: from.crf + (to.crf - from.crf) * part, kbps, score };
}

/**
 * The best height for a bitrate, and the CRF at which it takes it, by interpolation along each height's own trial
 * points; none taller than `maxHeight`. Its rate is below the given one where it looks best at its finest trial.
 * Undefined when every height takes more.
 */
export function bestAtRate(
  points: readonly RatePoint[],
  kbps: number,
  maxHeight = Number.POSITIVE_INFINITY,
): RatePoint | undefined {
  const byHeight = Map.groupBy(points, (point) => point.height);
  let best: RatePoint | undefined;
  for (const [height, own] of byHeight) {
    if (height > maxHeight) continue;
    const found = atRate(
      [...own].sort((a, b) => a.kbps - b.kbps),
      kbps,
    );
    if (found && (!best || found.score > best.score)) best = found;
  }
  return best;
}

/**
 * The trial points that no other height beats at their own bitrate, by rising bitrate and rising score: what a title
 * can really have at each rate. The hull lies above it wherever two of its neighbours are far apart.
 */
export function frontier<T extends RatePoint>(points: readonly T[]): T[] {
  const front: T[] = [];
  for (const point of [...points].sort((a, b) => a.kbps - b.kbps || b.score - a.score)) {
    const best = bestAtRate(points, point.kbps);
    if (best && best.score > point.score + 1e-9) continue;
    if (point.score > (front.at(-1)?.score ?? Number.NEGATIVE_INFINITY)) front.push(point);
  }
  return front;
}
