import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { type FileHandle, open, stat, unlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Clock } from '../../core/clock.ts';
import { AppError, invalidField } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import { storeClosed, writeFailure } from '../store-errors.ts';
import { fileBytes, piecesOf } from './object-body.ts';
import { createObjectInfoFiles, type StoredInfo } from './object-info.ts';
import {
  checkContentType,
  checkObjectKey,
  objectChanged,
  objectExists,
  objectNotFound,
  objectRange,
  objectTooLarge,
} from './object-key.ts';
import { listKeys } from './object-listing.ts';
import { placeFile, writeBody } from './object-publish.ts';
import type { ObjectInfo, ObjectStore, OpenObject, PutObjectOptions } from './object-store.ts';
import { ifPresent, isAbsence, makeFolder, removeEmptyFolders, syncFolder } from './synced-files.ts';
import { openTempFolder, takeTempFile } from './temp-files.ts';

/** Where objects are kept. */
export interface FolderObjectsOptions {
  /** Created when absent. Several processes may share it. */
  readonly dir: string;
  readonly clock: Clock;
  readonly log: Logger;
}

const defaultContentType = 'application/octet-stream';
const defaultReadBytes = 64 * 1024 * 1024;
const defaultListed = 1_000;
const maxListed = 10_000;
/** How often a read starts over because the object was replaced in the middle. */
const maxReadAttempts = 8;

interface Found {
  readonly info: ObjectInfo;
  readonly stats: BigIntStats;
}

/**
 * The embedded object store: the body of key `a/b.mp4` is the plain file `<dir>/a/b.mp4`.
 * A put writes and flushes a temp file, writes and flushes an info file that only this body can match (see
 * ObjectInfoFiles), then renames (or with `ifAbsent` links) the temp file to its key and flushes the folder: the
 * rename is the one moment of publication. Temp files of dead processes are removed at open.
 * Rejects with OBJECT_NOT_FOUND, OBJECT_EXISTS, OBJECT_KEY_CONFLICT (FAILED_PRECONDITION: a key cannot lie below
 * another object's key), OBJECT_CHANGED, OBJECT_TOO_LARGE, OBJECT_RANGE, DISK_FULL, DISK_FAILED, STORE_CLOSED.
 */
export async function openFolderObjects({ dir, clock, log }: FolderObjectsOptions): Promise<ObjectStore> {
  const top = resolve(dir);
  const tempFolder = join(top, '.tmp');
  const infoFolder = join(top, '.info');
  const infos = createObjectInfoFiles(infoFolder, tempFolder, clock);
  const onDisk = <T>(work: Promise<T>) => work.catch((error) => Promise.reject(writeFailure(top, error)));
  await onDisk(makeFolder(infoFolder));
  const removed = await openTempFolder(tempFolder, clock);
  if (removed > 0) log.info('left-over temp files removed', { dir: top, removed });

  let isClosed = false;
  /** The file of a checked key. */
  function pathOf(key: string): string {
    if (isClosed) throw storeClosed('objects');
    checkObjectKey(key);
    return join(top, key);
  }

  const statFile = async (path: string): Promise<BigIntStats | undefined> => {
    const stats = await ifPresent(stat(path, { bigint: true }));
    return stats?.isFile() ? stats : undefined;
  };

  async function find(key: string): Promise<Found | undefined> {
    const path = pathOf(key);
    for (let attempt = 0; attempt < maxReadAttempts; attempt++) {
      const stats = await statFile(path);
      if (stats === undefined) return undefined;
      const stored = await infos.read(key, stats);
      if (stored !== undefined) return { info: toInfo(key, stats, stored), stats };
      const later = await statFile(path);
      if (later !== undefined && isSameBody(later, stats)) {
        return { info: toInfo(key, stats, await rebuildInfo(key, path, stats)), stats };
      }
    }
    throw objectChanged(key);
  }

  /** For a body that was put into the folder, or edited, by other means than `put`. */
  async function rebuildInfo(key: string, path: string, stats: BigIntStats): Promise<StoredInfo> {
    const hash = createHash('sha256');
    for await (const chunk of fileBytes(path)) hash.update(chunk);
    const info = { sha256: hash.digest('hex'), contentType: defaultContentType };
    log.warn('object without info found, info computed from its content', { key });
    await infos.write(key, stats, info);
    return info;
  }

  async function put(
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    { contentType = defaultContentType, ifAbsent = false, signal }: PutObjectOptions = {},
  ): Promise<ObjectInfo> {
    const path = pathOf(key);
    checkContentType(contentType);
    signal?.throwIfAborted();
    // Spares writing the body; whether the key is free is decided by the link below.
    if (ifAbsent && (await statFile(path))) throw objectExists(key);
    await using temp = takeTempFile(tempFolder, clock);
    const { stats, sha256 } = await writeBody(temp.path, piecesOf(body, signal), clock);
    const old = await onDisk(statFile(path));
    await onDisk(infos.write(key, stats, { sha256, contentType }));
    try {
      await placeFile(key, temp.path, path, ifAbsent);
    } catch (error) {
      await infos.remove(key, stats);
      throw error;
    }
    if (old !== undefined) await infos.remove(key, old);
    await infos.removeOrphans(key, stats);
    return toInfo(key, stats, { sha256, contentType });
  }

  async function remove(key: string): Promise<boolean> {
    const path = pathOf(key);
    const stats = await statFile(path);
    if (stats === undefined || (await ifPresent(unlink(path).then(() => true))) === undefined) return false;
    await ifPresent(syncFolder(dirname(path)));
    await infos.remove(key, stats);
    await removeEmptyFolders(dirname(path), top);
    return true;
  }

  async function openObject(
    key: string,
    { start = 0, end = Number.MAX_SAFE_INTEGER, signal }: { start?: number; end?: number; signal?: AbortSignal } = {},
  ): Promise<OpenObject> {
    if (!Number.isSafeInteger(start) || start < 0) throw invalidField('start', 'must be a whole number from 0 up');
    if (!Number.isSafeInteger(end) || end < start) throw invalidField('end', 'must be a whole number from start up');
    const path = pathOf(key);
    const found = await find(key);
    if (found === undefined) throw objectNotFound(key);
    const { info, stats } = found;
    if (start > info.bytes) throw objectRange(key, start, end, info.bytes);
    return { info, body: readPart(key, path, stats, start, Math.min(end, info.bytes), signal) };
  }

  return {
    put,
    putFile: (key, path, options) => put(key, fileBytes(path), options),
    read: async (key, { maxBytes = defaultReadBytes, signal } = {}) => {
      await using file = await openExisting(key, pathOf(key));
      const { size } = await file.stat();
      if (size > maxBytes) throw objectTooLarge(key, size, maxBytes);
      // Awaited here, or the file would be closed while it is read and an abort would go unheard.
      return await file.readFile(signal === undefined ? {} : { signal });
    },
    open: openObject,
    stat: async (key) => (await find(key))?.info,
    list: async (prefix, { after = '', limit = defaultListed } = {}) => {
      if (isClosed) throw storeClosed('objects');
      if (!Number.isInteger(limit) || limit < 1) throw invalidField('limit', 'must be a positive whole number');
      if (prefix.includes('/')) checkObjectKey(prefix.slice(0, prefix.lastIndexOf('/')));
      const listed: ObjectInfo[] = [];
      for await (const key of listKeys(top, prefix, after)) {
        const found = await find(key);
        if (found !== undefined) listed.push(found.info);
        if (listed.length === Math.min(limit, maxListed)) break;
      }
      return listed;
    },
    delete: remove,
    localPath: async (key) => {
      const path = pathOf(key);
      if ((await statFile(path)) === undefined) throw objectNotFound(key);
      return path;
    },
    close: async () => {
      isClosed = true;
    },
  };
}

async function openExisting(key: string, path: string): Promise<FileHandle> {
  const file = await open(path, 'r').catch((error) => {
    throw isAbsence(error) ? objectNotFound(key) : writeFailure(path, error);
  });
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw objectNotFound(key);
}

/** Opens the file only when it is read, so that a body nobody reads holds nothing. */
async function* readPart(
  key: string,
  path: string,
  stats: BigIntStats,
  start: number,
  end: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  signal?.throwIfAborted();
  await using file = await openExisting(key, path).catch((error) => {
    throw error instanceof AppError && error.reason === 'OBJECT_NOT_FOUND' ? objectChanged(key) : error;
  });
  if (!isSameBody(await file.stat({ bigint: true }), stats)) throw objectChanged(key);
  for (let position = start; position < end; ) {
    signal?.throwIfAborted();
    const piece = Buffer.allocUnsafeSlow(Math.min(end - position, 256 * 1024));
    const { bytesRead } = await file.read(piece, 0, piece.byteLength, position);
    if (bytesRead === 0) throw objectChanged(key);
    position += bytesRead;
    yield piece.subarray(0, bytesRead);
  }
}

function isSameBody(a: BigIntStats, b: BigIntStats): boolean {
  return a.ino === b.ino && a.mtimeNs === b.mtimeNs && a.size === b.size;
}

function toInfo(key: string, stats: BigIntStats, { sha256, contentType }: StoredInfo): ObjectInfo {
  return { key, bytes: Number(stats.size), sha256, contentType, modifiedMs: Number(stats.mtimeMs) };
}
