import type { ObjectInfo, ObjectStore } from '../../server/stores/objects/object-store.ts';
import { storedObjectChanged } from './errors.ts';
import { type OnceObject, putOnce } from './put-once.ts';

interface SameObject extends OnceObject {
  /** Key of the record that vouches for the object once it is there. */
  readonly commitKey: string;
}

/**
 * Stores an object whose key stands for its content. One that is there with this content is left as it is: a worker that
 * slept through its lease must not touch what another has published, nor what somebody reads at this moment. What an
 * attempt left that ended before its record is replaced; DATA_LOSS CONTENT_MISMATCH where a record vouches for other bytes.
 */
export async function putSame(objects: ObjectStore, { commitKey, ...object }: SameObject): Promise<ObjectInfo> {
  const { isStored, info } = await putOnce(objects, object);
  if (isStored) return info;
  const { key, body, contentType, signal } = object;
  if (info !== undefined && (await vouchesFor(objects, commitKey, info, signal))) throw storedObjectChanged(key);
  return objects.put(key, body, { contentType, signal });
}

/** True when the record is there and names the digest of the object as it is, not of one that was damaged since. */
async function vouchesFor(objects: ObjectStore, commitKey: string, { sha256 }: ObjectInfo, signal: AbortSignal) {
  if ((await objects.stat(commitKey)) === undefined) return false;
  return Buffer.from(await objects.read(commitKey, { signal })).includes(sha256);
}
