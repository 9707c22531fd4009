import { canonicalJson } from '../../server/core/canonical-json.ts';
import type { ObjectInfo, ObjectStore } from '../../server/stores/objects/object-store.ts';
import { storedObjectChanged } from './errors.ts';
import { putOnce } from './put-once.ts';

/** Largest record read back: the commit record of a title of a day has about 20 MB. */
const maxRecordBytes = 64 * 1024 ** 2;

/**
 * Publishes a record under a content-addressed key, once: a second writer with the same bytes succeeds too, other
 * bytes are DATA_LOSS CONTENT_MISMATCH.
 */
export async function putJsonOnce(
  objects: ObjectStore,
  key: string,
  value: unknown,
  signal: AbortSignal,
): Promise<ObjectInfo> {
  const body = Buffer.from(canonicalJson(value));
  const { isStored, info } = await putOnce(objects, { key, body, contentType: 'application/json', signal });
  if (!isStored) throw storedObjectChanged(key);
  return info;
}

/** A record put by putJsonOnce; undefined when the key is free. The keys are this folder's own, and so is the shape. */
export async function findJson<T>(objects: ObjectStore, key: string, signal: AbortSignal): Promise<T | undefined> {
  if (!(await objects.stat(key))) return undefined;
  // Records are small: abort is looked at between reads, not within one.
  signal.throwIfAborted();
  return JSON.parse(Buffer.from(await objects.read(key, { maxBytes: maxRecordBytes })).toString('utf8')) as T;
}
