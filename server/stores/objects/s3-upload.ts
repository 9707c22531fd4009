import { createHash } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { Logger } from '../../core/log.ts';
import type { S3Caller } from './s3-caller.ts';
import { s3CodeOf, s3StatusOf } from './s3-errors.ts';
import type { S3Source } from './s3-source.ts';

/** Where a body goes and what is stored with it. */
export interface S3Upload {
  /** Key in the bucket, with the prefix. */
  readonly target: string;
  readonly contentType: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** Only when the key is free. */
  readonly ifAbsent: boolean;
  readonly signal: AbortSignal | undefined;
}

/** Writes objects to a bucket. */
export interface S3Uploader {
  /**
   * Stores the source at once: no reader sees a part of it, and what fails or is aborted leaves nothing visible. False
   * when `ifAbsent` met an object (or the write, when it was repeated, may have met itself). Rejects as S3Caller.call.
   */
  upload(source: S3Source, upload: S3Upload): Promise<boolean>;
}

/** S3 takes parts from 5 MiB, 10,000 of them at most. */
export const defaultPartBytes = 8 * 1024 * 1024;
const mostParts = 10_000;
const partsAtOnce = 4;
/** Restarts of a whole multipart upload that a rival write broke, as S3 asks for. */
const mostRestarts = 5;

/** Bodies over `partBytes` go in parts, four at a time. */
export function createS3Uploader(caller: S3Caller, partBytes: number, log: Logger): S3Uploader {
  const { client, location } = caller;
  const { bucket: Bucket } = location;
  const condition = (ifAbsent: boolean) => (ifAbsent ? { IfNoneMatch: '*' } : {});

  async function putWhole(source: S3Source, { target, contentType, metadata, ifAbsent, signal }: S3Upload) {
    const Body = (await source.parts(Math.max(1, source.bytes)).next()).value ?? Buffer.alloc(0);
    const command = {
      ...{ Bucket, Key: target, Body, ContentType: contentType, Metadata: { ...metadata } },
      ...{ ContentLength: source.bytes, ContentMD5: md5Of(Body), ...condition(ifAbsent) },
    };
    await caller.call((abortSignal) => client.send(new PutObjectCommand(command), { abortSignal }), signal);
  }

  async function sendParts(source: S3Source, target: string, UploadId: string, signal: AbortSignal | undefined) {
    const size = Math.max(partBytes, Math.ceil(source.bytes / mostParts / 1024 ** 2) * 1024 ** 2);
    const sent: { PartNumber: number; ETag: string | undefined }[] = [];
    const broken = new AbortController();
    const ends = signal === undefined ? broken.signal : AbortSignal.any([signal, broken.signal]);
    const parts = source.parts(size);
    let next = 1;
    // One generator feeds all lanes: the file is read in order, its digest checked on the way.
    const lane = async () => {
      for (;;) {
        const PartNumber = next++;
        const { value: Body, done } = await parts.next();
        if (done || Body === undefined) return;
        const part = { Bucket, Key: target, UploadId, PartNumber, Body, ContentMD5: md5Of(Body) };
        const { ETag } = await caller.call(
          (abortSignal) => client.send(new UploadPartCommand(part), { abortSignal }),
          ends,
        );
        sent.push({ PartNumber, ETag });
      }
    };
    // All lanes end before this does, or a part of theirs would arrive after the upload was given up.
    const lanes = Array.from({ length: partsAtOnce }, () =>
      lane().catch((error) => {
        broken.abort(error);
        throw error;
      }),
    );
    await Promise.allSettled(lanes);
    await Promise.all(lanes).catch(() => {
      throw signal?.aborted ? signal.reason : broken.signal.reason;
    });
    return sent.sort((a, b) => a.PartNumber - b.PartNumber);
  }

  async function putParts(source: S3Source, { target, contentType, metadata, ifAbsent, signal }: S3Upload) {
    const start = { Bucket, Key: target, ContentType: contentType, Metadata: { ...metadata } };
    const { UploadId = '' } = await caller.call(
      (abortSignal) => client.send(new CreateMultipartUploadCommand(start), { abortSignal }),
      signal,
    );
    try {
      const Parts = await sendParts(source, target, UploadId, signal);
      const end = { Bucket, Key: target, UploadId, MultipartUpload: { Parts }, ...condition(ifAbsent) };
      await caller.call((abortSignal) => client.send(new CompleteMultipartUploadCommand(end), { abortSignal }), signal);
    } catch (error) {
      await abandon(target, UploadId);
      throw error;
    }
  }

  /** Frees the parts. What fails here was not visible anyway, and is removed when the store is opened a day later. */
  async function abandon(target: string, UploadId: string) {
    const end = { Bucket, Key: target, UploadId };
    try {
      await caller.call((abortSignal) => client.send(new AbortMultipartUploadCommand(end), { abortSignal }));
    } catch (error) {
      if (s3CodeOf(error) !== 'NoSuchUpload') log.warn('parts of a failed upload were left in the bucket', { error });
    }
  }

  return {
    upload: async (source, upload) => {
      const put = source.bytes <= partBytes ? putWhole : putParts;
      for (let restart = 0; ; restart++) {
        try {
          await put(source, upload);
          return true;
        } catch (error) {
          if (upload.ifAbsent && s3StatusOf(error) === 412) return false;
          // The answer to an earlier attempt may have been lost after it succeeded: the caller looks whose object is there.
          if (put === putParts && s3CodeOf(error) === 'NoSuchUpload') return false;
          if (s3StatusOf(error) !== 409 || restart === mostRestarts) throw error;
          await caller.pause(restart + 1, upload.signal);
        }
      }
    },
  };
}

function md5Of(body: Uint8Array): string {
  return createHash('md5').update(body).digest('base64');
}
