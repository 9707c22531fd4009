import type { Clock } from '../core/clock.ts';
import { invalidField } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { ServiceRegistration } from '../rpc/handler.ts';
import type { ObjectStore } from '../stores/objects/object-store.ts';
import type { RecordsStore } from '../stores/records/records-store.ts';
import { createRankingCounters, type RankingCounters } from './counters.ts';
import { type DatasetStore, openDatasetStore } from './datasets/dataset-store.ts';
import { createModelRegistry } from './models/model-registry.ts';
import { openPublishedModels, type Publication, type PublishedModels } from './models/published-models.ts';
import { type AppliedEvent, openNearline } from './nearline/nearline.ts';
import type { PlayEvent } from './nearline/play-event.ts';
import { digestId } from './ranking-requests.ts';
import { createRankingService } from './service.ts';
import type { Page, PageRequest } from './serving/page.ts';
import { createRecommender, type Scorer } from './serving/recommend.ts';
import type { Trainer } from './trainer.ts';

/** What the ranking area is built on. */
export interface RankingDeps {
  readonly records: RecordsStore;
  readonly objects: ObjectStore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly trainer: Trainer;
  /** Another way to score, e.g. a remote one; the ladder bounds its time. Default: in this thread. */
  readonly scorer?: Scorer;
}

/** The ranking area, as the composition root wires it. */
export interface Ranking {
  readonly service: ServiceRegistration;
  /** Takes a play or rating in: when it resolves it is durable, and every later page knows it. */
  onPlayEvent(event: PlayEvent): Promise<AppliedEvent>;
  /**
   * To be called when a `train-ranker` job has succeeded, with its name and result; at least once, any number of
   * times. Lists the model, and publishes it when the job was asked to: once per job, so that a late repetition does
   * not undo a rollback. INVALID_FIELDS when the result is not one.
   */
  onTrained(job: string, result: unknown): Promise<void>;
  /** Makes a model (bare id) the serving one; an older one to roll back. */
  publishModel(modelId: string): Promise<Publication>;
  /** Publications, newest first. */
  publications(limit: number): Promise<Publication[]>;
  recommend(request: PageRequest): Promise<Page>;
  readonly datasets: DatasetStore;
  readonly published: PublishedModels;
  readonly counters: RankingCounters;
}

const trainedPartition = 'ranking/trained-jobs';
const trainedKeptMs = 90 * 86_400_000;

/** Opens the ranking area with the model that served last. Owns nothing that must be closed but its stores. */
export async function createRanking(deps: RankingDeps): Promise<Ranking> {
  const { records, objects, clock, log, trainer, scorer } = deps;
  const counters = createRankingCounters();
  const datasets = await openDatasetStore({ records, objects, clock });
  const registry = createModelRegistry(records, objects);
  const published = await openPublishedModels({ records, objects, registry, clock, log, counters });
  const nearline = await openNearline({ records, clock, counters, currentModel: published.current });
  const recommend = createRecommender({
    currentModel: published.current,
    nearline,
    popular: datasets.popular,
    clock,
    log,
    counters,
    ...(scorer === undefined ? {} : { scorer }),
  });
  return {
    service: createRankingService({ datasets, registry, published, recommend, trainer, clock, counters }),
    onPlayEvent: nearline.onPlayEvent,
    onTrained: async (job, result) => {
      const { modelId, publish } = (result ?? {}) as { modelId?: unknown; publish?: unknown };
      if (typeof modelId !== 'string' || !digestId.test(modelId)) {
        throw invalidField('result.modelId', 'expected the id of a trained model');
      }
      await registry.register(modelId);
      if (publish !== true || (await records.get(trainedPartition, job)) !== undefined) return;
      await published.publish(modelId);
      await records.put(trainedPartition, job, Buffer.from(modelId), { ttlMs: trainedKeptMs });
    },
    publishModel: published.publish,
    publications: published.history,
    recommend,
    datasets,
    published,
    counters,
  };
}
