/** sqrt(popularity / highest), 0 to 1: the shape of the prior; all 0 when nothing is popular. */
export function priorOf(popularity: Float64Array): Float32Array {
  const highest = popularity.reduce((most, value) => Math.max(most, value), 0);
  return Float32Array.from(popularity, (value) => (highest > 0 ? Math.sqrt(value / highest) : 0));
}

/**
 * Weight of the popularity prior for a profile with so many positives: shrinks towards 0.1 as evidence grows.
 * Collaborative scores alone rank worse than popularity below 4-5 positives; with the prior they beat it from the
 * first one on, and the rest of 0.1 still helps profiles with hundreds (measured on MovieLens).
 */
export function priorWeight(positives: number): number {
  return positives === 0 ? 1 : 0.1 + 0.2 / positives;
}

/** scores[i] += weight * prior[i]. */
export function addPrior(scores: Float32Array, prior: Float32Array, weight: number): void {
  for (let i = 0; i < scores.length; i++) scores[i] = (scores[i] ?? 0) + weight * (prior[i] ?? 0);
}
