import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import { silentLogger } from '../../server/core/log.ts';
import { decodeModel } from '../../server/ranking/models/model-file.ts';
import type { JobProgress, Json } from '../../workers/queue/job-kind.ts';
import { createTrainKind, type TrainResult } from '../../workers/train/train-kind.ts';
import { parseTrainParams } from '../../workers/train/train-params.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createJobContext } from './fixtures/job-context.ts';
import { openRankingStores, type RankingStores } from './fixtures/ranking-fixture.ts';

describe('train-ranker', () => {
  let stores: RankingStores;
  let params: { [key: string]: Json };
  let result: TrainResult;
  const context = createJobContext();

  const text = async (key: string) => Buffer.from(await stores.objects.read(key)).toString('utf8');
  const run = (given: Json, at = createJobContext()) => {
    const kind = createTrainKind({ objects: stores.objects, log: silentLogger });
    return kind.run(at, kind.parseParams(given));
  };

  before(async () => {
    stores = await openRankingStores();
    params = { ...(await stores.importMovielens(await stores.open())), holdout: 'fold' };
    result = await run(params, context);
  });
  after(() => stores[Symbol.asyncDispose]());

  it('stores model, predictions and metrics, and the commit record last', async () => {
    assert.deepEqual(Object.keys(result.keys), ['model', 'predictions', 'metrics']);
    const listed = await stores.objects.list(`models/${result.modelId}/`);
    assert.equal(listed.length, 4);
    const commit = listed.find(({ key }) => key.endsWith('/commit.json'));
    assert.ok(listed.every(({ modifiedMs }) => modifiedMs <= (commit?.modifiedMs ?? 0)));
    assert.deepEqual(JSON.parse(await text(result.keys.metrics)), result.metrics);
    assert.equal(result.publish, false);
  });

  it('writes the held-out rows with predictions whose error is the published one of the fold', async () => {
    const [header, ...lines] = (await text(result.keys.predictions)).trimEnd().split('\n');
    assert.equal(header, 'userId,movieId,rating,prediction');
    assert.equal(lines.length, 20_201);
    assert.equal(result.metrics['held_out_ratings'], 20_201);
    let squares = 0;
    for (const line of lines) {
      const [, , rating = 0, prediction = 0] = line.split(',').map(Number);
      squares += (rating - prediction) ** 2;
    }
    const rmse = Math.sqrt(squares / lines.length);
    assert.ok(Math.abs(rmse - 0.8727) < 0.0005, `RMSE ${rmse}`);
    assert.ok(Math.abs(rmse - (result.metrics['rmse'] ?? 0)) < 1e-5);
  });

  it('measures that the personal ranking beats popularity', () => {
    const {
      ndcg_at_10: personal = 0,
      served_ndcg_at_10: served = 0,
      popularity_ndcg_at_10: popular = 1,
    } = result.metrics;
    assert.ok(personal > popular * 1.2, `${personal} against ${popular}`);
    assert.ok(served > popular * 1.2, `${served} against ${popular}`);
  });

  it('reports progress that never goes back', () => {
    const fractions = context.reports.map(({ fraction }) => fraction);
    assert.deepEqual(
      fractions,
      fractions.toSorted((a, b) => a - b),
    );
    assert.deepEqual(
      [...new Set(context.reports.map(({ stage }) => stage))],
      ['load', 'measure', 'train', 'precompute', 'store'],
    );
    assert.ok(fractions.every((fraction) => fraction >= 0 && fraction <= 1));
  });

  it('makes a model file that maps back with lists of unseen titles', async () => {
    const model = decodeModel(await stores.objects.read(result.keys.model), 'model');
    assert.equal(model.settings.factors, 16);
    assert.equal(model.titleFactors.length, 9_724 * 16);
    assert.equal(model.catalogue[0]?.name, 'Toy Story (1995)');
    assert.equal(model.history.columns.length, 100_836);
    const end = model.lists.offsets[1] ?? 0;
    assert.equal(end, 100);
    const rated = new Set(model.history.columns.subarray(0, model.history.offsets[1]));
    assert.ok(model.lists.columns.subarray(0, end).every((title) => !rated.has(title)));
    const scores = [...model.listScores.subarray(0, end)];
    assert.deepEqual(
      scores,
      scores.toSorted((a, b) => b - a),
    );
  });

  it('gives the same bytes when it runs again, and none of it is done twice once committed', async () => {
    const before = await stores.objects.list(`models/${result.modelId}/`);
    const again = createJobContext();
    assert.deepEqual(await run(params, again), result);
    assert.deepEqual(again.reports, []);
    // As after a worker that died before its commit.
    await stores.objects.delete(`models/${result.modelId}/commit.json`);
    assert.deepEqual(await run(params), result);
    const sums = (infos: typeof before) => infos.map(({ key, sha256 }) => `${key} ${sha256}`);
    assert.deepEqual(sums(await stores.objects.list(`models/${result.modelId}/`)), sums(before));
  });

  it('gives another model for another seed', async () => {
    const other = await run({ ...params, seed: 2, sweeps: 1 });
    assert.notEqual(other.modelId, result.modelId);
  });

  for (const stage of ['load', 'measure', 'train']) {
    it(`stops when it is cancelled in stage ${stage} and leaves no commit record`, async () => {
      const controller = new AbortController();
      const context = createJobContext({ signal: controller.signal });
      const progress = (report: JobProgress) => report.stage === stage && controller.abort(new Error('cancelled'));
      await assert.rejects(run({ ...params, seed: 3 }, { ...context, progress }));
      const keys = (await stores.objects.list('models/', { limit: 1_000 })).map(({ key }) => key);
      assert.equal(keys.filter((key) => key.endsWith('commit.json')).length, 2);
    });
  }

  it('refuses a data set that is absent, or that has nothing positive in it', async () => {
    const absent = { ...params, datasetKey: `datasets/${'0'.repeat(32)}/ratings.bin` };
    await rejectsWith(run(absent), Code.NOT_FOUND, 'DATASET_NOT_FOUND');
    const target = (await stores.open()).datasets.openImport();
    target.addRating({ profile: 'u', title: 't', value: 3.5, timeMs: 1 });
    const { dataset } = await target.finish();
    await rejectsWith(run({ datasetKey: dataset.objectKey }), Code.FAILED_PRECONDITION, 'DATASET_UNUSABLE');
  });

  it('trains on a single positive rating without measuring what cannot be measured', async () => {
    const target = (await stores.open()).datasets.openImport();
    target.addRating({ profile: 'u', title: 't', value: 5, timeMs: 1 });
    const { dataset } = await target.finish();
    const { metrics } = await run({ datasetKey: dataset.objectKey, factors: 8, sweeps: 1 });
    assert.equal(metrics['held_out_ratings'], 1);
    assert.ok(Object.values(metrics).every(Number.isFinite));
  });

  it('names every faulty parameter', () => {
    const faulty = {
      datasetKey: '../etc',
      titlesKey: 7,
      factors: 10,
      sweeps: 0,
      seed: -1,
      regularization: 'x',
      unobservedWeight: 0,
      holdout: 'all',
      publish: 1,
      factor: 3,
    };
    assert.throws(
      () => parseTrainParams(faulty),
      (error: { fields?: { field: string }[] }) => {
        assert.deepEqual(
          error.fields?.map(({ field }) => field).sort(),
          Object.keys(faulty)
            .map((name) => `params.${name}`)
            .sort(),
        );
        return true;
      },
    );
    assert.throws(() => parseTrainParams(null), { reason: 'INVALID_FIELDS' });
  });
});
