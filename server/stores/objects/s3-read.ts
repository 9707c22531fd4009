import type { Readable } from 'node:stream';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { objectChanged, objectNotFound } from './object-key.ts';
import type { S3Caller } from './s3-caller.ts';
import { isPassing, s3StatusOf } from './s3-errors.ts';

/** The bytes that are wanted of one object. */
export interface S3Part {
  readonly key: string;
  /** Key in the bucket, with the prefix. */
  readonly target: string;
  /** The body that is meant; undefined = whichever is there now. */
  readonly etag: string | undefined;
  readonly start: number;
  /** Exclusive; undefined = to the end. */
  readonly end: number | undefined;
  readonly signal: AbortSignal | undefined;
  /** Called once with the size of the whole object, before the first byte. */
  readonly onSize?: (bytes: number) => void;
}

/**
 * The bytes of `[start, end)`. Asks only when it is read; a connection that breaks or falls silent in the middle is
 * replaced, and goes on at the next byte of the same body. Throws OBJECT_NOT_FOUND, OBJECT_CHANGED, errors of `s3Failure`.
 */
export async function* readS3Part(caller: S3Caller, part: S3Part): AsyncGenerator<Uint8Array> {
  const { key, end, signal } = part;
  let { etag, start: position } = part;
  let isSized = false;
  for (let failures = 0; end === undefined || position < end; ) {
    const found = await get(caller, part, etag, position);
    etag ??= found.etag;
    try {
      if (!isSized) part.onSize?.(found.bytes);
      isSized = true;
      for await (const chunk of chunksOf(caller, found.body, signal)) {
        position += chunk.byteLength;
        failures = 0;
        yield chunk;
      }
      if (position >= Math.min(end ?? found.bytes, found.bytes)) return;
      throw new StreamCutShort();
    } catch (error) {
      if (!isPassing(error) || ++failures >= caller.retries.attempts) throw caller.failureOf(error, signal);
      caller.throwIfClosed();
      signal?.throwIfAborted();
      if (etag === undefined) throw objectChanged(key);
      await caller.pause(failures, signal);
    } finally {
      found.body.destroy();
    }
  }
}

async function get(
  caller: S3Caller,
  { key, target, end, signal, etag: meant }: S3Part,
  etag: string | undefined,
  start: number,
) {
  const range = start === 0 && end === undefined ? {} : { Range: `bytes=${start}-${end === undefined ? '' : end - 1}` };
  const command = {
    ...{ Bucket: caller.location.bucket, Key: target },
    ...range,
    ...(etag === undefined ? {} : { IfMatch: etag }),
  };
  try {
    const answer = await caller.call(
      (abortSignal) => caller.client.send(new GetObjectCommand(command), { abortSignal }),
      signal,
    );
    // Not every server knows If-Match.
    if (etag !== undefined && answer.ETag !== etag) {
      (answer.Body as Readable).destroy();
      throw objectChanged(key);
    }
    const total = /\/(\d+)$/.exec(answer.ContentRange ?? '')?.[1];
    return {
      body: answer.Body as Readable,
      etag: answer.ETag,
      bytes: total === undefined ? (answer.ContentLength ?? 0) : Number(total),
    };
  } catch (error) {
    const status = s3StatusOf(error);
    if (status === 412 || status === 416) throw objectChanged(key);
    if (status === 404) throw etag === undefined && meant === undefined ? objectNotFound(key) : objectChanged(key);
    throw caller.failureOf(error, signal);
  }
}

/** The chunks; throws when none comes for the time of an attempt. The time that the reader takes does not count. */
async function* chunksOf({ clock, retries }: S3Caller, body: Readable, signal: AbortSignal | undefined) {
  const onAbort = () => body.destroy(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted) onAbort();
  const chunks = body[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  try {
    for (;;) {
      const unwatch = clock.schedule(retries.attemptMs, () => body.destroy(new StreamCutShort()));
      const next = await chunks.next().finally(unwatch);
      if (next.done) return;
      yield next.value;
    }
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}

class StreamCutShort extends Error {
  constructor() {
    super('the body ended before its announced length, or fell silent');
    this.name = 'TimeoutError';
  }
}
