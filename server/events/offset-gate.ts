/** Lets callers wait until a reader of a log has passed an offset. */
export interface OffsetGate {
  pass(offset: bigint): void;
  /** True once `offset` was passed; false when the signal aborts first. */
  reached(offset: bigint, signal: AbortSignal): Promise<boolean>;
}

/** Nothing is passed yet. */
export function createOffsetGate(): OffsetGate {
  let passed = 0n;
  const waiters = new Set<{ offset: bigint; settle: (isReached: boolean) => void }>();
  return {
    pass: (offset) => {
      passed = offset;
      for (const waiter of waiters) if (waiter.offset <= passed) waiter.settle(true);
    },
    reached: (offset, signal) => {
      if (offset <= passed) return Promise.resolve(true);
      if (signal.aborted) return Promise.resolve(false);
      const { promise, resolve } = Promise.withResolvers<boolean>();
      const giveUp = () => waiter.settle(false);
      const waiter = {
        offset,
        settle: (isReached: boolean) => {
          waiters.delete(waiter);
          signal.removeEventListener('abort', giveUp);
          resolve(isReached);
        },
      };
      waiters.add(waiter);
      signal.addEventListener('abort', giveUp, { once: true });
      return promise;
    },
  };
}
