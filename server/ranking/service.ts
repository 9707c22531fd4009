import { RankingService } from '../../proto/gen/showrunner/ranking/v1/ranking_service_pb.ts';
import type { Clock } from '../core/clock.ts';
import { readPageSize } from '../rpc/edge/page-size.ts';
import { encodePageToken, readPageToken } from '../rpc/edge/page-token.ts';
import { readResourceName } from '../rpc/edge/resource-name.ts';
import { type ServiceRegistration, serviceOf } from '../rpc/handler.ts';
import type { RankingCounters } from './counters.ts';
import type { DatasetStore } from './datasets/dataset-store.ts';
import { importStalled, importsBusy } from './errors.ts';
import type { ModelRecord, ModelRegistry } from './models/model-registry.ts';
import type { PublishedModels } from './models/published-models.ts';
import { toDataset, toModel, toRecommendResponse } from './ranking-messages.ts';
import { addImportBatch, digestId, readPageRequest, readTrainSettings } from './ranking-requests.ts';
import type { Page, PageRequest } from './serving/page.ts';
import type { Trainer } from './trainer.ts';

/** The domain behind the service. */
export interface RankingServiceDeps {
  readonly datasets: DatasetStore;
  readonly registry: ModelRegistry;
  readonly published: PublishedModels;
  readonly recommend: (request: PageRequest) => Promise<Page>;
  readonly trainer: Trainer;
  readonly clock: Clock;
  readonly counters: RankingCounters;
}

/** An import holds its data set in memory until it is stored, up to about 0.5 GB. */
const mostImports = 2;
/** An import that brings nothing for this long gives its place to others. */
const importIdleMs = 120_000;

const pageSizes = { fallback: 50, most: 500 };

/** showrunner.ranking.v1.RankingService over the domain; see the contract for errors. */
export function createRankingService(deps: RankingServiceDeps): ServiceRegistration {
  const { datasets, registry, published, trainer, clock, counters } = deps;
  let imports = 0;
  const datasetOf = (field: string, name: string) => {
    const [id] = readResourceName(field, name, ['datasets'], digestId);
    return datasets.get(id);
  };
  const modelOf = (name: string) => registry.get(readResourceName('name', name, ['models'], digestId)[0]);
  const present = async (record: ModelRecord) =>
    toModel(record, {
      publishVersion: await published.versionOf(record.id),
      published: published.current()?.id === record.id,
    });

  return serviceOf(RankingService, {
    importDataset: async (requests, context) => {
      if (imports >= mostImports) {
        counters.add('imports_refused');
        throw importsBusy(mostImports);
      }
      imports += 1;
      const stall = () => {
        counters.add('imports_stalled');
        context.stop(importStalled(importIdleMs));
      };
      let settle = clock.schedule(importIdleMs, stall);
      try {
        const target = datasets.openImport();
        let number = 0;
        for await (const request of requests) {
          number += 1;
          settle();
          settle = clock.schedule(importIdleMs, stall);
          addImportBatch(target, request, number);
        }
        settle();
        const { dataset, existed } = await target.finish();
        return { dataset: toDataset(dataset), existed };
      } finally {
        settle();
        imports -= 1;
      }
    },
    getDataset: async ({ name }) => ({ dataset: toDataset(await datasetOf('name', name)) }),
    listDatasets: async ({ pageSize, pageToken }) => {
      const limit = readPageSize(pageSize, pageSizes);
      const { items, next } = await datasets.list(limit, readPageToken('datasets', pageToken));
      return {
        datasets: items.map(toDataset),
        nextPageToken: next === undefined ? '' : encodePageToken('datasets', next),
      };
    },
    trainModel: async (request, { call }) => {
      const settings = readTrainSettings(request);
      const { objectKey, titlesObjectKey } = await datasetOf('dataset', request.dataset);
      const { publish, requestId } = request;
      const params = { datasetKey: objectKey, titlesKey: titlesObjectKey, ...settings, publish };
      return { job: await trainer.start(params, { requestId, owner: call.principal?.id ?? '' }) };
    },
    getModel: async ({ name }) => ({ model: await present(await modelOf(name)) }),
    listModels: async ({ pageSize, pageToken }) => {
      const limit = readPageSize(pageSize, pageSizes);
      const { items, next } = await registry.list(limit, readPageToken('models', pageToken));
      return {
        models: await Promise.all(items.map(present)),
        nextPageToken: next === undefined ? '' : encodePageToken('models', next),
      };
    },
    publishModel: async ({ name }) => {
      const record = await modelOf(name);
      await published.publish(record.id);
      return { model: await present(record) };
    },
    recommend: async (request, { deadline }) =>
      toRecommendResponse(await deps.recommend(readPageRequest(request, deadline - clock.now()))),
  });
}
