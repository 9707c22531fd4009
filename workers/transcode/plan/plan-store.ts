import { jsonDigest } from '../../../server/core/canonical-json.ts';
import type { ObjectStore } from '../../../server/stores/objects/object-store.ts';
import { sourceMissing, storedObjectChanged } from '../errors.ts';
import { findJson, putJsonOnce } from '../stored-json.ts';
import type { TranscodePlan } from './plan.ts';

const folder = 'transcode/plans';

/** Stores a plan under its digest, so that child jobs carry a key instead of thousands of frame ranges. */
export async function savePlan(objects: ObjectStore, plan: TranscodePlan, signal: AbortSignal): Promise<string> {
  const key = `${folder}/${jsonDigest(plan)}.json`;
  await putJsonOnce(objects, key, plan, signal);
  return key;
}

/**
 * The plan under a key of savePlan. Its digest is the key, so a changed or foreign document is found out.
 * NOT_FOUND OBJECT_NOT_FOUND, DATA_LOSS CONTENT_MISMATCH.
 */
export async function loadPlan(objects: ObjectStore, key: string, signal: AbortSignal): Promise<TranscodePlan> {
  const plan = await findJson<TranscodePlan>(objects, key, signal);
  if (!plan) throw sourceMissing(key);
  if (key !== `${folder}/${jsonDigest(plan)}.json`) throw storedObjectChanged(key);
  return plan;
}

/** Local path of a plan's source, whose content must still be what the probe saw. Errors as loadPlan. */
export async function sourcePath(objects: ObjectStore, plan: TranscodePlan, signal: AbortSignal): Promise<string> {
  const info = await objects.stat(plan.source.key);
  if (!info) throw sourceMissing(plan.source.key);
  if (info.sha256 !== plan.source.sha256) throw storedObjectChanged(plan.source.key);
  return objects.localPath(plan.source.key, signal);
}
