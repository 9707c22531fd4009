import type { Readable } from 'node:stream';

/**
 * Reads an object stream one item at a time, only when asked, and never destroys it: `for await` over a duplex
 * gRPC call destroys the call when the other side half-closes, and the call hangs.
 */
export class PullReader<T> {
  readonly #stream: Readable;
  readonly #failure: () => unknown;
  #isListening = false;
  #isEnded = false;
  #wake: (() => void) | undefined;

  /** `failure` tells why the stream broke, undefined while it did not; items that arrived before still come first. */
  constructor(stream: Readable, failure: () => unknown) {
    this.#stream = stream;
    this.#failure = failure;
  }

  /** The next item, null at the end. Throws the failure. One read at a time. */
  async read(): Promise<T | null> {
    for (;;) {
      const item: T | null = this.#stream.destroyed ? null : this.#stream.read();
      if (item !== null) return item;
      const failure = this.#failure();
      if (failure !== undefined) throw failure;
      if (this.#isEnded || this.#stream.destroyed) return null;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        this.#listen();
      });
    }
  }

  /** Makes a waiting `read` look again; called when `failure` changes. */
  wake(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  // Listening for 'readable' starts the flow, so it waits for the first read that finds nothing.
  #listen(): void {
    if (this.#isListening) return;
    this.#isListening = true;
    const wake = () => this.wake();
    const end = () => {
      this.#isEnded = true;
      this.wake();
    };
    this.#stream.on('readable', wake).once('end', end).once('close', end);
    if (this.#stream.readableEnded) end();
  }
}
