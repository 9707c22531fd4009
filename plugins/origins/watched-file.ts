import { type FSWatcher, watch } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { type Clock, type Logger, messageOf } from '../engine/filter.ts';

const maxBytes = 4 * 1024 * 1024;

interface WatchedFileOptions<T> {
  readonly path: string;
  /** Throws when the text is not valid: what was read before stays. */
  readonly parse: (text: string) => T;
  readonly changed: (value: T) => void;
  readonly clock: Clock;
  readonly log: Logger;
  /** How often the file is looked at without a notice, for file systems that give none, in ms; default 5000. */
  readonly pollMs?: number;
}

/**
 * Reads a file now and whenever it changes; replace it by rename, so that no half of it is read. Rejects when it
 * cannot be read now. The returned function ends the watch.
 */
export async function watchFile<T>(options: WatchedFileOptions<T>): Promise<() => void> {
  const { path, parse, changed, clock, log, pollMs = 5000 } = options;
  let last = await read(path);
  let isReading = false;
  let isDirty = false;
  let isClosed = false;
  let cancelPoll = () => {};
  changed(parse(last));

  async function look(): Promise<void> {
    try {
      const text = await read(path);
      if (isClosed || text === last) return;
      // Refused content is not tried again until it changes.
      last = text;
      changed(parse(text));
    } catch (error) {
      log.error('watched file cannot be used, what was read before stays', { path, error: messageOf(error) });
    }
  }

  function lookSoon(): void {
    if (isClosed) return;
    isDirty = true;
    if (!isReading) void lookWhileDirty();
  }

  async function lookWhileDirty(): Promise<void> {
    isReading = true;
    while (isDirty) {
      isDirty = false;
      await look();
    }
    isReading = false;
  }

  function poll(): void {
    cancelPoll = clock.schedule(pollMs, () => {
      lookSoon();
      poll();
    });
  }

  const watcher = watchFolder(path, lookSoon, log);
  poll();
  return () => {
    isClosed = true;
    cancelPoll();
    watcher?.close();
  };
}

/** The folder is watched, because a rename gives the name to another file. Without notices there is the poll. */
function watchFolder(path: string, changed: () => void, log: Logger): FSWatcher | undefined {
  try {
    const watcher = watch(dirname(path), { persistent: false }, (_event, name) => {
      if (name === null || name === basename(path)) changed();
    });
    watcher.on('error', (error) => log.warn('folder is no longer watched', { path, error: messageOf(error) }));
    return watcher;
  } catch (error) {
    log.warn('folder cannot be watched', { path, error: messageOf(error) });
    return undefined;
  }
}

async function read(path: string): Promise<string> {
  if ((await stat(path)).size > maxBytes) throw new Error(`${path} is larger than ${maxBytes} bytes`);
  return readFile(path, 'utf8');
}
