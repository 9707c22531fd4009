import { AppError } from '../../core/errors.ts';
import type { ObjectStore } from '../../stores/objects/object-store.ts';
import { decodeJson, type Json } from '../data/json.ts';
import { fileDamaged } from '../errors.ts';

/** Roles of a model's files; the commit record is written last and makes the model exist. */
export type ModelFile = 'model' | 'predictions' | 'metrics' | 'commit';

const fileNames: Record<ModelFile, string> = {
  model: 'model.bin',
  predictions: 'predictions.csv',
  metrics: 'metrics.json',
  commit: 'commit.json',
};

/** Object key of a model's file; `modelId` is the bare id. */
export function modelKey(modelId: string, file: ModelFile): string {
  return `models/${modelId}/${fileNames[file]}`;
}

/** Commit record of a model, `models/<id>/commit.json`. */
export interface ModelCommit {
  readonly modelId: string;
  /** `datasets/{dataset}`. */
  readonly dataset: string;
  /** Bare id of the job whose run stored it first. */
  readonly jobId: string;
  readonly settings: { readonly [key: string]: Json };
  readonly metrics: { readonly [name: string]: number };
  /** Lower-case hex SHA-256 by role. */
  readonly sha256: { readonly model: string; readonly predictions: string; readonly metrics: string };
}

/** The commit record of a model, undefined when there is none; RANKING_FILE_DAMAGED when it cannot be read. */
export async function readCommit(objects: ObjectStore, modelId: string): Promise<ModelCommit | undefined> {
  const key = modelKey(modelId, 'commit');
  let bytes: Uint8Array;
  try {
    bytes = await objects.read(key);
  } catch (error) {
    if (error instanceof AppError && error.reason === 'OBJECT_NOT_FOUND') return undefined;
    throw error;
  }
  try {
    const commit = decodeJson<ModelCommit>(bytes);
    if (commit.modelId !== modelId) throw new Error(`is of model "${commit.modelId}"`);
    return commit;
  } catch (cause) {
    throw fileDamaged(key, 'is not the commit record of this model', cause);
  }
}
