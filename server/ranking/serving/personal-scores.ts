import { addPrior, priorWeight } from '../maths/cold-prior.ts';
import type { ServingModel } from '../models/serving-model.ts';
import type { Taste } from '../nearline/taste.ts';

/** Scores of all titles for this taste: iALS plus the shrinking popularity prior. Undefined without a positive sign. */
export function personalScores(model: ServingModel, taste: Taste): Float32Array | undefined {
  const vector = model.folder.fold(taste.positives, taste.content);
  if (vector === undefined) return undefined;
  const scores = model.folder.scores(vector);
  addPrior(scores, model.prior, priorWeight(taste.positives.length));
  return scores;
}
