import type { RatingsTable } from '../../server/ranking/data/ratings-table.ts';
import { leastPositive } from '../../server/ranking/data/sparse-rows.ts';
import { splitByFold, splitByTime } from '../../server/ranking/data/split.ts';
import type { Title } from '../../server/ranking/data/title.ts';
import { datasetUnusable } from '../../server/ranking/errors.ts';
import { trainBiases } from '../../server/ranking/maths/bias-model.ts';
import { createFolder } from '../../server/ranking/maths/folder.ts';
import type { Pacer } from '../../server/ranking/maths/pacer.ts';
import { popularityOf } from '../../server/ranking/maths/popularity.ts';
import type { RankerModel } from '../../server/ranking/models/model-file.ts';
import type { TrainSettings } from '../../server/ranking/models/train-settings.ts';
import { historyByTime } from './history.ts';
import { measureQuality } from './measure-quality.ts';
import { precomputeLists } from './precompute-lists.ts';
import { trainFactors } from './train-factors.ts';

/** Data and settings of one training run. */
export interface TrainInput {
  readonly ratings: RatingsTable;
  readonly titles: readonly Title[];
  readonly settings: TrainSettings;
}

/** What one training run gives. */
export interface TrainedRanker {
  readonly model: RankerModel;
  /** Held-out quality by name, finite numbers only. */
  readonly metrics: { readonly [name: string]: number };
  /** `userId,movieId,rating,prediction` of every held-out row, predicted by biases that never saw one. */
  readonly predictionsCsv: string;
}

/** Hears the share of the work done, 0 to 1, and what is being done. */
export type TrainReport = (fraction: number, stage: string, message: string) => void;

/** Share of the work that measuring quality takes. */
const measuringShare = 0.45;

/**
 * Trains on the training part and measures on the held-out one, then trains the served model on all ratings.
 * The same input gives the same model, metrics and predictions. DATASET_UNUSABLE without a positive rating.
 */
export async function trainRanker(input: TrainInput, pacer: Pacer, report: TrainReport): Promise<TrainedRanker> {
  const { ratings, settings } = input;
  if (!ratings.value.some((value) => value >= leastPositive)) {
    throw datasetUnusable(`the data set has no rating of ${leastPositive} or more, so there is nothing to learn from`);
  }
  const { train, test } = settings.holdout === 'time' ? splitByTime(ratings) : splitByFold(ratings, 0);
  report(0, 'measure', `training on ${train.value.length} ratings, ${test.value.length} held out`);
  const quality = await measureQuality({ train, test, settings }, pacer, (done) =>
    report(done * measuringShare, 'measure', `sweep ${Math.round(done * settings.sweeps)} of ${settings.sweeps}`),
  );
  const factors = await trainFactors(ratings, settings, pacer, (done) =>
    report(
      measuringShare + done * (0.95 - measuringShare),
      'train',
      `sweep ${Math.round(done * settings.sweeps)} of ${settings.sweeps}`,
    ),
  );
  report(0.95, 'precompute', `lists of ${ratings.profiles.ids.length} profiles`);
  const popularity = popularityOf(ratings, { least: leastPositive });
  const { history, historyValues } = historyByTime(ratings);
  const lists = await precomputeLists(
    createFolder(factors.titleFactors, settings),
    history,
    historyValues,
    popularity,
    pacer,
  );
  const byId = new Map(input.titles.map((title) => [title.id, title]));
  const model = {
    settings,
    profiles: ratings.profiles,
    titles: ratings.titles,
    catalogue: ratings.titles.ids.map((id) => byId.get(id) ?? { id, name: id, genres: [] }),
    titleFactors: factors.titleFactors,
    profileFactors: factors.profileFactors,
    biases: await trainBiases(ratings, pacer),
    popularity,
    history,
    historyValues,
    ...lists,
  };
  return { model, ...quality };
}
