import assert from 'node:assert/strict';
import { durationFromMs, timestampFromMs } from '@bufbuild/protobuf/wkt';
import { Tier } from '../../proto/gen/showrunner/ranking/v1/ranking_pb.ts';
import { RankingService } from '../../proto/gen/showrunner/ranking/v1/ranking_service_pb.ts';
import { systemClock } from '../../server/core/clock.ts';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { silentLogger } from '../../server/core/log.ts';
import type { Ranking } from '../../server/ranking/ranking.ts';
import type { TrainJobParams, TrainOptions } from '../../server/ranking/trainer.ts';
import { createRpcClient, type RpcClient } from '../../server/rpc/client.ts';
import { type RpcServer, startRpcServer } from '../../server/rpc/server.ts';
import { parseTrainParams } from '../../workers/train/train-params.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { startServices } from '../support/start-services.ts';
import { waitUntil } from '../support/wait-until.ts';
import { movielens } from './fixtures/movielens.ts';
import { openRankingStores, type RankingStores } from './fixtures/ranking-fixture.ts';

describe('RankingService', () => {
  let stores: RankingStores;
  let ranking: Ranking;
  let server: RpcServer;
  let client: RpcClient<typeof RankingService>;
  const started: ({ params: TrainJobParams } & TrainOptions)[] = [];

  before(async () => {
    stores = await openRankingStores();
    ranking = await stores.open({
      trainer: {
        start: async (params, options) => {
          started.push({ params, ...options });
          return 'jobs/job-1';
        },
      },
    });
    server = await startRpcServer({
      address: '127.0.0.1:0',
      services: [ranking.service],
      pipeline: {
        open: (call) => {
          call.principal = { id: 'key:studio', scopes: new Set(), method: 'api_key' };
          return undefined;
        },
      },
      log: silentLogger,
      clock: systemClock,
      maxMessageBytes: 4_194_304,
      maxMetadataBytes: 16_384,
      drainTimeoutMs: 2_000,
      reflection: false,
      health: false,
    });
    client = createRpcClient(RankingService, { address: server.address });
  });
  after(async () => {
    client.close();
    await server.close();
    await stores[Symbol.asyncDispose]();
  });

  const ratings = (from: number, to: number) => {
    const table = movielens();
    return Array.from({ length: to - from }, (_, at) => ({
      profile: `profiles/${table.profiles.ids[table.profile[from + at] ?? 0]}`,
      title: `titles/${table.titles.ids[table.title[from + at] ?? 0]}`,
      value: table.value[from + at] ?? 0,
      time: timestampFromMs(table.timeMs[from + at] ?? 0),
    }));
  };
  const titles = [{ title: 'titles/1', displayName: 'Toy Story (1995)', genres: ['Animation'] }];
  async function* batches(...messages: object[]) {
    yield* messages;
  }

  it('imports a stream of ratings and titles once, however it is cut into messages', async () => {
    const first = await client.importDataset(
      batches({ ratings: ratings(0, 6_000), titles }, { ratings: ratings(6_000, 10_000) }),
    );
    assert.equal(first.existed, false);
    assert.equal(first.dataset?.ratingCount, 10_000n);
    assert.match(first.dataset?.name ?? '', /^datasets\/[0-9a-f]{32}$/);
    const again = await client.importDataset(batches({ ratings: ratings(0, 10_000) }, { titles }));
    assert.equal(again.existed, true);
    assert.deepEqual(again.dataset, first.dataset);
    const { dataset } = await client.getDataset({ name: first.dataset?.name ?? '' });
    assert.deepEqual(dataset, first.dataset);
  });

  it('lists data sets newest first, page by page', async () => {
    await client.importDataset(batches({ ratings: ratings(0, 50) }));
    const { datasets, nextPageToken } = await client.listDatasets({ pageSize: 1 });
    assert.equal(datasets[0]?.ratingCount, 50n);
    const rest = await client.listDatasets({ pageSize: 1, pageToken: nextPageToken });
    assert.equal(rest.datasets[0]?.ratingCount, 10_000n);
    assert.equal(rest.nextPageToken, '');
    await rejectsWith(client.listDatasets({ pageSize: -1 }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    await rejectsWith(client.listModels({ pageToken: nextPageToken }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
  });

  it('stores nothing of an import that has a fault, and names the fields', async () => {
    const time = timestampFromMs(1_000);
    const faulty = {
      ratings: [
        { profile: 'profiles/1', title: 'titles/1', value: 4, time },
        { profile: 'profiles/1', title: 'titles/2', value: 4.2, time },
        { profile: 'profiles/1', title: 'titles/3', value: 4 },
      ],
      titles: [{ title: '', displayName: 'x' }],
    };
    const error = await rejectsWith(
      client.importDataset(batches({ ratings: ratings(0, 9) }, faulty)),
      Code.INVALID_ARGUMENT,
      'INVALID_FIELDS',
    );
    assert.deepEqual(
      error.fields.map(({ field }) => field),
      ['ratings[1]', 'ratings[2]', 'titles[0]'],
    );
    assert.match(error.fields[0]?.description ?? '', /^message 2: expected a rating from 0.5 to 5/);
    await rejectsWith(client.importDataset(batches({ titles })), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    const tooMany = Array.from({ length: 10_001 }, () => ({ profile: '1', title: '1', value: 4, time }));
    await rejectsWith(client.importDataset(batches({ ratings: tooMany })), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    assert.equal((await client.listDatasets({})).datasets.length, 2);
  });

  it('starts training with defaults for zero fields, and refuses faulty ones', async () => {
    const { datasets } = await client.listDatasets({});
    const dataset = datasets[1]?.name ?? '';
    const answer = await client.trainModel({ dataset, factors: 8, sweeps: 2, publish: true, requestId: 'r-1' });
    assert.equal(answer.job, 'jobs/job-1');
    const [job] = started;
    // The job is the caller's: so are its request ids, its turns and its limits.
    assert.deepEqual([job?.requestId, job?.owner], ['r-1', 'key:studio']);
    assert.deepEqual(parseTrainParams({ ...job?.params }).settings, {
      factors: 8,
      sweeps: 2,
      regularization: 0.01,
      unobservedWeight: 0.1,
      seed: 0,
      holdout: 'time',
    });
    const error = await rejectsWith(
      client.trainModel({
        dataset,
        factors: 9,
        sweeps: 101,
        regularization: -1,
        unobservedWeight: 11,
        requestId: 'x'.repeat(129),
      }),
      Code.INVALID_ARGUMENT,
      'INVALID_FIELDS',
    );
    assert.equal(error.fields.length, 5);
    await rejectsWith(
      client.trainModel({ dataset: `datasets/${'0'.repeat(32)}` }),
      Code.NOT_FOUND,
      'DATASET_NOT_FOUND',
    );
    await rejectsWith(client.trainModel({ dataset: 'x' }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
  });

  it('shows, lists and publishes the trained model', async () => {
    const [job] = started;
    assert.ok(job);
    const result = await stores.train({ ...job.params });
    const name = `models/${result.modelId}`;
    const before = await client.getModel({ name });
    assert.equal(before.model?.published, false);
    assert.equal(before.model?.publishVersion, 0n);
    assert.equal(before.model?.params['factors'], '8');
    assert.equal(before.model?.job, 'jobs/job-1');
    assert.deepEqual(before.model?.metrics, result.metrics);
    await ranking.onTrained('jobs/job-1', result);
    const { models } = await client.listModels({});
    assert.deepEqual(
      models.map(({ name: listed, published, publishVersion }) => [listed, published, publishVersion]),
      [[name, true, 1n]],
    );
    assert.equal((await client.publishModel({ name })).model?.publishVersion, 1n);
    await rejectsWith(client.publishModel({ name: `models/${'0'.repeat(32)}` }), Code.NOT_FOUND, 'MODEL_NOT_FOUND');
    await rejectsWith(client.getModel({ name: 'models/x' }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
  });

  it('recommends with names, rows and where the answer comes from', async () => {
    const { rows, provenance } = await client.recommend({
      profile: 'profiles/1',
      rowCount: 3,
      pageSize: 5,
      explain: true,
    });
    assert.equal(rows[0]?.id, 'top-picks');
    assert.equal(rows[0]?.recommendations.length, 5);
    assert.match(rows[0]?.recommendations[0]?.title?.title ?? '', /^titles\/\d+$/);
    assert.ok((rows[0]?.recommendations[0]?.because.length ?? 0) > 0);
    assert.equal(provenance?.tier, Tier.ONLINE);
    assert.match(provenance?.model ?? '', /^models\//);
    assert.equal(provenance?.publishVersion, 1n);
    assert.equal(provenance?.age?.seconds, 0n);
  });

  it('answers from a lower rung when the caller gives no time', async () => {
    const { provenance } = await client.recommend({ profile: '1', budget: durationFromMs(0) });
    assert.equal(provenance?.tier, Tier.OFFLINE);
    assert.deepEqual(provenance?.skipped, ['ONLINE: DEADLINE', 'NEARLINE: NO_LIST']);
  });

  it('refuses faulty requests for recommendations', async () => {
    const error = await rejectsWith(
      client.recommend({
        profile: 'profiles/',
        genre: 'x'.repeat(65),
        excludeTitles: Array.from({ length: 1_001 }, String),
        budget: durationFromMs(-5),
      }),
      Code.INVALID_ARGUMENT,
      'INVALID_FIELDS',
    );
    assert.deepEqual(
      error.fields.map(({ field }) => field),
      ['profile', 'genre', 'exclude_titles', 'budget'],
    );
    await rejectsWith(client.recommend({ profile: '1', pageSize: -1 }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    await rejectsWith(client.recommend({ profile: '1', rowCount: -1 }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
  });

  it('takes two imports at a time, and another when one of them has gone', async () => {
    const leave = new AbortController();
    const taken = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    async function* slow(index: number) {
      // The second message is asked for once the first has been sent.
      yield { ratings: ratings(index * 100, index * 100 + 100) };
      taken[index]?.resolve();
      await new Promise((resolve) => leave.signal.addEventListener('abort', resolve, { once: true }));
    }
    const held = [0, 1].map((index) => client.importDataset(slow(index), { signal: leave.signal }));
    const ends = held.map((call) => rejectsWith(call, Code.CANCELLED, 'CANCELLED'));
    await Promise.all(taken.map(({ promise }) => promise));
    const third = () => client.importDataset(batches({ ratings: ratings(0, 100) }));
    await waitUntil('a third is refused', async () => {
      const error = await third().then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      return error instanceof AppError && error.reason === 'IMPORTS_BUSY' && error.code === Code.UNAVAILABLE;
    });
    leave.abort();
    await Promise.all(ends);
    const isTaken = () =>
      third().then(
        () => true,
        () => false,
      );
    await waitUntil('it is taken', isTaken);
  });

  it('ends imports that bring nothing for two minutes, and takes others then', async () => {
    const clock = createFakeClock();
    const idle = await stores.open({ clock });
    await using other = await startServices(idle.service);
    using importer = createRpcClient(RankingService, { address: other.address });
    const leave = Promise.withResolvers<void>();
    async function* stalled() {
      yield { ratings: ratings(0, 100) };
      await leave.promise;
    }
    const held = [importer.importDataset(stalled()), importer.importDataset(stalled())];
    const ends = held.map((call) => rejectsWith(call, Code.ABORTED, 'IMPORT_STALLED'));
    const third = () => importer.importDataset(batches({ ratings: ratings(0, 100) }));
    const isBusy = () =>
      third().then(
        () => false,
        (error: unknown) => error instanceof AppError && error.reason === 'IMPORTS_BUSY',
      );
    await waitUntil('both are in progress', isBusy);
    await clock.advance(119_999);
    assert.equal(await isBusy(), true);
    await clock.advance(1);
    await Promise.all(ends);
    leave.resolve();
    await waitUntil('others are taken', async () => !(await isBusy()));
    assert.equal(idle.counters.snapshot().imports_stalled, 2);
    assert.equal(clock.waiting, 0);
  });
});
