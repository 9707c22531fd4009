import { createHash } from 'node:crypto';
import { AppError } from '../../server/core/errors.ts';
import type { ObjectInfo, ObjectStore } from '../../server/stores/objects/object-store.ts';

/** What is to be stored under a key that stands for its content. */
export interface OnceObject {
  readonly key: string;
  readonly body: Uint8Array;
  readonly contentType: string;
  readonly signal: AbortSignal;
}

/** Whether the object is there with these bytes now; else what is there instead, if it still is. */
type PutOnce =
  | { readonly isStored: true; readonly info: ObjectInfo }
  | { readonly isStored: false; readonly info: ObjectInfo | undefined };

/** Stores an object under a free key; one that is there with the same bytes is as good. */
export async function putOnce(objects: ObjectStore, { key, body, contentType, signal }: OnceObject): Promise<PutOnce> {
  try {
    return { isStored: true, info: await objects.put(key, body, { ifAbsent: true, contentType, signal }) };
  } catch (error) {
    if (!(error instanceof AppError) || error.reason !== 'OBJECT_EXISTS') throw error;
  }
  const info = await objects.stat(key);
  if (info?.sha256 === createHash('sha256').update(body).digest('hex')) return { isStored: true, info };
  return { isStored: false, info };
}
