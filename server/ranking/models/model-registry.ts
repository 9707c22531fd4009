import type { ObjectStore } from '../../stores/objects/object-store.ts';
import type { RecordsStore } from '../../stores/records/records-store.ts';
import { modelNotFound } from '../errors.ts';
import { createTimedRecords } from '../timed-records.ts';
import { type ModelCommit, modelKey, readCommit } from './model-commit.ts';

/** A trained model as its record tells. */
export type ModelRecord = {
  /** Bare id. */
  readonly id: string;
  readonly commit: ModelCommit;
  /** When the commit record was stored, Unix ms. */
  readonly createdMs: number;
};

/** The models that were trained. A commit record in the object store makes a model exist; records list them by time. */
export interface ModelRegistry {
  /** Takes a model that a job has stored; idempotent. MODEL_NOT_FOUND without a commit record. */
  register(id: string): Promise<ModelRecord>;
  /** As `register`: a model that nobody registered yet is found by its commit record. */
  get(id: string): Promise<ModelRecord>;
  list(limit: number, cursor?: string): Promise<{ items: ModelRecord[]; next: string | undefined }>;
}

/** A registry over the stores; it keeps nothing in memory. */
export function createModelRegistry(records: RecordsStore, objects: ObjectStore): ModelRegistry {
  const stored = createTimedRecords<ModelRecord>(records, 'ranking/models');
  const register = async (id: string): Promise<ModelRecord> => {
    const known = await stored.find(id);
    if (known !== undefined) return known;
    const commit = await readCommit(objects, id);
    const info = await objects.stat(modelKey(id, 'commit'));
    if (commit === undefined || info === undefined) throw modelNotFound(`models/${id}`);
    const record = { id, commit, createdMs: Math.floor(info.modifiedMs) };
    await stored.add(id, record.createdMs, record);
    return record;
  };
  return { register, get: register, list: stored.list };
}
