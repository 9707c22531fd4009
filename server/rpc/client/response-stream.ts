import type { DescMessage } from '@bufbuild/protobuf';
import type { ClientDuplexStream, ClientReadableStream } from '@grpc/grpc-js';
import { decodeResponse } from '../codec.ts';
import { PullReader } from '../pull-reader.ts';
import { appErrorFrom } from './client-call.ts';

/** The responses of a streaming call, pulled one by one; leaving early cancels the call. */
export class ResponseStream implements AsyncIterableIterator<unknown, undefined> {
  readonly #call: ClientReadableStream<Buffer> | ClientDuplexStream<Buffer, Buffer>;
  readonly #desc: DescMessage;
  readonly #reader: PullReader<Buffer>;
  #failure: unknown;
  #isLeft = false;

  constructor(call: ClientReadableStream<Buffer> | ClientDuplexStream<Buffer, Buffer>, desc: DescMessage) {
    this.#call = call;
    this.#desc = desc;
    this.#reader = new PullReader(call, () => this.#failure);
    call.on('error', (error: unknown) => this.fail(appErrorFrom(error)));
  }

  /** Ends the stream with an error after what has arrived; the first one counts. */
  fail(error: unknown): void {
    this.#failure ??= error;
    this.#reader.wake();
  }

  async next(): Promise<IteratorResult<unknown, undefined>> {
    const bytes = this.#isLeft ? null : await this.#reader.read();
    if (bytes === null) return { done: true, value: undefined };
    return { done: false, value: decodeResponse(this.#desc, bytes) };
  }

  return(): Promise<IteratorResult<unknown, undefined>> {
    this.#isLeft = true;
    this.#call.cancel();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}
