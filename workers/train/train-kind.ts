import { jsonDigest } from '../../server/core/canonical-json.ts';
import { AppError } from '../../server/core/errors.ts';
import type { Logger } from '../../server/core/log.ts';
import { decodeRatings, decodeTitles } from '../../server/ranking/data/dataset-file.ts';
import { datasetNotFound } from '../../server/ranking/errors.ts';
import { createPacer } from '../../server/ranking/maths/pacer.ts';
import { type ModelCommit, modelKey, readCommit } from '../../server/ranking/models/model-commit.ts';
import { encodeModel } from '../../server/ranking/models/model-file.ts';
import type { ObjectInfo, ObjectStore } from '../../server/stores/objects/object-store.ts';
import type { JobContext, JobKind } from '../queue/job-kind.ts';
import { parseTrainParams, type TrainParams } from './train-params.ts';
import { trainRanker } from './train-ranker.ts';

/** What the job kind is built on. */
export interface TrainKindDeps {
  readonly objects: ObjectStore;
  readonly log: Logger;
}

/** Bump when the same parameters would give other bytes, so that old and new models never share an id. */
const algorithmVersion = 1;
const mostSnapshotBytes = 2 ** 31;
const timeoutMs = 60 * 60_000;

/** Result of a `train-ranker` job. */
export type TrainResult = {
  /** Bare id: `models/{modelId}`. */
  readonly modelId: string;
  readonly dataset: string;
  /** Object keys by role. */
  readonly keys: { readonly model: string; readonly predictions: string; readonly metrics: string };
  readonly metrics: { readonly [name: string]: number };
  /** As asked for: the server publishes the model when the job succeeded. */
  readonly publish: boolean;
};

/**
 * Job kind `train-ranker`: trains biases and iALS on a ratings snapshot and stores the model under `models/<id>/`,
 * its commit record last. The id is a digest of data and settings: a second run finds the commit record, or stores
 * the same bytes again. DATASET_NOT_FOUND for an absent snapshot, DATASET_UNUSABLE for one without positives.
 */
export function createTrainKind({ objects, log }: TrainKindDeps): JobKind<TrainParams, TrainResult> {
  return {
    name: 'train-ranker',
    queueClass: 'train',
    timeoutMs,
    maxRetries: 2,
    parseParams: parseTrainParams,
    run: async (context, params) => {
      const ratings = await snapshot(objects, params.datasetKey);
      const titles = params.titlesKey === '' ? undefined : await snapshot(objects, params.titlesKey);
      const modelId = jsonDigest({
        algorithmVersion,
        ratings: ratings.sha256,
        titles: titles?.sha256 ?? '',
        settings: { ...params.settings },
      }).slice(0, 32);
      const stored = await readCommit(objects, modelId);
      if (stored !== undefined) {
        log.info('model is stored already', { job_id: context.jobId, model_id: modelId });
        return resultOf(stored, params);
      }
      const commit = await trainAndStore({ objects, context, params, modelId, ratings, titles });
      return resultOf(commit, params);
    },
  };
}

interface TrainRun {
  readonly objects: ObjectStore;
  readonly context: JobContext;
  readonly params: TrainParams;
  readonly modelId: string;
  readonly ratings: ObjectInfo;
  readonly titles: ObjectInfo | undefined;
}

async function trainAndStore({ objects, context, params, modelId, ratings, titles }: TrainRun): Promise<ModelCommit> {
  const { signal, clock } = context;
  const report = (fraction: number, stage: string, message: string) =>
    context.progress({ fraction: Math.min(0.97, 0.02 + fraction * 0.95), stage, message });
  context.progress({ fraction: 0, stage: 'load', message: params.datasetKey });
  const read = (info: ObjectInfo) => objects.read(info.key, { maxBytes: mostSnapshotBytes, signal });
  const input = {
    ratings: decodeRatings(await read(ratings), ratings.key),
    titles: titles === undefined ? [] : decodeTitles(await read(titles), titles.key),
    settings: params.settings,
  };
  const trained = await trainRanker(input, createPacer(clock, signal), report);
  context.progress({ fraction: 0.98, stage: 'store', message: `models/${modelId}` });
  const put = async (file: 'model' | 'predictions' | 'metrics', body: Uint8Array, contentType: string) =>
    (await objects.put(modelKey(modelId, file), body, { contentType, signal })).sha256;
  const commit: ModelCommit = {
    modelId,
    dataset: params.datasetKey.split('/').slice(0, 2).join('/'),
    jobId: context.jobId,
    settings: { ...params.settings },
    metrics: trained.metrics,
    sha256: {
      model: await put('model', encodeModel(trained.model), 'application/octet-stream'),
      predictions: await put('predictions', Buffer.from(trained.predictionsCsv), 'text/csv'),
      metrics: await put('metrics', Buffer.from(`${JSON.stringify(trained.metrics, null, 2)}\n`), 'application/json'),
    },
  };
  return storeCommit(objects, commit, signal);
}

/** The first commit record of a model stays; a later run of the same training gets the one that is there. */
async function storeCommit(objects: ObjectStore, commit: ModelCommit, signal: AbortSignal): Promise<ModelCommit> {
  const body = Buffer.from(`${JSON.stringify(commit, null, 2)}\n`);
  try {
    await objects.put(modelKey(commit.modelId, 'commit'), body, {
      contentType: 'application/json',
      ifAbsent: true,
      signal,
    });
    return commit;
  } catch (error) {
    const stored = error instanceof AppError && error.reason === 'OBJECT_EXISTS';
    if (!stored) throw error;
    return (await readCommit(objects, commit.modelId)) ?? commit;
  }
}

async function snapshot(objects: ObjectStore, key: string): Promise<ObjectInfo> {
  const info = await objects.stat(key);
  if (info === undefined) throw datasetNotFound(key);
  return info;
}

function resultOf({ modelId, dataset, metrics }: ModelCommit, params: TrainParams): TrainResult {
  const keys = {
    model: modelKey(modelId, 'model'),
    predictions: modelKey(modelId, 'predictions'),
    metrics: modelKey(modelId, 'metrics'),
  };
  return { modelId, dataset, keys, metrics, publish: params.publish };
}
