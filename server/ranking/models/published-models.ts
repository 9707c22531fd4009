import { createHash } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import { createTurns } from '../../core/turns.ts';
import type { ObjectStore } from '../../stores/objects/object-store.ts';
import type { RecordsStore } from '../../stores/records/records-store.ts';
import type { RankingCounters } from '../counters.ts';
import { decodeJson, encodeJson } from '../data/json.ts';
import { fileDamaged, publishConflict } from '../errors.ts';
import { isConflict } from '../timed-records.ts';
import { modelKey } from './model-commit.ts';
import { decodeModel } from './model-file.ts';
import type { ModelRecord, ModelRegistry } from './model-registry.ts';
import { createServingModel, type ServingModel } from './serving-model.ts';

/** One publication; versions grow by one over all models. */
export interface Publication {
  readonly version: number;
  /** Bare id. */
  readonly modelId: string;
  readonly publishedMs: number;
}

/** The serving model and the record of all publications. */
export interface PublishedModels {
  /** The serving model; a call keeps the one it began with. Undefined before the first publication. */
  current(): ServingModel | undefined;
  /**
   * Loads and checks the model, records the publication, then swaps: on any failure the old model stays.
   * Publishing the serving model again changes nothing. MODEL_NOT_FOUND, RANKING_FILE_DAMAGED, PUBLISH_CONFLICT.
   */
  publish(modelId: string): Promise<Publication>;
  /** Version of the model's newest publication, 0 when it was never published. */
  versionOf(modelId: string): Promise<number>;
  /** Publications, newest first. */
  history(limit: number): Promise<Publication[]>;
}

/** What publication is built on. */
export interface PublishedModelsDeps {
  readonly records: RecordsStore;
  readonly objects: ObjectStore;
  readonly registry: ModelRegistry;
  readonly clock: Clock;
  readonly log: Logger;
  readonly counters: RankingCounters;
}

const partition = 'ranking/publications';
const versionsPartition = 'ranking/publications/by-model';
const mostModelBytes = 2 ** 31;
const attempts = 5;
/** Publications tried at start when the newest cannot be loaded. */
const mostFallbacks = 5;

/** Opens the model that served last; one that cannot be loaded is logged and the publication before it is tried. */
export async function openPublishedModels(deps: PublishedModelsDeps): Promise<PublishedModels> {
  const { records, registry, clock, log } = deps;
  let serving: ServingModel | undefined;
  const inTurn = createTurns();

  const history = async (limit: number) => {
    const rows = await records.scan(partition, { reverse: true, limit });
    return rows.map((row) => decodeJson<Publication>(row.value));
  };
  const publish = async (modelId: string): Promise<Publication> => {
    const record = await registry.get(modelId);
    for (let attempt = 0; attempt < attempts; attempt++) {
      const [newest] = await history(1);
      const isNewest = newest?.modelId === modelId;
      if (isNewest && serving?.publishVersion === newest.version) return newest;
      const publication = isNewest
        ? newest
        : { version: (newest?.version ?? 0) + 1, modelId, publishedMs: Math.floor(clock.now()) };
      const model = await loadModel(deps, record, publication.version);
      if (isNewest || (await recordPublication(records, publication))) {
        serving = model;
        log.info('model published', { model_id: modelId, publish_version: publication.version });
        return publication;
      }
    }
    throw publishConflict(`models/${modelId}`);
  };

  for (const publication of await history(mostFallbacks)) {
    try {
      serving = await loadModel(deps, await registry.get(publication.modelId), publication.version);
      break;
    } catch (error) {
      log.error('published model cannot be loaded', { model_id: publication.modelId, error: messageOf(error) });
    }
  }
  return {
    current: () => serving,
    // One at a time: two publications at once would load two models and race for the swap.
    publish: (modelId) => inTurn('publish', () => publish(modelId)),
    versionOf: async (modelId) => {
      const row = await records.get(versionsPartition, modelId);
      return row === undefined ? 0 : decodeJson<Publication>(row.value).version;
    },
    history,
  };
}

/** False when another publication took the version. */
async function recordPublication(records: RecordsStore, publication: Publication): Promise<boolean> {
  const value = encodeJson({ ...publication });
  const key = String(publication.version).padStart(12, '0');
  try {
    await records.batch([
      { kind: 'put', partition, key, value, ifVersion: 'absent' },
      { kind: 'put', partition: versionsPartition, key: publication.modelId, value },
    ]);
    return true;
  } catch (error) {
    if (isConflict(error)) return false;
    throw error;
  }
}

async function loadModel(
  { objects, counters }: PublishedModelsDeps,
  record: ModelRecord,
  publishVersion: number,
): Promise<ServingModel> {
  const key = modelKey(record.id, 'model');
  const bytes = await objects.read(key, { maxBytes: mostModelBytes });
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (sha256 !== record.commit.sha256.model) throw fileDamaged(key, 'its SHA-256 is not that of the commit record');
  return createServingModel(record.id, decodeModel(bytes, key), { publishVersion, createdMs: record.createdMs }, () =>
    counters.add('content_vectors_evicted'),
  );
}
