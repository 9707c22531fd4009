/** Tells watchers which filters changed. A slow watcher holds no more than the set of their ids. */
export interface ChangeFeed {
  changed(ids: readonly string[]): void;
  /** First undefined (all), then the ids that changed since the watcher last asked; ends when the signal aborts. */
  watch(signal: AbortSignal): AsyncGenerator<ReadonlySet<string> | undefined, void>;
  /** Ends every watch. */
  end(): void;
  readonly watchers: number;
}

interface Watcher {
  pending: Set<string>;
  wake: () => void;
}

/** A feed that nobody watches yet. */
export function createChangeFeed(): ChangeFeed {
  const watchers = new Set<Watcher>();
  let isOver = false;
  return {
    changed: (ids) => {
      for (const watcher of watchers) {
        for (const id of ids) watcher.pending.add(id);
        watcher.wake();
      }
    },
    watch: async function* (signal) {
      const watcher: Watcher = { pending: new Set(), wake: () => {} };
      watchers.add(watcher);
      const onAbort = () => watcher.wake();
      signal.addEventListener('abort', onAbort, { once: true });
      try {
        yield undefined;
        while (!signal.aborted && !isOver) {
          if (watcher.pending.size === 0) {
            await new Promise<void>((resolve) => {
              watcher.wake = resolve;
            });
            continue;
          }
          const ids = watcher.pending;
          watcher.pending = new Set();
          yield ids;
        }
      } finally {
        watchers.delete(watcher);
        signal.removeEventListener('abort', onAbort);
      }
    },
    end: () => {
      isOver = true;
      for (const watcher of watchers) watcher.wake();
    },
    get watchers() {
      return watchers.size;
    },
  };
}
