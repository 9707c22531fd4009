import type { ChannelInterface, Metadata, StatusObject } from '@grpc/grpc-js';
import { Code } from '../../core/codes.ts';
import { AppError } from '../../core/errors.ts';
import type { OriginCallOptions } from '../../core/origins.ts';
import { viewOf } from '../codec.ts';
import { callCancelled } from '../errors.ts';
import { WireMetadata } from '../metadata.ts';
import { originErrorFrom } from './origin-status.ts';

type TransportCall = ReturnType<ChannelInterface['createCall']>;
type Result = IteratorResult<Uint8Array, undefined>;

const end: Result = { done: true, value: undefined };

/** One call and the channel that carries it. */
export interface RawCallInit {
  readonly channel: ChannelInterface;
  readonly path: string;
  readonly metadata: Metadata;
  readonly requests: AsyncIterable<Uint8Array>;
  readonly options: OriginCallOptions;
  /** Called once, when the call is over; with why, unless it succeeded or was left. */
  readonly ended: (failure: AppError | undefined) => void;
}

/**
 * A call with encoded messages, straight on the channel: no streams, serialisers or interceptors between, and one
 * message asked for per pull, which is what makes the back-pressure. Its iterator gives the responses.
 */
export class RawCall implements AsyncIterableIterator<Uint8Array, undefined> {
  readonly #init: RawCallInit;
  readonly #call: TransportCall;
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #cancel = (): void => this.#fail(abortReason(this.#init.options.signal));
  #pull: { resolve: (result: Result) => void; reject: (failure: unknown) => void } | undefined;
  #writeDone: (() => void) | undefined;
  #isOver = false;
  #failure: unknown;

  constructor(init: RawCallInit) {
    const { channel, path, metadata, requests, options } = init;
    this.#init = init;
    this.#source = requests[Symbol.asyncIterator]();
    this.#call = channel.createCall(path, options.deadline, null, null, null);
    this.#call.start(metadata, {
      onReceiveMetadata: (headers) => options.onHeaders?.(new WireMetadata(headers)),
      onReceiveMessage: (bytes: Uint8Array) => {
        const pull = this.#pull;
        this.#pull = undefined;
        pull?.resolve({ done: false, value: bytes });
      },
      onReceiveStatus: (status) => this.#onStatus(status),
    });
    if (options.signal?.aborted) this.#cancel();
    else {
      options.signal?.addEventListener('abort', this.#cancel, { once: true });
      this.#sendAll().catch((fault: unknown) => this.#fail(fault));
    }
  }

  /** One pull at a time. */
  next(): Promise<Result> {
    if (this.#isOver) return this.#failure === undefined ? Promise.resolve(end) : Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#pull = { resolve, reject };
      this.#call.startRead();
    });
  }

  /** Leaves the call: it is cancelled unless it has ended. */
  return(): Promise<Result> {
    if (!this.#isOver) this.#stop(undefined, undefined);
    this.#failure = undefined;
    return Promise.resolve(end);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  async #sendAll(): Promise<void> {
    let written: Promise<void> | undefined;
    while (!this.#isOver) {
      const result = await this.#source.next();
      if (this.#isOver) return;
      if (result.done) {
        this.#call.halfClose();
        return;
      }
      // One request is read ahead, so that the only one of a unary call is half-closed at once.
      if (written !== undefined) await written;
      if (this.#isOver) return;
      written = this.#write(result.value);
    }
  }

  #write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      this.#writeDone = resolve;
      this.#call.sendMessageWithContext({ callback: () => resolve() }, viewOf(bytes));
    });
  }

  #onStatus(status: StatusObject): void {
    if (this.#isOver) return;
    this.#init.options.onTrailers?.(new WireMetadata(status.metadata));
    if (status.code === Code.OK) {
      this.#finish(undefined, undefined);
      return;
    }
    // The transport names its own target as the peer of a call that never got a connection.
    const isSent = this.#call.getPeer() !== this.#init.channel.getTarget();
    const failure = originErrorFrom(status, isSent);
    this.#finish(failure, failure);
  }

  #fail(failure: unknown): void {
    if (!this.#isOver) this.#stop(failure, failure instanceof AppError ? failure : undefined);
  }

  #stop(failure: unknown, known: AppError | undefined): void {
    this.#finish(failure, known);
    this.#call.cancelWithStatus(Code.CANCELLED, 'left');
  }

  #finish(failure: unknown, known: AppError | undefined): void {
    this.#isOver = true;
    this.#failure = failure;
    this.#init.options.signal?.removeEventListener('abort', this.#cancel);
    this.#writeDone?.();
    // Its failure has no reader left: the call has ended.
    void this.#source.return?.()?.catch(() => {});
    const pull = this.#pull;
    this.#pull = undefined;
    if (failure === undefined) pull?.resolve(end);
    else pull?.reject(failure);
    this.#init.ended(known);
  }
}

function abortReason(signal: AbortSignal | undefined): unknown {
  return signal?.reason instanceof AppError ? signal.reason : callCancelled();
}
