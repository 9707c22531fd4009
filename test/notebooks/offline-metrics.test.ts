import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readNotebook } from '../../notebooks-runner/nbformat/read-notebook.ts';
import { Code } from '../../server/core/codes.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createKindBed } from './kind-bed.ts';
import { codeCells } from './notebook-bed.ts';

describe('the shipped notebook offline-metrics', () => {
  const dataDir = join(import.meta.dirname, '../../data/ml-latest-small');

  /** A slice of the real ratings with predictions that are off by known amounts. */
  async function slice() {
    const ratings = (await readFile(join(dataDir, 'ratings.csv'), 'utf8')).trim().split('\n').slice(1, 5_001);
    const rows = ratings.map((line, index) => {
      const [userId = '', movieId = '', rating = ''] = line.split(',');
      const error = ((index * 37) % 21) / 10 - 1;
      return { userId, movieId, rating: Number(rating), prediction: Number((Number(rating) + error).toFixed(3)) };
    });
    const body = rows.map((row) => `${row.userId},${row.movieId},${row.rating},${row.prediction}`);
    return { rows, csv: ['userId,movieId,rating,prediction', ...body].join('\n') };
  }

  const inputs = [
    { key: 'models/m/predictions.csv', as: 'predictions.csv' },
    { key: 'datasets/movies.csv', as: 'movies.csv' },
  ];

  it('computes the errors that an independent computation gives', async () => {
    await using bed = await createKindBed();
    const { rows, csv } = await slice();
    const movies = await readFile(join(dataDir, 'movies.csv'), 'utf8');
    await bed.put('models/m/predictions.csv', csv);
    await bed.put('datasets/movies.csv', movies);
    const parameters = { modelVersion: 'm <1>', metric: 'mae', minRatings: 200 };
    const result = await bed.run({ notebook: 'shipped/offline-metrics', parameters, inputs });

    const genresOf = new Map(
      movies
        .trim()
        .split('\n')
        .slice(1)
        .map((line) => [
          line.slice(0, line.indexOf(',')),
          line
            .slice(line.lastIndexOf(',') + 1)
            .trim()
            .split('|'),
        ]),
    );
    const metricsOf = (some: typeof rows) => ({
      ratings: some.length,
      rmse: Math.sqrt(some.reduce((sum, row) => sum + (row.prediction - row.rating) ** 2, 0) / some.length),
      mae: some.reduce((sum, row) => sum + Math.abs(row.prediction - row.rating), 0) / some.length,
    });
    const genres = [...new Set([...genresOf.values()].flat())];
    const expected = genres
      .map((genre) => ({ genre, ...metricsOf(rows.filter((row) => genresOf.get(row.movieId)?.includes(genre))) }))
      .filter((entry) => entry.ratings >= 200)
      .sort((a, b) => b.mae - a.mae);
    const overall = metricsOf(rows);
    const { overall_rmse: rmse, overall_mae: mae, ratings, model_version: version, by_genre: byGenre } = result.scraps;
    assert.ok(Math.abs(Number(rmse) - overall.rmse) < 1e-9 && Math.abs(Number(mae) - overall.mae) < 1e-9);
    assert.deepEqual([ratings, version], [5_000, 'm <1>']);
    const found = byGenre as unknown as typeof expected;
    assert.deepEqual(
      found.map((entry) => [entry.genre, entry.ratings]),
      expected.map((entry) => [entry.genre, entry.ratings]),
    );
    for (const [index, entry] of found.entries()) {
      assert.ok(
        Math.abs(entry.mae - (expected[index]?.mae ?? 0)) < 1e-9 &&
          Math.abs(entry.rmse - (expected[index]?.rmse ?? 0)) < 1e-9,
      );
    }

    const { notebook } = readNotebook(await bed.objects.read(result.outputKey));
    const data = codeCells(notebook).flatMap((cell) =>
      cell.outputs.flatMap((output) => ('data' in output ? [output.data] : [])),
    );
    const svg = String(data.find((bundle) => 'image/svg+xml' in bundle)?.['image/svg+xml']);
    assert.equal(svg.match(/<rect /g)?.length, expected.length);
    assert.match(String(data.find((bundle) => 'text/html' in bundle)?.['text/html']), /model m &lt;1&gt;/);
  });

  it('refuses data that is not sane', async () => {
    const header = 'userId,movieId,rating,prediction\n';
    const cases: readonly [predictions: string, says: RegExp][] = [
      ['userId,movieId,rating\n1,1,4\n', /must begin with/],
      [header, /holds no ratings/],
      [`${header}1,1,9,4\n`, /rating "9" is not between/],
      [`${header}1,1,4,\n`, /prediction "" is not a number/],
      [`${header}1,1,4\n`, /4 fields expected, 3 found/],
      [`${header}1,999999999,4,4\n`, /1 of 1 ratings are of movies/],
    ];
    await using bed = await createKindBed();
    await bed.put('datasets/movies.csv', 'movieId,title,genres\n1,"A, ""B"" (1995)",Drama|Comedy\n');
    const refuse = async ([predictions, says]: (typeof cases)[number], index: number) => {
      const key = `models/${index}/predictions.csv`;
      await bed.put(key, predictions);
      const run = bed.run({
        notebook: 'shipped/offline-metrics',
        inputs: [
          { key, as: 'predictions.csv' },
          { key: 'datasets/movies.csv', as: 'movies.csv' },
        ],
      });
      const error = await rejectsWith(run, Code.FAILED_PRECONDITION, 'NOTEBOOK_FAILED');
      assert.match(error.message, says);
    };
    // Three at a time: a kernel waits as often as it works while it starts.
    for (const at of [0, 3]) await Promise.all(cases.slice(at, at + 3).map((given, i) => refuse(given, at + i)));
  });

  it('refuses a metric that it does not know before it starts', async () => {
    await using bed = await createKindBed();
    const run = bed.run({ notebook: 'shipped/offline-metrics', parameters: { metric: 'ndcg' } });
    await rejectsWith(run, Code.INVALID_ARGUMENT, 'NOTEBOOK_PARAMETERS_INVALID');
  });
});
