import type { IncomingMessage } from 'node:http';
import { requestTooLarge } from './errors.ts';
import { FrameReader } from './frames.ts';
import { Base64Decoder } from './text-mode.ts';

/** Bounds of what a browser sends. */
export interface RequestLimits {
  /** Largest message, in bytes. */
  readonly maxMessageBytes: number;
  /** Largest body, decoded, in bytes. */
  readonly maxBodyBytes: number;
}

/**
 * The messages of a request body, read as fast as they are pulled. A body that is left in its midst is read to its end
 * and dropped, so that its connection can be used again. Throws what FrameReader and Base64Decoder throw, and
 * REQUEST_TOO_LARGE.
 */
export async function* requestMessages(
  request: IncomingMessage,
  isText: boolean,
  { maxMessageBytes, maxBodyBytes }: RequestLimits,
): AsyncGenerator<Uint8Array, void> {
  const frames = new FrameReader(maxMessageBytes);
  const decoder = isText ? new Base64Decoder() : undefined;
  let bytes = 0;
  try {
    // By itself the loop would destroy the request when it is left, and with it the connection and the answer.
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      const decoded = decoder === undefined ? chunk : decoder.push(chunk);
      bytes += decoded.length;
      if (bytes > maxBodyBytes) throw requestTooLarge('body', maxBodyBytes);
      yield* frames.push(decoded);
    }
    decoder?.end();
    frames.end();
  } finally {
    request.resume();
  }
}
