import type { ObjectStore } from '../stores/objects/object-store.ts';
import type { EncodeSetRecord } from './encode-set-record.ts';
import { encodeSetIncomplete } from './errors.ts';

const listedAtOnce = 1_000;

/**
 * Checks that every object of a commit record is stored with its size and hash, by listing the record's folder.
 * ENCODESET_INCOMPLETE names the first that is not; also when a file or manifest lies outside of the folder or
 * is not among the objects.
 */
export async function verifyObjects(objects: ObjectStore, recordKey: string, record: EncodeSetRecord): Promise<void> {
  const folder = recordKey.slice(0, recordKey.lastIndexOf('/') + 1);
  const fail = (why: string): never => {
    throw encodeSetIncomplete(recordKey, why);
  };
  const wanted = new Map(record.objects.map((object) => [object.key, object]));
  for (const key of wanted.keys()) if (!key.startsWith(folder)) fail(`object "${key}" lies outside of its folder`);
  checkFiles(record, wanted, fail);

  let after: string | undefined;
  while (wanted.size > 0) {
    const found = await objects.list(
      folder,
      after === undefined ? { limit: listedAtOnce } : { limit: listedAtOnce, after },
    );
    for (const { key, bytes, sha256 } of found) {
      const object = wanted.get(key);
      if (object === undefined) continue;
      if (bytes !== object.bytes) fail(`object "${key}" has ${bytes} bytes, not ${object.bytes}`);
      if (sha256 !== object.sha256) fail(`object "${key}" has another hash`);
      wanted.delete(key);
    }
    after = found.at(-1)?.key;
    if (found.length < listedAtOnce) break;
  }
  const [missing] = wanted.keys();
  if (missing !== undefined) fail(`object "${missing}" is missing`);
}

/** Every file is backed by listed objects: its key, or as many as it has segments below its prefix. */
function checkFiles(record: EncodeSetRecord, known: ReadonlyMap<string, unknown>, fail: (why: string) => never): void {
  for (const key of [record.hlsObjectKey, record.dashObjectKey]) {
    if (!known.has(key)) fail(`manifest "${key}" is not among its objects`);
  }
  const counts = countBelow(known.keys());
  const ids = new Set<string>();
  for (const { id, objectKey, segmentCount } of record.files) {
    if (ids.has(id)) fail(`file "${id}" is listed twice`);
    ids.add(id);
    if (!objectKey.endsWith('/')) {
      if (!known.has(objectKey)) fail(`file "${id}" has no object "${objectKey}"`);
      continue;
    }
    const count = counts.get(objectKey) ?? 0;
    if (count < Math.max(1, segmentCount)) fail(`file "${id}" has ${count} objects for ${segmentCount} segments`);
  }
}

/** How many keys lie below each folder. */
function countBelow(keys: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const key of keys) {
    for (let end = key.indexOf('/'); end >= 0; end = key.indexOf('/', end + 1)) {
      const folder = key.slice(0, end + 1);
      counts.set(folder, (counts.get(folder) ?? 0) + 1);
    }
  }
  return counts;
}
