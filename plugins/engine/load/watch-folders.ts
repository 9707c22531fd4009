import { watch } from 'node:fs';
import type { Clock } from '../../../server/core/clock.ts';
import { messageOf } from '../../../server/core/errors.ts';
import type { Logger } from '../../../server/core/log.ts';

interface WatchOptions {
  readonly dirs: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
  /** Quiet time after the last event before `changed` is called, in ms. */
  readonly debounceMs: number;
  readonly changed: () => void;
}

/** Calls `changed` some time after anything in the folders changed. Events only hint: the content decides. */
export function watchFolders({ dirs, clock, log, debounceMs, changed }: WatchOptions): { close(): void } {
  let cancel = () => {};
  let isClosed = false;
  const hint = () => {
    cancel();
    if (!isClosed) cancel = clock.schedule(debounceMs, changed);
  };
  // A server without watching still serves, and reloads when it is told to.
  const unwatched = (dir: string, error: unknown) =>
    log.warn('filter folder cannot be watched', { dir, error: messageOf(error) });
  const watchers = dirs.flatMap((dir) => {
    try {
      const watcher = watch(dir, { recursive: true, persistent: false }, hint);
      watcher.on('error', (error) => unwatched(dir, error));
      return [watcher];
    } catch (error) {
      unwatched(dir, error);
      return [];
    }
  });
  return {
    close: () => {
      isClosed = true;
      cancel();
      for (const watcher of watchers) watcher.close();
    },
  };
}
