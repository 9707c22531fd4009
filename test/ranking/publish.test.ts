import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { type Logger, silentLogger } from '../../server/core/log.ts';
import type { Ranking } from '../../server/ranking/ranking.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { openRankingStores, pageRequest, type RankingStores } from './fixtures/ranking-fixture.ts';

describe('publication of models', () => {
  let stores: RankingStores;
  let ranking: Ranking;
  let first: string;
  let second: string;

  before(async () => {
    stores = await openRankingStores();
    ranking = await stores.open();
    const params = { ...(await stores.importMovielens(ranking)), sweeps: 1, factors: 8 };
    first = (await stores.train(params)).modelId;
    second = (await stores.train({ ...params, seed: 2 })).modelId;
  });
  after(() => stores[Symbol.asyncDispose]());

  it('makes the model serve, with versions that grow; publishing it again changes nothing', async () => {
    assert.equal(ranking.published.current(), undefined);
    assert.equal((await ranking.publishModel(first)).version, 1);
    assert.equal(ranking.published.current()?.id, first);
    assert.equal((await ranking.publishModel(first)).version, 1);
    assert.equal((await ranking.publishModel(second)).version, 2);
    assert.equal(ranking.published.current()?.id, second);
  });

  it('rolls back by publishing the older model', async () => {
    assert.equal((await ranking.publishModel(first)).version, 3);
    assert.equal(await ranking.published.versionOf(first), 3);
    assert.equal(await ranking.published.versionOf(second), 2);
    const history = await ranking.publications(10);
    assert.deepEqual(
      history.map(({ version, modelId }) => [version, modelId]),
      [
        [3, first],
        [2, second],
        [1, first],
      ],
    );
  });

  it('survives a restart', async () => {
    const restarted = await stores.open();
    assert.equal(restarted.published.current()?.id, first);
    assert.equal(restarted.published.current()?.publishVersion, 3);
    assert.equal((await restarted.publishModel(first)).version, 3);
  });

  it('ends a call with the model it began with', async () => {
    const { promise: scored, resolve: letGo } = Promise.withResolvers<void>();
    const { promise: began, resolve: hasBegun } = Promise.withResolvers<void>();
    const slow = await stores.open({
      scorer: async (model) => {
        hasBegun();
        await scored;
        return new Float32Array(model.ranker.titles.ids.length).fill(1);
      },
    });
    const running = slow.recommend(pageRequest('1', { budgetMs: 60_000 }));
    await began;
    await slow.publishModel(second);
    letGo();
    assert.equal((await running).modelId, first);
    assert.equal((await slow.recommend(pageRequest('1'))).modelId, second);
  });

  it('gives every publication a version of its own when several servers publish at once', async () => {
    const [a, b] = await Promise.all([stores.open(), stores.open()]);
    const [x, y] = await Promise.all([a.publishModel(first), b.publishModel(second), a.publishModel(second)]);
    assert.notEqual(x.version, y.version);
    const versions = (await a.publications(100)).map(({ version }) => version);
    assert.equal(new Set(versions).size, versions.length);
  });

  it('publishes a trained model once per job, so that a repeated report does not undo a rollback', async () => {
    await ranking.onTrained('jobs/a', { modelId: second, publish: true });
    assert.equal(ranking.published.current()?.id, second);
    await ranking.publishModel(first);
    await ranking.onTrained('jobs/a', { modelId: second, publish: true });
    await ranking.onTrained('jobs/b', { modelId: second, publish: false });
    assert.equal(ranking.published.current()?.id, first);
    await rejectsWith(ranking.onTrained('jobs/c', { modelId: '../x' }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    await rejectsWith(ranking.onTrained('jobs/c', null), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
  });

  it('refuses a model that does not exist', async () => {
    await rejectsWith(ranking.publishModel('f'.repeat(32)), Code.NOT_FOUND, 'MODEL_NOT_FOUND');
  });

  it('keeps the old model when the new one is damaged, and starts with the one before', async () => {
    await ranking.publishModel(second);
    await ranking.publishModel(first);
    const key = `models/${first}/model.bin`;
    const good = await stores.objects.read(key);
    const bad = Uint8Array.from(good);
    bad[bad.length - 100] = (bad[bad.length - 100] ?? 0) ^ 1;
    await stores.objects.put(key, bad);
    const lines: string[] = [];
    const log: Logger = { ...silentLogger, error: (message) => void lines.push(message) };
    const restarted = await stores.open({ log });
    assert.equal(restarted.published.current()?.id, second);
    assert.deepEqual(lines, ['published model cannot be loaded']);
    const error = await restarted.publishModel(first).catch((thrown: unknown) => thrown);
    assert.ok(error instanceof AppError && error.reason === 'RANKING_FILE_DAMAGED');
    assert.equal(restarted.published.current()?.id, second);
    await stores.objects.put(key, good);
    await restarted.publishModel(first);
    assert.equal(restarted.published.current()?.id, first);
  });
});
