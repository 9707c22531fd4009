import type { RatingsTable } from '../data/ratings-table.ts';
import type { Pacer } from './pacer.ts';

/** Rating = mean + title bias + profile bias, clipped to 0.5-5. An unknown profile or title has bias 0. */
export interface BiasModel {
  readonly mean: number;
  readonly profileBias: Float64Array;
  readonly titleBias: Float64Array;
}

/** How biases are fitted. */
export interface BiasOptions {
  /** Default 10. */
  readonly epochs?: number;
  /** Default 15. */
  readonly profileRegularization?: number;
  /** Default 10. */
  readonly titleRegularization?: number;
}

/**
 * Alternating least squares of the biases, titles first (Koren's baseline, defaults as in Surprise's BaselineOnly).
 * f64 and in row order throughout: the result is the same on every machine.
 */
export async function trainBiases(table: RatingsTable, pacer: Pacer, options: BiasOptions = {}): Promise<BiasModel> {
  const { epochs = 10, profileRegularization = 15, titleRegularization = 10 } = options;
  const { profile, title, value } = table;
  let sum = 0;
  for (const rating of value) sum += rating;
  const mean = value.length === 0 ? 0 : sum / value.length;
  const profileBias = new Float64Array(table.profiles.ids.length);
  const titleBias = new Float64Array(table.titles.ids.length);
  const refit = (target: Float64Array, of: Uint32Array, other: Float64Array, by: Uint32Array, ridge: number) => {
    const counts = new Uint32Array(target.length);
    target.fill(0);
    for (let row = 0; row < value.length; row++) {
      const at = of[row] ?? 0;
      target[at] = (target[at] ?? 0) + (value[row] ?? 0) - mean - (other[by[row] ?? 0] ?? 0);
      counts[at] = (counts[at] ?? 0) + 1;
    }
    for (let at = 0; at < target.length; at++) target[at] = (target[at] ?? 0) / (ridge + (counts[at] ?? 0));
  };
  for (let epoch = 0; epoch < epochs; epoch++) {
    refit(titleBias, title, profileBias, profile, titleRegularization);
    refit(profileBias, profile, titleBias, title, profileRegularization);
    if (pacer.isDue()) await pacer.rest();
  }
  return { mean, profileBias, titleBias };
}

/** The predicted rating, 0.5 to 5. */
export function predictRating(model: BiasModel, profile: number, title: number): number {
  const rating = model.mean + (model.profileBias[profile] ?? 0) + (model.titleBias[title] ?? 0);
  return Math.min(5, Math.max(0.5, rating));
}

/** Predictions for every row of the table, in its order. */
export function predictRows(model: BiasModel, table: RatingsTable): Float64Array {
  return Float64Array.from(table.value, (_, row) =>
    predictRating(model, table.profile[row] ?? 0, table.title[row] ?? 0),
  );
}
