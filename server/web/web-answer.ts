import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
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

interface WebAnswerOptions {
  readonly isText: boolean;
  /** The connection is not used again. */
  readonly isLast: boolean;
  readonly clock: Clock;
  /** A reader who takes nothing for this long is cut, in ms. */
  readonly stallTimeoutMs: number;
  /** Told of a reader who was cut. */
  readonly onStall: () => void;
}

/** Messages are sent at the end of the turn of the event loop, or once they are this many bytes: each write costs the system. */
const flushBytes = 16_384;

/** The answer of one call: headers, messages, and the status in the last frame. After the browser left, nothing. */
export class WebAnswer {
  readonly #response: ServerResponse;
  readonly #options: WebAnswerOptions;
  readonly #gate: DrainGate;
  #headers: CallMetadata | undefined;
  #trailers: CallMetadata | undefined;
  #frames: Buffer[] = [];
  #bytes = 0;
  #isFlushSet = false;
  /** The browser must take something before more is written. */
  #isFull = false;

  constructor(response: ServerResponse, options: WebAnswerOptions) {
    this.#response = response;
    this.#options = options;
    this.#gate = new DrainGate(response);
    response.once('close', () => this.#gate.open());
    response.on('drain', () => {
      this.#isFull = false;
    });
    if (options.isLast) response.shouldKeepAlive = false;
  }

  /** Headers of the call. They are sent with the first message, or alone when none comes at once. */
  begin(headers: CallMetadata): void {
    this.#headers = headers;
    this.#flushLater();
  }

  /** Resolves when the browser can take more. */
  async write(message: Uint8Array): Promise<void> {
    this.#add(messageFrame(message));
    if (this.#bytes >= flushBytes) this.#flush();
    else this.#flushLater();
    if (!this.#isFull || this.#response.destroyed) return;
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
    const lines = trailers === undefined ? [] : headerLines(trailers);
    this.#add(trailersFrame(status + lines.map(([key, value]) => `${key}: ${value}\r\n`).join('')));
    const body = this.#take();
    if (!response.headersSent) this.#writeHead({ 'content-length': body.length });
    response.end(body);
    response.once('close', this.#cutLater());
  }

  #add(frame: Buffer): void {
    this.#frames.push(frame);
    this.#bytes += frame.length;
  }

  /** What is to be sent, as it is sent. */
  #take(): Buffer {
    const [only, ...more] = this.#frames;
    const bytes = only === undefined || more.length > 0 ? Buffer.concat(this.#frames, this.#bytes) : only;
    this.#frames = [];
    this.#bytes = 0;
    return this.#options.isText ? toText(bytes) : bytes;
  }

  #flushLater(): void {
    if (this.#isFlushSet) return;
    this.#isFlushSet = true;
    setImmediate(() => {
      this.#isFlushSet = false;
      this.#flush();
    });
  }

  #flush(): void {
    const response = this.#response;
    if (response.destroyed || response.writableEnded) return;
    if (!response.headersSent) this.#writeHead({});
    if (this.#bytes === 0) response.flushHeaders();
    else if (!response.write(this.#take())) this.#isFull = true;
  }

  #writeHead(more: OutgoingHttpHeaders): void {
    const lines = this.#headers === undefined ? [] : headerLines(this.#headers);
    exposeHeaders(
      this.#response,
      lines.map(([name]) => name),
    );
    for (const [name, value] of lines) this.#response.setHeader(name, value);
    this.#response.writeHead(200, {
      'content-type': `application/grpc-web${this.#options.isText ? '-text' : ''}+proto`,
      'x-content-type-options': 'nosniff',
      ...more,
    });
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
