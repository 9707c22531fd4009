import { HeadObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import type { S3Caller } from './s3-caller.ts';
import { s3StatusOf } from './s3-errors.ts';

/** What S3 knows of an object. */
export interface S3Head {
  readonly etag: string;
  readonly bytes: number;
  readonly contentType: string;
  readonly modifiedMs: number;
  /** Undefined for an object that was put into the bucket by other means. */
  readonly sha256: string | undefined;
  /** Id of the write that made it. */
  readonly putId: string | undefined;
}

const fallbackType = 'application/octet-stream';

/** How often an answer is asked for again whose length and metadata are of two bodies. */
const mostTorn = 8;

/** What our own puts say of an object in its metadata. */
export function metadataOf(sha256: string, bytes: number, modifiedMs: number, putId: string): Record<string, string> {
  return { sha256, bytes: String(bytes), 'modified-ms': String(modifiedMs), 'put-id': putId };
}

/**
 * Undefined when the object is not there. Errors of `s3Failure`. S3 answers from one body; gateways over a file system
 * were seen to mix two while an object was replaced, which the length in the metadata tells.
 */
export async function headObject(caller: S3Caller, target: string, signal?: AbortSignal): Promise<S3Head | undefined> {
  for (let attempt = 1; ; attempt++) {
    const found = await headOnce(caller, target, signal);
    const isTorn = found?.announcedBytes !== undefined && found.announcedBytes !== String(found.head.bytes);
    if (!isTorn || attempt === mostTorn) return found?.head;
    await caller.pause(1, signal);
  }
}

async function headOnce(
  { client, location, call, failureOf }: S3Caller,
  target: string,
  signal: AbortSignal | undefined,
) {
  const command = { Bucket: location.bucket, Key: target };
  try {
    const found = await call((abortSignal) => client.send(new HeadObjectCommand(command), { abortSignal }), signal);
    const { sha256, bytes: announcedBytes, 'modified-ms': modified = '', 'put-id': putId } = found.Metadata ?? {};
    const head: S3Head = {
      etag: found.ETag ?? '',
      bytes: found.ContentLength ?? 0,
      contentType: found.ContentType ?? fallbackType,
      modifiedMs: /^\d{1,15}$/.test(modified) ? Number(modified) : (found.LastModified?.getTime() ?? 0),
      sha256: /^[0-9a-f]{64}$/.test(sha256 ?? '') ? sha256 : undefined,
      putId,
    };
    return { head, announcedBytes };
  } catch (error) {
    if (s3StatusOf(error) === 404) return undefined;
    throw failureOf(error, signal);
  }
}

/** Keys in the bucket that have the prefix and sort after `after`, in the order of their UTF-8 bytes. */
export async function* listTargets(
  { client, location, call, failureOf }: S3Caller,
  prefix: string,
  after: string | undefined,
  pageSize: number,
): AsyncGenerator<string[]> {
  let token: string | undefined;
  do {
    const command = {
      ...{ Bucket: location.bucket, Prefix: prefix, MaxKeys: Math.min(1_000, pageSize), EncodingType: 'url' as const },
      ...(token === undefined ? {} : { ContinuationToken: token }),
      ...(token === undefined && after !== undefined ? { StartAfter: after } : {}),
    };
    const page = await call((abortSignal) => client.send(new ListObjectsV2Command(command), { abortSignal })).catch(
      (error) => {
        throw failureOf(error);
      },
    );
    const decode = page.EncodingType === 'url' ? urlDecoded : (key: string) => key;
    yield (page.Contents ?? []).flatMap(({ Key }) => (Key === undefined ? [] : [decode(Key)]));
    token = page.IsTruncated ? page.NextContinuationToken : undefined;
  } while (token !== undefined);
}

function urlDecoded(key: string): string {
  return decodeURIComponent(key.replaceAll('+', ' '));
}
