import { type FileHandle, link, open, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { messageOf } from '../../server/core/errors.ts';
import type { Logger } from '../../server/core/log.ts';
import { outputInUse } from '../errors.ts';
import { isAlive } from '../kernel/kernel-folders.ts';

/** First line of a journal: who writes it, and the document to which the other lines apply. */
export interface JournalHeader {
  readonly journal: 1;
  readonly owner: { readonly pid: number; readonly startTime: string };
  readonly document: unknown;
}

interface JournalFileOptions {
  readonly outputPath: string;
  readonly log: Logger;
  /** The whole document as it is now. */
  render(): string;
  /** Lines for what changed since the last call. */
  drain(): string;
}

/** Every change of a run, appended as it comes, so that nothing is lost when the runner is killed. */
export interface JournalFile {
  /** Something changed: it is written at once, or together with what comes while a write is under way. */
  touch(): void;
  /** Stops writing and removes the file. */
  remove(): Promise<void>;
  /** Stops writing; the file stays, for a recovery. */
  leave(): Promise<void>;
}

/** When a journal outgrows this, and the document by far, it begins anew from the document. */
const minRewriteBytes = 33_554_432;
const rewriteRatio = 4;

/** Journals that this process writes. */
const openJournals = new Set<string>();

/** The journal of an output notebook: a hidden file beside it, there while a run writes. */
export function journalPathOf(outputPath: string): string {
  return join(dirname(outputPath), `.${basename(outputPath)}.journal`);
}

/** Begins the journal of a run. Throws NOTEBOOK_OUTPUT_IN_USE while another run writes to the same output. */
export async function createJournalFile(options: JournalFileOptions): Promise<JournalFile> {
  const path = journalPathOf(options.outputPath);
  // Taken in one turn of the loop: of two runs that begin together one is refused.
  if (openJournals.has(path)) throw outputInUse(options.outputPath);
  openJournals.add(path);
  try {
    return await openJournal(path, options);
  } catch (error) {
    openJournals.delete(path);
    throw error;
  }
}

async function openJournal(path: string, { outputPath, log, render, drain }: JournalFileOptions): Promise<JournalFile> {
  const owner = { pid: process.pid, startTime: await startTimeOf(process.pid) };
  let bytes = 0;
  let documentBytes = 0;
  let isNew = false;
  let isClosed = false;
  let writing: Promise<void> | undefined;

  async function begin(place: (temp: string) => Promise<void>): Promise<FileHandle> {
    drain();
    // The document is JSON already: its line ends are the only ones to take out.
    const document = render().replaceAll('\n', '');
    const header = `{"journal":1,"owner":${JSON.stringify(owner)},"document":${document}}\n`;
    const temp = `${path}.${owner.pid}.tmp`;
    const next = await open(temp, 'w', 0o600);
    try {
      await next.writeFile(header);
      await place(temp);
    } catch (error) {
      await next.close();
      await rm(temp, { force: true });
      throw error;
    }
    documentBytes = Buffer.byteLength(header);
    bytes = documentBytes;
    return next;
  }

  async function write(): Promise<void> {
    // What comes in one turn of the loop is one write.
    await new Promise(setImmediate);
    while (isNew && !isClosed) {
      isNew = false;
      if (bytes > Math.max(minRewriteBytes, rewriteRatio * documentBytes)) {
        const old = file;
        file = await begin((temp) => rename(temp, path));
        await old.close();
        continue;
      }
      const lines = drain();
      if (lines === '') continue;
      await file.appendFile(lines);
      bytes += Buffer.byteLength(lines);
    }
  }

  async function close(): Promise<void> {
    isClosed = true;
    await writing;
    await file.close();
  }

  let file = await begin((temp) => claim(temp, path, outputPath));
  return {
    touch: () => {
      isNew = true;
      if (isClosed) return;
      writing ??= write()
        .catch((error: unknown) => {
          // A full disk: the run goes on, and its end reports its own failure.
          isClosed = true;
          log.warn('journal of the output notebook not written', { path, error: messageOf(error) });
        })
        .finally(() => {
          writing = undefined;
        });
    },
    remove: async () => {
      await close();
      await rm(path, { force: true });
      // Not before: the next run's journal would be removed in its place.
      openJournals.delete(path);
    },
    leave: async () => {
      await close();
      openJournals.delete(path);
    },
  };
}

/** Gives the file its name, unless a runner that lives has one of that name: also one that began a moment ago. */
async function claim(temp: string, path: string, outputPath: string): Promise<void> {
  try {
    await link(temp, path);
    await rm(temp);
  } catch {
    // A journal is there, or the file system knows no second name for a file.
    const owner = (await readJournal(path))?.header.owner;
    if (owner !== undefined && owner.pid !== process.pid && (await lives(owner))) throw outputInUse(outputPath);
    await rename(temp, path);
  }
}

/** Reads the first line of a journal; undefined when there is none that can be read. */
export async function readJournal(path: string): Promise<{ header: JournalHeader; lines: string[] } | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined);
  const [first = '', ...rest] = text?.split('\n') ?? [];
  try {
    const header = JSON.parse(first) as JournalHeader;
    // Behind the last newline stands nothing, or a line that was being written.
    return header.journal === 1 ? { header, lines: rest.slice(0, -1) } : undefined;
  } catch {
    return undefined;
  }
}

/** True while the process that writes the journal lives. */
export async function isInUse(path: string): Promise<boolean> {
  const owner = (await readJournal(path))?.header.owner;
  if (owner === undefined) return false;
  return owner.pid === process.pid ? openJournals.has(path) : lives(owner);
}

async function lives({ pid, startTime }: JournalHeader['owner']): Promise<boolean> {
  return isAlive(pid) && (await startTimeOf(pid)) === startTime;
}

/** When a process began, in the system's ticks: tells it from a later one with its pid. Empty without /proc. */
async function startTimeOf(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}
