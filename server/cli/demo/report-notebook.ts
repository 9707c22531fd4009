import type { Model } from '../../../proto/gen/showrunner/ranking/v1/ranking_pb.ts';
import type { ObjectStore } from '../../stores/objects/object-store.ts';
import type { ProgressOutput } from '../terminal/progress-bar.ts';
import type { DemoClients } from './demo-clients.ts';
import { watchJob } from './watch-job.ts';

/** Runs the shipped offline-metrics notebook on the model's held-out predictions; gives the output notebook's path. */
export async function runReport(
  clients: DemoClients,
  objects: ObjectStore,
  model: Model,
  moviesCsv: string,
  output: ProgressOutput,
) {
  const moviesKey = 'sources/movielens-movies.csv';
  await objects.putFile(moviesKey, moviesCsv, { contentType: 'text/csv' });
  const { job } = await clients.jobs.createJob({
    job: {
      kind: 'notebook',
      params: {
        notebook: 'shipped/offline-metrics',
        inputs: [
          { key: model.objectKeys['predictions'] ?? '', as: 'predictions.csv' },
          { key: moviesKey, as: 'movies.csv' },
        ],
        parameters: { modelVersion: model.name, metric: 'rmse', minRatings: 200 },
      },
    },
  });
  const done = await watchJob(clients, job?.name ?? '', 'notebook', output);
  const { outputKey, scraps } = done.result as { outputKey: string; scraps: Record<string, unknown> };
  const rmse = Number(scraps['overall_rmse']).toFixed(4);
  const genres = Object.keys((scraps['by_genre'] ?? {}) as object).length;
  return {
    value: await objects.localPath(outputKey),
    outcome: `RMSE ${rmse} overall, ${genres} genres plotted`,
  };
}
