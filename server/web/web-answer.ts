import type { ServerResponse } from 'node:http';
import type { CallMetadata } from '../core/call.ts';
import type { Clock } from '../core/clock.ts';
import { Code } from '../core/codes.ts';
import type { AppError } from '../core/errors.ts';
import { DrainGate } from '../rpc/drain-gate.ts';
import { WireMetadata } from '../rpc/metadata.ts';
import { toStatus } from '../rpc/status.ts';
import { headerLines } from './call-head.ts';
import { exposeHeaders } from './cors.ts';
import { messageFrame, trailersFrame } from './frames.ts';
import { toText } from './text-mode.ts';

export interface WebAnswerOptions {
  readonly isText: boolean;
  /** The connection is not used again. */
  readonly isLast: boolean;
  readonly clock: Clock;
  /** A reader who takes nothing for this long is cut, in ms. */
  readonly stallTimeoutMs: number;
  /** Told of a reader who was cut. */
  readonly onStall: () => void;
}

/** The answer of one call: headers, messages, and the status in the last frame. After the browser left, nothing. */
export class WebAnswer {
  readonly #response: ServerResponse;
  readonly #options: WebAnswerOptions;
  readonly #gate: DrainGate;
  #trailers: CallMetadata | undefined;
  #hasBody = false;

  constructor(response: ServerResponse, options: WebAnswerOptions) {
    this.#response = response;
    this.#options = options;
    this.#gate = new DrainGate(response);
    response.once('close', () => this.#gate.open());
    if (options.isLast) response.shouldKeepAlive = false;
  }

  /** Sends the headers of the call: with the first message, or alone when none comes at once. */
  begin(headers: CallMetadata): void {
    const response = this.#response;
    if (response.headersSent || response.destroyed) return;
    this.#writeHead(headerLines(headers));
    setImmediate(() => {
      if (!this.#hasBody && !response.destroyed) response.flushHeaders();
    });
  }

  /** Resolves when the browser can take more. */
  async write(message: Uint8Array): Promise<void> {
    const response = this.#response;
    if (response.destroyed) return;
    if (!response.headersSent) this.#writeHead([]);
    this.#hasBody = true;
    if (response.write(this.#encode(messageFrame(message)))) return;
    const stopWaiting = this.#cutLater();
    await this.#gate.wait();
    stopWaiting();
  }

  /** Trailers to be sent with the status. */
  setTrailers(trailers: CallMetadata): void {
    this.#trailers = trailers;
  }

  succeed(): void {
    this.#end(`grpc-status: ${Code.OK}\r\n`, this.#trailers);
  }

  fail(error: AppError): void {
    const trailers = this.#trailers instanceof WireMetadata ? this.#trailers.wire : undefined;
    const { code, details, metadata } = toStatus(error, undefined, trailers);
    this.#end(`grpc-status: ${code}\r\ngrpc-message: ${encodeURI(details)}\r\n`, new WireMetadata(metadata));
  }

  #end(status: string, trailers: CallMetadata | undefined): void {
    const response = this.#response;
    if (response.destroyed) return;
    if (!response.headersSent) this.#writeHead([]);
    this.#hasBody = true;
    const lines = trailers === undefined ? [] : headerLines(trailers);
    response.end(this.#encode(trailersFrame(status + lines.map(([key, value]) => `${key}: ${value}\r\n`).join(''))));
    response.once('close', this.#cutLater());
  }

  #writeHead(lines: readonly (readonly [name: string, value: string])[]): void {
    exposeHeaders(
      this.#response,
      lines.map(([name]) => name),
    );
    for (const [name, value] of lines) this.#response.setHeader(name, value);
    this.#response.writeHead(200, {
      'content-type': `application/grpc-web${this.#options.isText ? '-text' : ''}+proto`,
      'x-content-type-options': 'nosniff',
    });
  }

  #encode(frame: Buffer): Buffer | string {
    return this.#options.isText ? toText(frame) : frame;
  }

  /** Cuts the connection unless the returned function is called in time. */
  #cutLater(): () => void {
    const { clock, stallTimeoutMs, onStall } = this.#options;
    return clock.schedule(stallTimeoutMs, () => {
      onStall();
      this.#response.destroy();
    });
  }
}
