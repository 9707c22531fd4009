import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock as clock } from '../../server/core/clock.ts';
import { silentLogger as log } from '../../server/core/log.ts';
import { createRanking, type Ranking } from '../../server/ranking/ranking.ts';
import type { PageRequest } from '../../server/ranking/serving/page.ts';
import { openFolderObjects } from '../../server/stores/objects/folder-objects.ts';
import { openSqliteRecords } from '../../server/stores/records/sqlite-records.ts';
import { createTrainKind } from '../../workers/train/train-kind.ts';
import type { BenchRow } from '../report.ts';
import { percentile } from '../statistics.ts';
import { movielensFolder } from './movielens.ts';

const calls = 3_000;
const warmUpCalls = 300;
const events = 200;

/** In-process times of recommendations and nearline updates over embedded stores, model of 64 factors. */
export async function servingRows(): Promise<BenchRow[]> {
  const folder = await mkdtemp(join(tmpdir(), 'showrunner-bench-'));
  const records = await openSqliteRecords({ path: join(folder, 'records.db'), clock, log });
  const objects = await openFolderObjects({ dir: join(folder, 'objects'), clock, log });
  try {
    const trainer = { start: () => Promise.reject(new Error('no jobs in this bench')) };
    const ranking = await createRanking({ records, objects, clock, log, trainer });
    const { dataset } = await ranking.datasets.importFiles({
      ratings: join(movielensFolder, 'ratings.csv'),
      titles: join(movielensFolder, 'movies.csv'),
    });
    const kind = createTrainKind({ objects, log });
    const params = kind.parseParams({ datasetKey: dataset.objectKey, titlesKey: dataset.titlesObjectKey });
    const started = performance.now();
    const { modelId } = await kind.run(jobContext, params);
    const trainMs = performance.now() - started;
    await ranking.publishModel(modelId);
    return [
      { measure: 'train-ranker job, ml-latest-small, 64 factors', ours: trainMs / 1000, unit: 's' },
      ...(await recommendRows(ranking, 'top 20', {})),
      ...(await recommendRows(ranking, '10 rows of 20, explained', { rowCount: 10, explain: true })),
      ...(await nearlineRows(ranking)),
    ];
  } finally {
    await objects.close();
    await records.close();
    await rm(folder, { recursive: true, force: true });
  }
}

const jobContext = {
  jobId: 'bench',
  attempt: 1,
  fence: 1n,
  signal: new AbortController().signal,
  log,
  clock,
  workDir: tmpdir(),
  progress: () => {},
  step: <T>(_name: string, work: () => Promise<T>) => work(),
  children: () => Promise.reject(new Error('no children in this bench')),
};

async function recommendRows(ranking: Ranking, what: string, options: Partial<PageRequest>): Promise<BenchRow[]> {
  const request = { pageSize: 20, rowCount: 1, genre: '', exclude: new Set<string>(), explain: false, budgetMs: 50 };
  const times: number[] = [];
  let online = 0;
  for (let call = -warmUpCalls; call < calls; call++) {
    const profile = String(1 + (((call + calls) * 7) % 610));
    const started = performance.now();
    const { tier } = await ranking.recommend({ ...request, ...options, profile });
    if (call < 0) continue;
    times.push(performance.now() - started);
    if (tier === 'online') online += 1;
  }
  const p99 = percentile(times, 0.99);
  return [
    { measure: `recommend ${what}: p50`, ours: percentile(times, 0.5), unit: 'ms' },
    { measure: `recommend ${what}: p99`, ours: p99, unit: 'ms', goal: '<= 10 ms', reached: p99 <= 10 },
    { measure: `recommend ${what}: answered online`, ours: (100 * online) / calls, unit: '%' },
  ];
}

async function nearlineRows(ranking: Ranking): Promise<BenchRow[]> {
  const times: number[] = [];
  for (let at = 0; at < events; at++) {
    const started = performance.now();
    await ranking.onPlayEvent({
      id: `e${at}`,
      profile: String(1 + (at % 50)),
      title: String(1 + at),
      timeMs: 1e12 + at,
    });
    times.push(performance.now() - started);
  }
  return [{ measure: 'play event until durable and folded in: p50', ours: percentile(times, 0.5), unit: 'ms' }];
}
