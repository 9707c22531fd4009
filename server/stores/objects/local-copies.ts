import { createHash } from 'node:crypto';
import { chmod, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { extname, join } from 'node:path';
import type { Clock } from '../../core/clock.ts';
import { writeFailure } from '../store-errors.ts';
import type { ObjectInfo } from './object-store.ts';
import { objectCorrupt } from './s3-errors.ts';
import { ifPresent, writeAll } from './synced-files.ts';
import { openTempFolder, takeTempFile } from './temp-files.ts';

/** Where copies are kept, and how much of them. */
export interface LocalCopiesOptions {
  readonly dir: string;
  readonly clock: Clock;
  /** Bytes kept besides the copies that were handed out within `pinnedMs`. */
  readonly maxBytes: number;
  /** How long a copy that was handed out is safe, in ms. Default 6 hours. */
  readonly pinnedMs?: number;
}

/** Copies of remote objects on the local disk for child processes, named by content; processes may share the folder. */
export interface LocalCopies {
  /** Path of a read-only copy; downloads it once for all who wait. Throws OBJECT_CORRUPT, DISK_FULL, DISK_FAILED. */
  get(
    info: ObjectInfo,
    open: (signal: AbortSignal) => AsyncIterable<Uint8Array>,
    signal?: AbortSignal,
  ): Promise<string>;
}

interface Download {
  readonly path: Promise<string>;
  readonly abort: AbortController;
  waiters: number;
}

const pinnedByDefaultMs = 6 * 60 * 60 * 1000;

/** Opens the folder, made when absent, and removes what dead processes left in it. */
export async function openLocalCopies(options: LocalCopiesOptions): Promise<LocalCopies> {
  const { dir, clock, maxBytes, pinnedMs = pinnedByDefaultMs } = options;
  const tempFolder = join(dir, '.tmp');
  await openTempFolder(tempFolder, clock);
  const downloads = new Map<string, Download>();

  async function download(path: string, info: ObjectInfo, body: AsyncIterable<Uint8Array>): Promise<string> {
    await using temp = takeTempFile(tempFolder, clock);
    const onDisk = <T>(work: Promise<T>) => work.catch((error) => Promise.reject(writeFailure(path, error)));
    const hash = createHash('sha256');
    {
      await using file = await onDisk(open(temp.path, 'wx', 0o600));
      for await (const chunk of body) {
        hash.update(chunk);
        await onDisk(writeAll(file, chunk));
      }
    }
    if (hash.digest('hex') !== info.sha256) throw objectCorrupt(info.key);
    await onDisk(chmod(temp.path, 0o400).then(() => rename(temp.path, path)));
    await evict();
    return path;
  }

  /** The longest unused go first; those handed out a short while ago stay, also over the bound. */
  async function evict(): Promise<void> {
    const found = await Promise.all(
      (await readdir(dir)).map(async (name) => ({
        path: join(dir, name),
        stats: await ifPresent(stat(join(dir, name))),
      })),
    );
    const files = found.flatMap(({ path, stats }) =>
      stats?.isFile() ? [{ path, bytes: stats.size, at: stats.mtimeMs }] : [],
    );
    let total = files.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const { path, bytes, at } of files.sort((a, b) => a.at - b.at)) {
      if (total <= maxBytes || clock.now() - at < pinnedMs) return;
      await rm(path, { force: true });
      total -= bytes;
    }
  }

  async function present(path: string, bytes: number): Promise<boolean> {
    if ((await ifPresent(stat(path)))?.size !== bytes) return false;
    const now = clock.now() / 1_000;
    return (await ifPresent(utimes(path, now, now).then(() => true))) === true;
  }

  return {
    get: async (info, open, signal) => {
      signal?.throwIfAborted();
      const ending = /^\.[a-z0-9]{1,8}$/i.exec(extname(info.key))?.[0] ?? '';
      const path = join(dir, `${info.sha256}${ending}`);
      if (await present(path, info.bytes)) return path;
      let running = downloads.get(path);
      if (running === undefined) {
        const abort = new AbortController();
        const started: Download = { path: download(path, info, open(abort.signal)), abort, waiters: 0 };
        running = started;
        downloads.set(path, started);
        const forget = () => {
          if (downloads.get(path) === started) downloads.delete(path);
        };
        // Each waiter hears of a failure below; the last one may have left.
        started.path.then(forget, forget);
      }
      running.waiters++;
      try {
        return await abortable(running.path, signal);
      } finally {
        running.waiters--;
        if (running.waiters === 0) {
          // Whoever asks from now on does not wait for what is being given up.
          downloads.delete(path);
          running.abort.abort(signal?.reason);
        }
      }
    },
  };
}

async function abortable<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
