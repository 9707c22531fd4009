import type { Clock } from '../../core/clock.ts';

/** Lets a long computation share its thread: between slices timers, sockets and aborts get their turn. */
export interface Pacer {
  /** True when the slice is used up. Cheap enough to ask after some microseconds of work. */
  isDue(): boolean;
  /** Gives the event loop a turn, then rejects with the signal's reason when it was aborted. */
  rest(): Promise<void>;
}

/** `sliceMs` (default 20) is how long the thread may be kept at a time. */
export function createPacer(clock: Clock, signal: AbortSignal, sliceMs = 20): Pacer {
  let sliceEnd = clock.monotonic() + sliceMs;
  return {
    isDue: () => clock.monotonic() >= sliceEnd,
    rest: async () => {
      await new Promise((resolve) => setImmediate(resolve));
      signal.throwIfAborted();
      sliceEnd = clock.monotonic() + sliceMs;
    },
  };
}
