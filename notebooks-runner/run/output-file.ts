import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Clock } from '../../server/core/clock.ts';
import { messageOf } from '../../server/core/errors.ts';
import type { Logger } from '../../server/core/log.ts';
import { outputUnwritable } from '../errors.ts';

export interface OutputFileOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Least time between two saves, in ms; grows so that saving takes at most a quarter of the time. */
  readonly minIntervalMs: number;
  /** The whole document as it is now. */
  render(): string;
}

/** The output notebook on disk: at every moment a whole valid document, also after SIGKILL. */
export interface OutputFile {
  /** The document changed: it is saved soon, at most once per interval. */
  touch(): void;
  /** Saves the final document durably; NOTEBOOK_OUTPUT_UNWRITABLE on failure. */
  finish(): Promise<void>;
  /** Stops saving; what is on disk stays. */
  abandon(): Promise<void>;
}

/**
 * Creates the output file, with its folder, and writes the first state. Every save goes to a file beside it that then
 * takes its name, so a reader never sees half a document. Throws NOTEBOOK_OUTPUT_UNWRITABLE.
 */
export async function createOutputFile(options: OutputFileOptions): Promise<OutputFile> {
  const { clock, log, render } = options;
  const path = resolve(options.path);
  const temp = join(dirname(path), `.${basename(path)}.${process.pid}-${Math.floor(clock.monotonic() * 1000)}.tmp`);
  let intervalMs = options.minIntervalMs;
  let cancelTimer: (() => void) | undefined;
  let saving: Promise<void> = Promise.resolve();
  let isClosed = false;

  async function save(isDurable: boolean): Promise<void> {
    const startedMs = clock.monotonic();
    await replaceFile(path, temp, render(), isDurable);
    intervalMs = Math.max(options.minIntervalMs, 4 * (clock.monotonic() - startedMs));
  }

  function saveSoon(): void {
    cancelTimer = undefined;
    if (isClosed) return;
    // A full disk may be empty again by the end of the run, which reports its own failure.
    saving = save(false).catch((error: unknown) =>
      log.warn('output notebook not saved', { path, error: messageOf(error) }),
    );
  }

  async function close(): Promise<void> {
    isClosed = true;
    cancelTimer?.();
    await saving;
  }

  try {
    await mkdir(dirname(path), { recursive: true });
    await removeAbandoned(path);
    await save(false);
  } catch (error) {
    await rm(temp, { force: true });
    throw outputUnwritable(options.path, error);
  }
  return {
    touch: () => {
      if (isClosed || cancelTimer !== undefined) return;
      cancelTimer = clock.schedule(intervalMs, () => {
        void saving.then(saveSoon);
      });
    },
    finish: async () => {
      await close();
      try {
        await save(true);
      } catch (error) {
        await rm(temp, { force: true });
        throw outputUnwritable(options.path, error);
      }
    },
    abandon: close,
  };
}

async function replaceFile(path: string, temp: string, text: string, isDurable: boolean): Promise<void> {
  {
    await using file = await open(temp, 'w', 0o644);
    await file.writeFile(text);
    if (isDurable) await file.sync();
  }
  await rename(temp, path);
  if (!isDurable) return;
  await using folder = await open(dirname(path), 'r');
  await folder.sync();
}

/** Removes temporary files that runners left behind when they were killed. */
async function removeAbandoned(path: string): Promise<void> {
  const start = `.${basename(path)}.`;
  for (const name of await readdir(dirname(path))) {
    const pid = name.startsWith(start) ? /^(\d+)-\d+\.tmp$/.exec(name.slice(start.length))?.[1] : undefined;
    if (pid !== undefined && !isAlive(Number(pid))) await rm(join(dirname(path), name), { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
