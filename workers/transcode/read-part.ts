import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { ObjectStore } from '../../server/stores/objects/object-store.ts';
import { storedObjectChanged } from './errors.ts';

/** A part of a title in the object store, as its commit record names it. */
export type StoredPart = { readonly key: string; readonly sha256: string };

/**
 * The bytes of a part, which must still be those that were checked when it was made: what was damaged since is not
 * published. DATA_LOSS CONTENT_MISMATCH; errors of the object store.
 */
export async function readPart(
  objects: ObjectStore,
  { key, sha256 }: StoredPart,
  signal: AbortSignal,
): Promise<Buffer> {
  const bytes = await readFile(await objects.localPath(key, signal), { signal });
  if (createHash('sha256').update(bytes).digest('hex') !== sha256) throw storedObjectChanged(key);
  return bytes;
}

/** True when every part is there with the bytes that its record names; else it has to be made again. */
export async function arePartsWhole(objects: ObjectStore, parts: readonly StoredPart[]): Promise<boolean> {
  for (const { key, sha256 } of parts) if ((await objects.stat(key))?.sha256 !== sha256) return false;
  return true;
}
