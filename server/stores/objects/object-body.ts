import { open } from 'node:fs/promises';
import { orAborted } from '../../core/or-aborted.ts';

const pieceBytes = 1024 * 1024;

/** The body as pieces of at most 1 MiB, so that hashing and writing never hold the event loop for long. */
export async function* piecesOf(
  body: Uint8Array | AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const chunks = body instanceof Uint8Array ? [body] : abortable(body, signal);
  for await (const chunk of chunks) {
    for (let start = 0; start < chunk.byteLength; start += pieceBytes) {
      signal?.throwIfAborted();
      yield chunk.subarray(start, start + pieceBytes);
    }
  }
  signal?.throwIfAborted();
}

/**
 * The bytes of a local file, or of `[start, end)` of it. The file is opened by the first read, never before: the error
 * of a read stream that opens at once is thrown at the process when it comes before anybody listens.
 */
export async function* fileBytes(path: string, start = 0, end = Number.POSITIVE_INFINITY): AsyncGenerator<Uint8Array> {
  await using file = await open(path, 'r');
  for (let position = start; position < end; ) {
    const piece = Buffer.allocUnsafeSlow(Math.min(end - position, pieceBytes));
    const { bytesRead } = await file.read(piece, 0, piece.byteLength, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    yield piece.subarray(0, bytesRead);
  }
}

/** The same chunks; rejects with the signal's reason also while the source keeps silent. */
async function* abortable<T>(source: AsyncIterable<T>, signal: AbortSignal | undefined): AsyncGenerator<T> {
  if (signal === undefined) {
    yield* source;
    return;
  }
  const iterator = source[Symbol.asyncIterator]();
  let isDone = false;
  try {
    for (;;) {
      const next = await orAborted(iterator.next(), signal);
      if (next === undefined) throw signal.reason;
      isDone = next.done === true;
      if (next.done) return;
      yield next.value;
    }
  } finally {
    // Not awaited: a source that keeps silent would hold the caller up for ever.
    if (!isDone) iterator.return?.()?.catch(() => {});
  }
}
