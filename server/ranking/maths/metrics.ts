/** Errors of predicted ratings. */
export interface RatingErrors {
  readonly rmse: number;
  readonly mae: number;
}

/** Root mean square and mean absolute error; NaN without rows. */
export function ratingErrors(actual: ArrayLike<number>, predicted: ArrayLike<number>): RatingErrors {
  let squares = 0;
  let absolutes = 0;
  for (let i = 0; i < actual.length; i++) {
    const error = (actual[i] ?? 0) - (predicted[i] ?? 0);
    squares += error * error;
    absolutes += Math.abs(error);
  }
  return { rmse: Math.sqrt(squares / actual.length), mae: absolutes / actual.length };
}

/** Normalised discounted cumulative gain of a ranked list, gain 1 per relevant title, ideal over min(k, relevant). */
export function ndcgAt(k: number, ranked: ArrayLike<number>, relevant: ReadonlySet<number>): number {
  if (relevant.size === 0) return Number.NaN;
  let gain = 0;
  let ideal = 0;
  for (let place = 0; place < k; place++) {
    const weight = 1 / Math.log2(place + 2);
    const title = ranked[place];
    if (title !== undefined && relevant.has(title)) gain += weight;
    if (place < relevant.size) ideal += weight;
  }
  return gain / ideal;
}

/** Share of the relevant titles among the first k, divided by min(k, relevant) as Mult-VAE and EASE do. */
export function recallAt(k: number, ranked: ArrayLike<number>, relevant: ReadonlySet<number>): number {
  if (relevant.size === 0) return Number.NaN;
  let hits = 0;
  for (let place = 0; place < k && place < ranked.length; place++) {
    if (relevant.has(ranked[place] ?? -1)) hits += 1;
  }
  return hits / Math.min(k, relevant.size);
}
