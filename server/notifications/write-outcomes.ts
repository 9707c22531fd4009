/** What became of the newest offsets on one stream, for publishers that want to know. */
export interface WriteOutcomes {
  settle(offset: bigint, isWritten: boolean): void;
  /** The outcome of an offset; false when the signal aborts first, or when it was settled too long ago to know. */
  of(offset: bigint, signal: AbortSignal): Promise<boolean>;
  /** Answers false to all who wait now or later. */
  close(): void;
}

/** Outcomes remembered per stream: a publisher asks right after its append. */
const remembered = 64;

/** Remembers the newest 64. */
export function createWriteOutcomes(): WriteOutcomes {
  const outcomes = new Map<bigint, boolean>();
  const waiters = new Map<bigint, Set<(isWritten: boolean) => void>>();
  let newest = 0n;
  let isClosed = false;

  return {
    settle: (offset, isWritten) => {
      newest = offset;
      outcomes.set(offset, isWritten);
      const [oldest] = outcomes.keys();
      if (outcomes.size > remembered && oldest !== undefined) outcomes.delete(oldest);
      for (const settle of waiters.get(offset) ?? []) settle(isWritten);
    },
    of: (offset, signal) => {
      const known = outcomes.get(offset);
      if (known !== undefined) return Promise.resolve(known);
      if (isClosed || signal.aborted || offset <= newest) return Promise.resolve(false);
      const { promise, resolve } = Promise.withResolvers<boolean>();
      const giveUp = () => settle(false);
      const settle = (isWritten: boolean) => {
        signal.removeEventListener('abort', giveUp);
        atOffset.delete(settle);
        if (atOffset.size === 0) waiters.delete(offset);
        resolve(isWritten);
      };
      const atOffset = waiters.get(offset) ?? new Set();
      waiters.set(offset, atOffset.add(settle));
      signal.addEventListener('abort', giveUp, { once: true });
      return promise;
    },
    close: () => {
      isClosed = true;
      for (const atOffset of [...waiters.values()]) for (const settle of [...atOffset]) settle(false);
    },
  };
}
