import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import type { Clock } from '../../core/clock.ts';
import { writeFailure } from '../store-errors.ts';
import { fileBytes } from './object-body.ts';
import { sourceChanged } from './s3-errors.ts';
import { writeAll } from './synced-files.ts';
import { takeTempFile } from './temp-files.ts';

/** A body of known size and digest that can be read again, as repeats of a request need. */
export interface S3Source {
  readonly bytes: number;
  readonly sha256: string;
  /** The bytes in parts of `partBytes`, in order; throws SOURCE_CHANGED when they are not what the digest says. */
  parts(partBytes: number): AsyncGenerator<Buffer>;
  [Symbol.asyncDispose](): Promise<void>;
}

const nothingToFree = async () => {};

/**
 * Takes a stream whole before its upload begins, because S3 wants an object's metadata (its digest) first: up to
 * `memoryBytes` in memory, else in a temp file. Failures of the disk come as DISK_FULL or DISK_FAILED.
 */
export async function takeSource(
  pieces: AsyncIterable<Uint8Array>,
  { memoryBytes, tempFolder, clock }: { memoryBytes: number; tempFolder: string; clock: Clock },
): Promise<S3Source> {
  const hash = createHash('sha256');
  let held: Uint8Array[] = [];
  let bytes = 0;
  await using stack = new AsyncDisposableStack();
  const temp = takeTempFile(tempFolder, clock);
  const onDisk = <T>(work: Promise<T>) => work.catch((error) => Promise.reject(writeFailure(temp.path, error)));
  stack.use(temp);
  let file: Awaited<ReturnType<typeof open>> | undefined;
  for await (const piece of pieces) {
    hash.update(piece);
    bytes += piece.byteLength;
    if (file === undefined) {
      // A copy: the producer may use its buffer again once it is asked for the next piece.
      held.push(Buffer.from(piece));
      if (bytes <= memoryBytes) continue;
      file = stack.use(await onDisk(open(temp.path, 'wx', 0o600)));
      for (const early of held) await onDisk(writeAll(file, early));
      held = [];
    } else {
      await onDisk(writeAll(file, piece));
    }
  }
  const sha256 = hash.digest('hex');
  if (file === undefined) return memorySource(Buffer.concat(held), sha256);
  await file.close();
  stack.move();
  return fileSource(temp.path, bytes, sha256, () => temp[Symbol.asyncDispose]());
}

/** A local file, which is read twice: for the digest and for the upload. Small ones are held in memory. */
export async function takeFileSource(
  path: string,
  memoryBytes: number,
  signal: AbortSignal | undefined,
): Promise<S3Source> {
  const { size } = await stat(path);
  const hash = createHash('sha256');
  const held: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of fileBytes(path)) {
    signal?.throwIfAborted();
    hash.update(piece);
    bytes += piece.byteLength;
    if (size <= memoryBytes) held.push(piece);
  }
  const sha256 = hash.digest('hex');
  return size <= memoryBytes ? memorySource(Buffer.concat(held), sha256) : fileSource(path, bytes, sha256);
}

function memorySource(body: Buffer, sha256: string): S3Source {
  return {
    bytes: body.byteLength,
    sha256,
    parts: async function* (partBytes) {
      for (let start = 0; start < body.byteLength; start += partBytes) yield body.subarray(start, start + partBytes);
    },
    [Symbol.asyncDispose]: nothingToFree,
  };
}

function fileSource(path: string, bytes: number, sha256: string, free: () => Promise<void> = nothingToFree): S3Source {
  return {
    bytes,
    sha256,
    parts: async function* (partBytes) {
      const hash = createHash('sha256');
      for (let start = 0; start < bytes; start += partBytes) {
        const end = Math.min(bytes, start + partBytes);
        const held: Uint8Array[] = [];
        for await (const piece of fileBytes(path, start, end)) held.push(piece);
        const part = Buffer.concat(held);
        hash.update(part);
        // Before the last part leaves, so that nothing false is ever completed.
        if (part.byteLength < end - start || (end === bytes && hash.digest('hex') !== sha256))
          throw sourceChanged(path);
        yield part;
      }
    },
    [Symbol.asyncDispose]: free,
  };
}
