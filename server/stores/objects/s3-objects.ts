import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { DeleteObjectCommand } from '@aws-sdk/client-s3';
import type { Clock } from '../../core/clock.ts';
import { invalidField } from '../../core/errors.ts';
import { newId } from '../../core/ids.ts';
import type { Logger } from '../../core/log.ts';
import type { Random } from '../../core/random.ts';
import { openLocalCopies } from './local-copies.ts';
import { piecesOf } from './object-body.ts';
import {
  checkContentType,
  checkObjectKey,
  objectExists,
  objectNotFound,
  objectRange,
  objectTooLarge,
} from './object-key.ts';
import type { ObjectInfo, ObjectStore, PutObjectOptions } from './object-store.ts';
import { createS3Caller, defaultRetries, type S3Caller, type S3Retries } from './s3-caller.ts';
import { s3Failure } from './s3-errors.ts';
import { createFolderRule } from './s3-folder-rule.ts';
import { headObject, listTargets, metadataOf, type S3Head } from './s3-head.ts';
import { checkBucket } from './s3-open.ts';
import { readS3Part, type S3Part } from './s3-read.ts';
import { type S3Source, takeFileSource, takeSource } from './s3-source.ts';
import { createS3Uploader, defaultPartBytes } from './s3-upload.ts';
import type { S3Location } from './s3-url.ts';
import { openTempFolder } from './temp-files.ts';

/** Which bucket keeps the objects, and what of them is on this machine. */
export interface S3ObjectsOptions {
  readonly location: S3Location;
  /** Local folder for bodies on their way and for copies that child processes read; processes may share it. */
  readonly dir: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** What is not given is as in `defaultRetries`. */
  readonly retries?: Partial<S3Retries>;
  /** Objects over this go in parts of this size, at least 5 MiB. Default 8 MiB; four parts are in memory per upload. */
  readonly partBytes?: number;
  /** Bound of the local copies besides those in use, in bytes. Default 32 GiB. */
  readonly maxCopyBytes?: number;
}

const defaultContentType = 'application/octet-stream';
const defaultReadBytes = 64 * 1024 * 1024;
const defaultListed = 1_000;
const maxListed = 10_000;
const headsAtOnce = 32;
/** Digests of objects that were put into the bucket by other means. */
const maxComputed = 10_000;

/**
 * The object store of a fleet: key `a/b.mp4` is the S3 object `<prefix>a/b.mp4`; digest and time of writing stand in its
 * metadata. A put is one PutObject or one multipart upload, so S3 itself shows it whole or not at all. Rejects as
 * `openFolderObjects` does and with the errors of `s3Failure`; opening also with OBJECTS_UNCONDITIONAL where the server
 * ignores `If-None-Match`.
 */
export async function openS3Objects(options: S3ObjectsOptions): Promise<ObjectStore> {
  const { location, dir, clock, random, log, partBytes = defaultPartBytes } = options;
  const { maxCopyBytes = 32 * 1024 ** 3 } = options;
  const tempFolder = join(dir, '.put');
  await openTempFolder(tempFolder, clock);
  const copies = await openLocalCopies({ dir: join(dir, 'copies'), clock, maxBytes: maxCopyBytes });
  const caller = createS3Caller({ location, clock, random, retries: { ...defaultRetries, ...options.retries } });
  try {
    await checkBucket(caller, log);
  } catch (error) {
    caller.close();
    throw error;
  }
  const uploader = createS3Uploader(caller, partBytes, log);
  const rule = createFolderRule(caller);
  const computed = new Map<string, string>();

  /** The name of a checked key in the bucket. */
  function targetOf(key: string): string {
    caller.throwIfClosed();
    checkObjectKey(key);
    return location.prefix + key;
  }

  async function find(key: string, signal?: AbortSignal): Promise<{ info: ObjectInfo; head: S3Head } | undefined> {
    const target = targetOf(key);
    const head = await headObject(caller, target, signal);
    if (head === undefined) return undefined;
    const { bytes, contentType, modifiedMs } = head;
    const sha256 = head.sha256 ?? (await digestOf(key, target, head, signal));
    return { info: { key, bytes, sha256, contentType, modifiedMs }, head };
  }

  async function mustFind(key: string, signal: AbortSignal | undefined) {
    const found = await find(key, signal);
    if (found === undefined) throw objectNotFound(key);
    return found;
  }

  async function digestOf(key: string, target: string, { etag }: S3Head, signal?: AbortSignal): Promise<string> {
    const name = `${etag} ${key}`;
    const known = computed.get(name);
    if (known !== undefined) return known;
    log.warn('object without digest found, computed from its content', { key });
    const hash = createHash('sha256');
    for await (const chunk of readS3Part(caller, { key, target, etag, start: 0, end: undefined, signal })) {
      hash.update(chunk);
    }
    const sha256 = hash.digest('hex');
    computed.set(name, sha256);
    const [oldest] = computed.keys();
    if (computed.size > maxComputed && oldest !== undefined) computed.delete(oldest);
    return sha256;
  }

  async function store(
    key: string,
    take: () => Promise<S3Source>,
    { contentType = defaultContentType, ifAbsent = false, signal }: PutObjectOptions,
  ): Promise<ObjectInfo> {
    const target = targetOf(key);
    checkContentType(contentType);
    signal?.throwIfAborted();
    await using source = await take();
    await rule.check(key, signal);
    // Spares the upload; whether the key is free is decided by S3.
    if (ifAbsent && source.bytes > partBytes && (await headObject(caller, target, signal))) throw objectExists(key);
    const { bytes, sha256 } = source;
    const [modifiedMs, putId] = [clock.now(), newId(clock.now())];
    const metadata = metadataOf(sha256, bytes, modifiedMs, putId);
    const isStored = await uploader
      .upload(source, { target, contentType, metadata, ifAbsent, signal })
      .catch((error) => {
        throw caller.failureOf(error, signal);
      });
    // A repeated write meets itself when the answer to the first one was lost.
    if (!isStored && (await headObject(caller, target, signal))?.putId !== putId) {
      throw ifAbsent ? objectExists(key) : s3Failure(location, new Error('the upload vanished'));
    }
    return { key, bytes, sha256, contentType, modifiedMs };
  }

  const read = (part: Omit<S3Part, 'target'>) => readS3Part(caller, { ...part, target: location.prefix + part.key });

  return {
    put: (key, body, putOptions = {}) => {
      const take = () => takeSource(piecesOf(body, putOptions.signal), { memoryBytes: partBytes, tempFolder, clock });
      return store(key, take, putOptions);
    },
    putFile: (key, path, putOptions = {}) => {
      return store(key, () => takeFileSource(path, partBytes, putOptions.signal), putOptions);
    },
    read: async (key, { maxBytes = defaultReadBytes, signal } = {}) => {
      targetOf(key);
      const onSize = (bytes: number) => {
        if (bytes > maxBytes) throw objectTooLarge(key, bytes, maxBytes);
      };
      const chunks: Uint8Array[] = [];
      const part = { key, etag: undefined, start: 0, end: undefined, signal, onSize };
      for await (const chunk of read(part)) chunks.push(chunk);
      return Buffer.concat(chunks);
    },
    open: async (key, { start = 0, end = Number.MAX_SAFE_INTEGER, signal } = {}) => {
      if (!Number.isSafeInteger(start) || start < 0) throw invalidField('start', 'must be a whole number from 0 up');
      if (!Number.isSafeInteger(end) || end < start) throw invalidField('end', 'must be a whole number from start up');
      const { info, head } = await mustFind(key, signal);
      if (start > info.bytes) throw objectRange(key, start, end, info.bytes);
      return { info, body: read({ key, etag: head.etag, start, end: Math.min(end, info.bytes), signal }) };
    },
    stat: async (key) => (await find(key))?.info,
    list: async (prefix, { after = '', limit = defaultListed } = {}) => {
      caller.throwIfClosed();
      if (!Number.isInteger(limit) || limit < 1) throw invalidField('limit', 'must be a positive whole number');
      if (prefix.includes('/')) checkObjectKey(prefix.slice(0, prefix.lastIndexOf('/')));
      return listInfos(caller, prefix, after, Math.min(limit, maxListed), async (key) => (await find(key))?.info);
    },
    delete: async (key) => {
      const target = targetOf(key);
      if ((await headObject(caller, target)) === undefined) return false;
      const command = new DeleteObjectCommand({ Bucket: location.bucket, Key: target });
      await caller
        .call((abortSignal) => caller.client.send(command, { abortSignal }))
        .catch((error) => {
          throw caller.failureOf(error);
        });
      return true;
    },
    localPath: async (key, signal) => {
      const { info, head } = await mustFind(key, signal);
      const open = (ends: AbortSignal) => read({ key, etag: head.etag, start: 0, end: info.bytes, signal: ends });
      return copies.get(info, open, signal);
    },
    close: async () => caller.close(),
  };
}

/** Up to `limit` objects: the keys of a page, then what is known of each, some at once. */
async function listInfos(
  caller: S3Caller,
  prefix: string,
  after: string,
  limit: number,
  infoOf: (key: string) => Promise<ObjectInfo | undefined>,
): Promise<ObjectInfo[]> {
  const { prefix: top } = caller.location;
  const listed: ObjectInfo[] = [];
  for await (const targets of listTargets(caller, top + prefix, after === '' ? undefined : top + after, limit)) {
    const keys = targets.map((target) => target.slice(top.length)).filter(isObjectKey);
    while (keys.length > 0) {
      const found = await Promise.all(keys.splice(0, Math.min(headsAtOnce, limit - listed.length)).map(infoOf));
      listed.push(...found.filter((info) => info !== undefined));
      if (listed.length === limit) return listed;
    }
  }
  return listed;
}

/** False for what others put into the bucket, e.g. `folder/`, and for the store's own. */
function isObjectKey(key: string): boolean {
  try {
    checkObjectKey(key);
    return true;
  } catch {
    return false;
  }
}
