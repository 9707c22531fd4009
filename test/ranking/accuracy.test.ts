import assert from 'node:assert/strict';
import { type RatingsTable, selectRows } from '../../server/ranking/data/ratings-table.ts';
import { profilesByTitle, rowOf, type SparseRows, titlesByProfile } from '../../server/ranking/data/sparse-rows.ts';
import { splitByFold, splitByTime } from '../../server/ranking/data/split.ts';
import { predictRating, predictRows, trainBiases } from '../../server/ranking/maths/bias-model.ts';
import { addPrior, priorOf, priorWeight } from '../../server/ranking/maths/cold-prior.ts';
import { evaluateTopN } from '../../server/ranking/maths/evaluate-top-n.ts';
import { createFolder } from '../../server/ranking/maths/folder.ts';
import { type IalsOptions, trainIals } from '../../server/ranking/maths/ials.ts';
import { ratingErrors } from '../../server/ranking/maths/metrics.ts';
import { createPacer } from '../../server/ranking/maths/pacer.ts';
import { popularityOf } from '../../server/ranking/maths/popularity.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { freePacer, movielens } from './fixtures/movielens.ts';

const options: IalsOptions = { factors: 64, sweeps: 16, regularization: 0.01, unobservedWeight: 0.1, seed: 1 };
const counts = Number.POSITIVE_INFINITY;

function train(table: RatingsTable, settings: IalsOptions, pacer = freePacer()) {
  return trainIals(titlesByProfile(table, 4), profilesByTitle(table, 4), settings, pacer);
}

function assertNear(actual: number, expected: number, tolerance: number, what: string): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${what}: ${actual}, expected ${expected} within ${tolerance}`);
}

describe('accuracy on MovieLens (protocols of Surprise and of full-catalogue evaluation)', () => {
  it('bias ALS matches the published folds', async () => {
    const published = [0.8727, 0.8692, 0.8766, 0.875, 0.8703];
    let meanMae = 0;
    for (const [fold, expected] of published.entries()) {
      const { train: known, test } = splitByFold(movielens(), fold);
      const { rmse, mae } = ratingErrors(test.value, predictRows(await trainBiases(known, freePacer()), test));
      assertNear(rmse, expected, 0.0005, `RMSE of fold ${fold}`);
      meanMae += mae / published.length;
    }
    assertNear(meanMae, 0.6729, 0.0005, 'mean MAE');
  });

  it('bias predictions are clipped, and unknown ids have bias 0', async () => {
    const model = await trainBiases(movielens(), freePacer());
    assert.equal(predictRating(model, 1e6, 1e6), model.mean);
    assert.equal(predictRating({ ...model, mean: 9 }, 0, 0), 5);
    assert.equal(predictRating({ ...model, mean: -9 }, 0, 0), 0.5);
  });

  describe('top-N with the newest fifth held out', () => {
    const { train: known, test } = splitByTime(movielens());
    const rated = titlesByProfile(known);
    const positives = titlesByProfile(known, 4);
    const relevant = titlesByProfile(test, 4);
    const popularity = popularityOf(known, { least: 4, halfLifeMs: counts });
    const measure = (scoresOf: (profile: number) => Float32Array | Float64Array, wanted: SparseRows = relevant) =>
      evaluateTopN(scoresOf, rated, wanted, freePacer());

    it('popularity gives the published values', async () => {
      const quality = await measure(() => popularity);
      assert.equal(quality.profiles, 592);
      assertNear(quality.ndcgAt10, 0.0794, 0.0001, 'NDCG@10');
      assertNear(quality.ndcgAt100, 0.1335, 0.0001, 'NDCG@100');
      assertNear(quality.recallAt20, 0.0975, 0.0001, 'recall@20');
    });

    for (const [factors, ndcgAt10] of [
      [64, 0.1153],
      [128, 0.1194],
    ] as const) {
      it(`iALS with ${factors} factors is within .006 of NDCG@10 ${ndcgAt10}, over popularity`, async () => {
        const settings = { ...options, factors };
        const folder = createFolder((await train(known, settings)).titleFactors, settings);
        const quality = await measure((profile) => {
          const vector = folder.fold(rowOf(positives, profile));
          return vector === undefined ? popularity : folder.scores(vector);
        });
        assertNear(quality.ndcgAt10, ndcgAt10, 0.006, 'NDCG@10');
        assert.ok(quality.ndcgAt10 > 0.0794 * 1.3);
        assert.ok(quality.ndcgAt100 > 0.2);
      });
    }

    it('a profile that training never saw is folded in and beats popularity from its first positive on', async () => {
      const isUnknown = (profile: number) => profile % 5 === 0;
      const others = selectRows(known, (row) => !isUnknown(known.profile[row] ?? 0));
      const folder = createFolder((await train(others, options)).titleFactors, options);
      const wanted = titlesByProfile(
        selectRows(test, (row) => isUnknown(test.profile[row] ?? 0)),
        4,
      );
      const popular = popularityOf(others, { least: 4 });
      const prior = priorOf(popular);
      const byTime = firstPositives(known);
      const ndcgAt = async (positivesSeen: number, weight: (count: number) => number) => {
        const quality = await measure((profile) => {
          const liked = (byTime[profile] ?? []).slice(0, positivesSeen);
          const vector = folder.fold(liked);
          const scores = vector === undefined ? new Float32Array(prior.length) : folder.scores(vector);
          addPrior(scores, prior, weight(liked.length));
          return scores;
        }, wanted);
        return quality.ndcgAt10;
      };
      const alone = (await measure(() => popular, wanted)).ndcgAt10;
      let before = 0;
      for (const seen of [1, 3, 5, 10, 1e9]) {
        const blended = await ndcgAt(seen, priorWeight);
        assert.ok(blended > alone, `${seen} positives: ${blended} against popularity ${alone}`);
        assert.ok(blended > (await ndcgAt(seen, () => 0)), `${seen} positives: the prior helps`);
        if (seen !== 10) assert.ok(blended > before, `${seen} positives rank better than fewer`);
        before = blended;
      }
    });
  });

  it('popularity that decays over three years beats plain counts on what comes next', async () => {
    const table = movielens();
    const cut = table.timeMs.toSorted()[Math.floor(table.timeMs.length * 0.8)] ?? 0;
    const past = selectRows(table, (row) => (table.timeMs[row] ?? 0) < cut);
    const future = titlesByProfile(
      selectRows(table, (row) => (table.timeMs[row] ?? 0) >= cut),
      4,
    );
    const ndcg = async (popularity: Float64Array) =>
      (await evaluateTopN(() => popularity, titlesByProfile(past), future, freePacer())).ndcgAt10;
    const plain = await ndcg(popularityOf(past, { halfLifeMs: counts }));
    const decayed = await ndcg(popularityOf(past));
    assert.ok(decayed > plain * 1.05, `decayed ${decayed}, plain ${plain}`);
  });
});

describe('iALS', () => {
  const small = { ...options, factors: 8, sweeps: 3 };

  it('gives the same bytes for the same seed, others for another', async () => {
    const [a, b, c] = await Promise.all([
      train(movielens(), small),
      train(movielens(), small),
      train(movielens(), { ...small, seed: 2 }),
    ]);
    assert.deepEqual(a.titleFactors, b.titleFactors);
    assert.deepEqual(a.profileFactors, b.profileFactors);
    assert.notDeepEqual(a.titleFactors, c.titleFactors);
  });

  it('folds a profile in to the very factors that training gave it', async () => {
    const table = movielens();
    const trained = await train(table, small);
    const folder = createFolder(trained.titleFactors, small);
    const positives = titlesByProfile(table, 4);
    for (const profile of [0, 17, 300]) {
      assert.deepEqual(
        folder.fold(rowOf(positives, profile)),
        new Float32Array(trained.profileFactors.subarray(profile * 8, profile * 8 + 8)),
      );
    }
    assert.equal(folder.fold([]), undefined);
  });

  it('explains a score by parts that sum to it', async () => {
    const table = movielens();
    const folder = createFolder((await train(table, small)).titleFactors, small);
    const liked = [...rowOf(titlesByProfile(table, 4), 5)];
    const vector = folder.fold(liked);
    assert.ok(vector);
    const scores = folder.scores(vector);
    const titles = [3, 500, 1200];
    for (const [at, parts] of folder.contributions(liked, titles).entries()) {
      const score = scores[titles[at] ?? 0] ?? 0;
      assert.equal(parts.length, liked.length);
      assertNear(
        parts.reduce((sum, part) => sum + part, 0),
        score,
        1e-5,
        'sum of the parts',
      );
    }
  });

  it('finds a title most like itself', async () => {
    const folder = createFolder((await train(movielens(), small)).titleFactors, small);
    const similarities = folder.similarities(0);
    assertNear(similarities[0] ?? 0, 1, 1e-5, 'likeness with itself');
    assert.ok(similarities.every((value) => value <= 1.00001 && value >= -1.00001));
  });

  it('gives the thread back between slices and stops when aborted', async () => {
    const controller = new AbortController();
    // Every slice of this clock is used up at once, so the abort comes through at the first row.
    const clock = { ...createFakeClock(), monotonic: () => performance.now() * 1000 };
    const training = train(movielens(), small, createPacer(clock, controller.signal));
    setImmediate(() => controller.abort(new Error('enough')));
    await assert.rejects(training, /enough/);
  });

  it('says so when the regularisation is too small for the matrix to be solved', async () => {
    const hopeless = { ...small, regularization: 0, unobservedWeight: 0 };
    await assert.rejects(train(movielens(), hopeless), { reason: 'NOT_POSITIVE_DEFINITE' });
  });
});

/** Liked titles of each profile, oldest first. */
function firstPositives(table: RatingsTable): number[][] {
  const liked: { title: number; timeMs: number }[][] = table.profiles.ids.map(() => []);
  for (const [row, value] of table.value.entries()) {
    if (value >= 4)
      liked[table.profile[row] ?? 0]?.push({ title: table.title[row] ?? 0, timeMs: table.timeMs[row] ?? 0 });
  }
  return liked.map((titles) => titles.sort((a, b) => a.timeMs - b.timeMs).map(({ title }) => title));
}
