import type { Writable } from 'node:stream';

/** Waits until a stream takes more after `write` gave false; whoever stops the stream opens it, too. */
export class DrainGate {
  readonly #stream: Pick<Writable, 'on'>;
  #isListening = false;
  #resolve: (() => void) | undefined;

  constructor(stream: Pick<Writable, 'on'>) {
    this.#stream = stream;
  }

  wait(): Promise<void> {
    if (!this.#isListening) {
      this.#isListening = true;
      this.#stream.on('drain', () => this.open());
    }
    return new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  open(): void {
    this.#resolve?.();
  }
}
