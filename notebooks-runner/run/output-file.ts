import { mkdir, readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Clock } from '../../server/core/clock.ts';
import { AppError, messageOf } from '../../server/core/errors.ts';
import type { Logger } from '../../server/core/log.ts';
import { replaceFile } from '../../server/core/replace-file.ts';
import { outputUnwritable } from '../errors.ts';
import { isAlive } from '../kernel/kernel-folders.ts';
import { createJournalFile, type JournalFile } from './journal-file.ts';
import { outputTarget } from './output-target.ts';

interface OutputFileOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Least time between two saves, in ms; grows so that saving takes at most a quarter of the time. Infinity: none. */
  readonly minIntervalMs: number;
  /** The whole document as it is now. */
  render(): string;
  /** Lines for the journal: what changed since the last call. */
  drainJournal(): string;
}

/**
 * The output notebook on disk: at every moment a whole valid document, also after SIGKILL. A journal beside it has what
 * is newer than the last save, see `recoverOutput`.
 */
export interface OutputFile {
  /** The document changed: the change goes to the journal, and the whole is saved soon, once per interval. */
  touch(): void;
  /** Saves the final document durably; NOTEBOOK_OUTPUT_UNWRITABLE on failure. */
  finish(): Promise<void>;
}

/**
 * Creates the output file, with its folder, and writes the first state. Every save goes to a file beside it that then
 * takes its name, so a reader never sees half a document. Throws NOTEBOOK_OUTPUT_UNWRITABLE.
 */
export async function createOutputFile(options: OutputFileOptions): Promise<OutputFile> {
  const { clock, log, render } = options;
  const path = await outputTarget(options.path);
  const temp = join(dirname(path), `.${basename(path)}.${process.pid}-${Math.floor(clock.monotonic() * 1000)}.tmp`);
  let intervalMs = options.minIntervalMs;
  let cancelTimer: (() => void) | undefined;
  let saving: Promise<void> = Promise.resolve();
  let isClosed = false;

  async function save(isDurable: boolean): Promise<void> {
    const startedMs = clock.monotonic();
    await replaceFile(path, render(), { temp, isDurable });
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

  let journal: JournalFile;
  try {
    await mkdir(dirname(path), { recursive: true });
    await removeAbandoned(path);
    journal = await createJournalFile({ outputPath: path, log, render, drain: options.drainJournal });
  } catch (error) {
    throw error instanceof AppError ? error : outputUnwritable(options.path, error);
  }
  try {
    await save(false);
  } catch (error) {
    await rm(temp, { force: true });
    await journal.remove();
    throw outputUnwritable(options.path, error);
  }
  return {
    touch: () => {
      journal.touch();
      if (isClosed || cancelTimer !== undefined || intervalMs === Number.POSITIVE_INFINITY) return;
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
        // What it holds can still be recovered once there is room.
        await journal.leave();
        throw outputUnwritable(options.path, error);
      }
      await journal.remove();
    },
  };
}

/** Removes temporary files that runners left behind when they were killed. */
async function removeAbandoned(path: string): Promise<void> {
  const start = `.${basename(path)}.`;
  for (const name of await readdir(dirname(path))) {
    const pid = name.startsWith(start)
      ? /^(?:journal\.)?(\d+)(?:-\d+)?\.tmp$/.exec(name.slice(start.length))?.[1]
      : undefined;
    if (pid !== undefined && !isAlive(Number(pid))) await rm(join(dirname(path), name), { force: true });
  }
}
