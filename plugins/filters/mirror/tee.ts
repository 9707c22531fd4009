/** One source read by two: the main reader sets the pace, the copy never holds it back. */
export interface Tee {
  readonly main: AsyncIterable<Uint8Array>;
  /** Fails when the copy lags behind by more than the bound, or the main reader leaves before the end. */
  readonly copy: AsyncIterable<Uint8Array>;
}

/** `lost` is called when the copy is given up because more than `maxBytes` wait in it. */
export function createTee(source: AsyncIterable<Uint8Array>, maxBytes: number, lost: () => void): Tee {
  const waiting: Uint8Array[] = [];
  let bytes = 0;
  let isEnded = false;
  let isBroken = false;
  let wake = () => {};

  function give(item: Uint8Array): void {
    if (isBroken) return;
    bytes += item.byteLength;
    if (bytes > maxBytes) {
      breakOff();
      lost();
    } else waiting.push(item);
    wake();
  }

  function breakOff(): void {
    if (isEnded) return;
    isBroken = true;
    waiting.length = 0;
    wake();
  }

  async function* main(): AsyncGenerator<Uint8Array, undefined> {
    try {
      for await (const item of source) {
        give(item);
        yield item;
      }
      isEnded = true;
      wake();
    } finally {
      breakOff();
    }
  }

  async function* copy(): AsyncGenerator<Uint8Array, undefined> {
    for (;;) {
      if (isBroken) throw new Error('the copy of the requests is not whole');
      const item = waiting.shift();
      if (item !== undefined) {
        bytes -= item.byteLength;
        yield item;
      } else if (isEnded) return;
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  }

  return { main: main(), copy: copy() };
}
