import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { Code } from '../core/codes.ts';
import { AppError } from '../core/errors.ts';
import type { ObjectInfo, ObjectStore } from '../stores/objects/object-store.ts';
import { parseByteRange } from './byte-range.ts';
import { decodePath } from './decode-path.ts';

/** The public part of an object store. */
export interface OriginFiles {
  readonly objects: ObjectStore;
  /** Only keys with this prefix are public. */
  readonly prefix: string;
}

/** What a browser tells a player of another site of an answer, besides type and length. */
const exposedHeaders = 'content-range, accept-ranges, etag';
/** How long a browser may remember what it may ask, in seconds. */
const preflightSeconds = '86400';

/** Answers a browser that asks whether a player of another site may ask for a part of a file. */
export function servePreflight(response: ServerResponse): void {
  response
    .writeHead(204, {
      'access-control-allow-origin': '*',
      'access-control-allow-methods': 'GET, HEAD',
      'access-control-allow-headers': 'range, if-none-match',
      'access-control-max-age': preflightSeconds,
    })
    .end();
}

/** Files below a version never change; manifests inside a version neither. */
const immutable = 'public, max-age=31536000, immutable';

/**
 * Answers GET or HEAD of a file, to players of any site; `signal` aborts when the player leaves. Throws what the store
 * throws, before the answer has begun or, for a body that breaks or ends too soon, in its midst.
 */
export async function serveFile(
  request: IncomingMessage,
  response: ServerResponse,
  { objects, prefix }: OriginFiles,
  signal: AbortSignal,
): Promise<void> {
  response.setHeader('access-control-allow-origin', '*');
  response.setHeader('access-control-expose-headers', exposedHeaders);
  const info = await findPublic(request.url ?? '/', objects, prefix);
  if (!info) {
    response.writeHead(404).end();
    return;
  }
  const etag = `"${info.sha256}"`;
  const headers = { 'accept-ranges': 'bytes', etag, 'cache-control': immutable };
  if (namesTag(request.headers['if-none-match'], etag)) {
    response.writeHead(304, headers).end();
    return;
  }
  const range = parseByteRange(request.headers.range, info.bytes);
  if (range === 'unsatisfiable') {
    response.writeHead(416, { 'content-range': `bytes */${info.bytes}` }).end();
    return;
  }
  const { start, end } = range ?? { start: 0, end: info.bytes };
  const begin = () =>
    response.writeHead(range ? 206 : 200, {
      ...headers,
      'content-type': info.contentType,
      'content-length': end - start,
      ...(range ? { 'content-range': `bytes ${start}-${end - 1}/${info.bytes}` } : {}),
    });
  if (request.method === 'HEAD') {
    begin().end();
    return;
  }
  const { body } = await objects.open(info.key, { start, end, signal });
  await pipeline(exactly(body, end - start, info.key), begin());
}

/** The body; fails at its end when it is shorter than it was said to be, since the player would wait for the rest. */
async function* exactly(body: AsyncIterable<Uint8Array>, bytes: number, key: string): AsyncGenerator<Uint8Array> {
  let sent = 0;
  for await (const piece of body) {
    sent += piece.byteLength;
    yield piece;
  }
  if (sent < bytes) throw new Error(`"${key}" ended after ${sent} of ${bytes} bytes`);
}

/** True when an If-None-Match header names the tag; weak ones count (RFC 9110 §13.1.2). */
function namesTag(header: string | undefined, etag: string): boolean {
  return header?.split(',').some((tag) => ['*', etag].includes(tag.trim().replace(/^W\//, ''))) ?? false;
}

/** The object behind a URL path; undefined for anything that is not a public object. */
async function findPublic(url: string, objects: ObjectStore, prefix: string): Promise<ObjectInfo | undefined> {
  try {
    const key = decodePath(url.split('?', 1)[0]?.slice(1) ?? '');
    return key?.startsWith(prefix) ? await objects.stat(key) : undefined;
  } catch (error) {
    // A path that is no key (e.g. traversal) names nothing public.
    if (error instanceof AppError && error.code === Code.INVALID_ARGUMENT) return undefined;
    throw error;
  }
}
