import type { DescMessage } from '@bufbuild/protobuf';
import type { ServerDuplexStream, ServerReadableStream } from '@grpc/grpc-js';
import type { CallRun } from './call-run.ts';
import { decodeRequest } from './codec.ts';
import { PullReader } from './pull-reader.ts';

/** A streaming call's request side on the transport. */
export type RequestWire = ServerReadableStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>;

/** The request messages of a call, decoded and filtered as they are pulled. */
export class RequestStream implements AsyncIterableIterator<unknown, undefined> {
  readonly #run: CallRun;
  readonly #desc: DescMessage;
  readonly #reader: PullReader<Buffer>;
  #isLeft = false;

  constructor(run: CallRun, desc: DescMessage, wire: RequestWire) {
    this.#run = run;
    this.#desc = desc;
    this.#reader = new PullReader(wire, () => run.abortReason);
  }

  async next(): Promise<IteratorResult<unknown, undefined>> {
    const bytes = this.#isLeft ? null : await this.#reader.read();
    if (bytes === null) return { done: true, value: undefined };
    const message = decodeRequest(this.#desc, bytes);
    this.#run.requestMessages++;
    const hook = this.#run.session?.requestMessage;
    return { done: false, value: hook ? await hook.call(this.#run.session, message) : message };
  }

  /** The handler left its loop: what the caller still sends is dropped with the end of the call. */
  return(): Promise<IteratorResult<unknown, undefined>> {
    this.#isLeft = true;
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Makes a waiting pull see that the call was stopped. */
  wake(): void {
    this.#reader.wake();
  }
}
