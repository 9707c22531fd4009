import type { RatingsTable } from '../../server/ranking/data/ratings-table.ts';
import { leastPositive, rowOf, titlesByProfile } from '../../server/ranking/data/sparse-rows.ts';
import type { Split } from '../../server/ranking/data/split.ts';
import { predictRows, trainBiases } from '../../server/ranking/maths/bias-model.ts';
import { addPrior, priorOf, priorWeight } from '../../server/ranking/maths/cold-prior.ts';
import { evaluateTopN } from '../../server/ranking/maths/evaluate-top-n.ts';
import { createFolder } from '../../server/ranking/maths/folder.ts';
import { ratingErrors } from '../../server/ranking/maths/metrics.ts';
import type { Pacer } from '../../server/ranking/maths/pacer.ts';
import { popularityOf } from '../../server/ranking/maths/popularity.ts';
import type { TrainSettings } from '../../server/ranking/models/train-settings.ts';
import { trainFactors } from './train-factors.ts';

/** What quality is measured on. */
export interface MeasureInput extends Split {
  readonly settings: TrainSettings;
}

/**
 * Quality on ratings that the measured models never saw: errors of the rating model; full-catalogue NDCG and recall
 * of popularity, of iALS, and of iALS as served (with the popularity prior). `onProgress` hears the share done.
 */
export async function measureQuality(input: MeasureInput, pacer: Pacer, onProgress: (done: number) => void) {
  const { train, test, settings } = input;
  const predictions = predictRows(await trainBiases(train, pacer), test);
  const errors = ratingErrors(test.value, predictions);
  const factors = await trainFactors(train, settings, pacer, onProgress);
  const folder = createFolder(factors.titleFactors, settings);
  const positives = titlesByProfile(train, leastPositive);
  const rated = titlesByProfile(train);
  const relevant = titlesByProfile(test, leastPositive);
  const none = new Float32Array(train.titles.ids.length);
  const personal = (profile: number) => {
    const vector = folder.fold(rowOf(positives, profile));
    return vector === undefined ? none.slice() : folder.scores(vector);
  };
  const prior = priorOf(popularityOf(train, { least: leastPositive }));
  const served = (profile: number) => {
    const scores = personal(profile);
    addPrior(scores, prior, priorWeight(rowOf(positives, profile).length));
    return scores;
  };
  const counts = popularityOf(train, { least: leastPositive, halfLifeMs: Number.POSITIVE_INFINITY });
  const ials = await evaluateTopN(personal, rated, relevant, pacer);
  const blended = await evaluateTopN(served, rated, relevant, pacer);
  const popular = await evaluateTopN(() => counts, rated, relevant, pacer);
  const all = {
    rmse: errors.rmse,
    mae: errors.mae,
    ndcg_at_10: ials.ndcgAt10,
    ndcg_at_100: ials.ndcgAt100,
    recall_at_20: ials.recallAt20,
    served_ndcg_at_10: blended.ndcgAt10,
    served_recall_at_20: blended.recallAt20,
    popularity_ndcg_at_10: popular.ndcgAt10,
    held_out_ratings: test.value.length,
    evaluated_profiles: ials.profiles,
  };
  const metrics = Object.fromEntries(Object.entries(all).filter(([, value]) => Number.isFinite(value)));
  return { metrics, predictionsCsv: toCsv(test, predictions) };
}

function toCsv(test: RatingsTable, predictions: Float64Array): string {
  const lines = ['userId,movieId,rating,prediction'];
  for (const [row, rating] of test.value.entries()) {
    const profile = field(test.profiles.ids[test.profile[row] ?? 0] ?? '');
    const title = field(test.titles.ids[test.title[row] ?? 0] ?? '');
    lines.push(`${profile},${title},${rating},${(predictions[row] ?? 0).toFixed(6)}`);
  }
  return `${lines.join('\n')}\n`;
}

function field(id: string): string {
  return /[",\r\n]/.test(id) ? `"${id.replaceAll('"', '""')}"` : id;
}
