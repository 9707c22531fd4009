import type { ProgressOutput } from '../terminal/progress-bar.ts';
import type { DemoClients } from './demo-clients.ts';
import { watchJob } from './watch-job.ts';

/** Trains bias and iALS models on the data set and publishes them; gives the model that now serves. */
export async function trainModel(clients: DemoClients, dataset: string, output: ProgressOutput) {
  const { ranking } = clients;
  const { job } = await ranking.trainModel({
    dataset,
    publish: true,
    requestId: `demo-train-${dataset.split('/').at(-1)}`,
  });
  await watchJob(clients, job, 'train', output);
  const { models } = await ranking.listModels({});
  const model = models.find(({ published }) => published);
  if (!model) throw new Error('the training published no model');
  const metric = (name: string) => model.metrics[name]?.toFixed(4) ?? '?';
  return {
    value: model,
    outcome: `held-out RMSE ${metric('rmse')}, NDCG@10 ${metric('ndcg_at_10')} (popularity ${metric('popularity_ndcg_at_10')})`,
  };
}
