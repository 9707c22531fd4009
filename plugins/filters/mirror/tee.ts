import { maxKeptRequests } from '../../origins/replay.ts';

/** One source read by two: the main reader sets the pace, the copy never holds it back. */
export interface Tee {
  readonly main: AsyncIterable<Uint8Array>;
  /** Fails when the copy lags behind by more than the bound, or the main reader leaves before the end. */
  readonly copy: AsyncIterable<Uint8Array>;
  /** Nobody will read `main` any more: a copy that is not whole by now never will be. */
  leave(): void;
}

/** Why a copy is not whole: more than its bound (or `maxKeptRequests`) waited in it, or the main reader left before the end. */
export type TeeBreak = 'overrun' | 'left';

/** `broken` is called once when the copy is given up; its reader, which may not be reading, must then be stopped. */
export function createTee(source: AsyncIterable<Uint8Array>, maxBytes: number, broken: (why: TeeBreak) => void): Tee {
  const waiting: Uint8Array[] = [];
  let bytes = 0;
  let isEnded = false;
  let isBroken = false;
  let wake = () => {};

  function give(item: Uint8Array): void {
    if (isBroken) return;
    bytes += item.byteLength;
    if (bytes > maxBytes || waiting.length >= maxKeptRequests) breakOff('overrun');
    else waiting.push(item);
    wake();
  }

  function breakOff(why: TeeBreak): void {
    if (isEnded || isBroken) return;
    isBroken = true;
    waiting.length = 0;
    wake();
    broken(why);
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
      breakOff('left');
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

  return { main: main(), copy: copy(), leave: () => breakOff('left') };
}
