import type { DescMessage } from '@bufbuild/protobuf';
import type { ServerDuplexStream, ServerReadableStream } from '@grpc/grpc-js';
import type { StreamAnswer } from '../../core/call.ts';
import { droppedMessage } from '../../core/dropped-message.ts';
import { PullReader } from '../pull-reader.ts';
import type { CallRun } from './call-run.ts';
import { takeRequestAs } from './session-hooks.ts';

/** A streaming call's request side on the transport. */
export type RequestWire = ServerReadableStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>;

/** The request messages of a call, filtered as they are pulled; decoded unless an answer takes them as bytes. */
export class RequestStream implements AsyncIterableIterator<unknown, undefined> {
  readonly #run: CallRun;
  readonly #desc: DescMessage | undefined;
  readonly #encoding: StreamAnswer['encoding'];
  readonly #reader: PullReader<Buffer>;
  #isLeft = false;

  /** `desc` is undefined for an unknown method: its messages are bytes. */
  constructor(
    run: CallRun,
    desc: DescMessage | undefined,
    wire: RequestWire,
    encoding: StreamAnswer['encoding'] = 'message',
  ) {
    this.#run = run;
    this.#desc = desc;
    this.#encoding = encoding;
    this.#reader = new PullReader(wire, () => run.abortReason);
  }

  async next(): Promise<IteratorResult<unknown, undefined>> {
    for (;;) {
      const bytes = this.#isLeft ? null : await this.#reader.read();
      if (bytes === null) return { done: true, value: undefined };
      let request = takeRequestAs(this.#run, this.#desc, bytes, this.#encoding);
      if (request instanceof Promise) request = await request;
      if (request !== droppedMessage) return { done: false, value: request };
    }
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
