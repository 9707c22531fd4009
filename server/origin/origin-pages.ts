import type { IncomingMessage, ServerResponse } from 'node:http';
import { decodePath } from './decode-path.ts';

/** Read-only pages below a path of their own; they are not for other sites to read, so they carry no CORS header. */
export interface OriginPages {
  /** e.g. `notebooks/`. */
  readonly prefix: string;
  /** The page of a decoded path below the prefix; undefined for one that is not there. Errors of its own are 500. */
  render(path: string, query: URLSearchParams, signal: AbortSignal): Promise<OriginPage | undefined>;
}

/** A page that was made for one request. */
export interface OriginPage {
  readonly html: Uint8Array;
  /** Header values by lower-case name; with an `etag`, a page that the browser has is not sent again. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Answers GET or HEAD of a page; `signal` aborts when the browser leaves. */
export async function servePage(
  request: IncomingMessage,
  response: ServerResponse,
  { prefix, render }: OriginPages,
  signal: AbortSignal,
): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://origin');
  const path = decodePath(pathname.slice(prefix.length + 1));
  const page = path === undefined ? undefined : await render(path, searchParams, signal);
  if (page === undefined) {
    response.writeHead(404).end();
    return;
  }
  for (const [name, value] of Object.entries(page.headers)) response.setHeader(name, value);
  response.setHeader('x-content-type-options', 'nosniff');
  const { etag } = page.headers;
  if (etag !== undefined && request.headers['if-none-match'] === etag) {
    response.writeHead(304).end();
    return;
  }
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'content-length': page.html.length });
  response.end(request.method === 'HEAD' ? undefined : page.html);
}
