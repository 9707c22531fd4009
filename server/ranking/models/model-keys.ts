import type { Json } from '../data/json.ts';

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
