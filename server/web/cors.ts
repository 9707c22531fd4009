import type { IncomingMessage, ServerResponse } from 'node:http';

/** Which pages may call, and how browsers are told. */
export interface Cors {
  /**
   * Sets the headers that let the page of an allowed origin read the answer. False for an origin that is not allowed:
   * nothing was set. Requests without an origin come from no page of another site, and pass.
   */
  admit(request: IncomingMessage, response: ServerResponse): boolean;
}

/** Chromium's upper limit for it, in seconds. */
const maxAgeSeconds = 7_200;
/** Headers of an answer that pages may always read. */
const exposedHeaders = ['grpc-status', 'grpc-message', 'grpc-status-details-bin'];
const headerName = /^[\w.-]+$/;

/**
 * `origins` as browsers send them, or `*` alone. Credentials of the browser (cookies) are never allowed: callers prove
 * themselves by metadata.
 */
export function createCors(origins: readonly string[]): Cors {
  const allowed = new Set(origins);
  const isOpen = allowed.has('*');
  return {
    admit: (request, response) => {
      const { origin } = request.headers;
      // A cache must not give the answer for one page, or for none, to another.
      if (!isOpen) response.setHeader('vary', 'origin');
      if (origin === undefined) return true;
      if (!isOpen && !allowed.has(origin)) return false;
      response.setHeader('access-control-allow-origin', isOpen ? '*' : origin);
      return true;
    },
  };
}

/** Lets the page read these headers of the answer beside those of gRPC. */
export function exposeHeaders(response: ServerResponse, names: readonly string[]): void {
  if (!response.hasHeader('access-control-allow-origin')) return;
  response.setHeader('access-control-expose-headers', [...exposedHeaders, ...names].join(', '));
}

/** Answers the question that a browser asks before the call. Any name may be metadata, so all that are asked for are allowed. */
export function answerPreflight(request: IncomingMessage, response: ServerResponse): void {
  const asked = request.headers['access-control-request-headers']?.split(',').map((name) => name.trim()) ?? [];
  if (response.hasHeader('access-control-allow-origin')) {
    response.setHeader('access-control-allow-methods', 'POST');
    const names = asked.filter((name) => headerName.test(name));
    if (names.length > 0) response.setHeader('access-control-allow-headers', names.join(', '));
    response.setHeader('access-control-max-age', String(maxAgeSeconds));
  }
  response.writeHead(204, { allow: 'POST, OPTIONS' }).end();
}
