import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { notebookInvalid } from '../../notebooks-runner/errors.ts';
import type { Notebook } from '../../notebooks-runner/nbformat/notebook.ts';
import { readNotebook } from '../../notebooks-runner/nbformat/read-notebook.ts';
import { Code } from '../core/codes.ts';
import { AppError, invalidField } from '../core/errors.ts';
import { checkObjectKey } from '../stores/objects/object-key.ts';
import type { ObjectStore } from '../stores/objects/object-store.ts';
import { notebookNotFound } from './errors.ts';

/** Where notebooks are read from: those of this release, and the object store. */
export interface NotebookSource {
  /** Names `shipped/{name}`, in order. */
  listShipped(): Promise<string[]>;
  /** Throws NOTEBOOK_NOT_FOUND, NOTEBOOK_INVALID, and INVALID_FIELDS that names `field` for a name that is no key. */
  read(name: string, field: string, signal: AbortSignal): Promise<Notebook>;
}

/** Objects below it are source or output notebooks and what belongs to their runs. */
export const outputPrefix = 'notebooks/';

const shippedPrefix = 'shipped/';
const shippedName = /^[a-z0-9]+(-[a-z0-9]+)*$/;
const maxBytes = 64 * 1_048_576;

/** Of notebooks in the object store, those of at most 64 MiB. */
export function createNotebookSource(objects: ObjectStore, shippedDir: string): NotebookSource {
  async function readBytes(name: string, field: string, signal: AbortSignal): Promise<Uint8Array> {
    if (!name.startsWith(shippedPrefix)) {
      checkKey(name, field);
      return objects.read(name, { maxBytes, signal });
    }
    const file = name.slice(shippedPrefix.length);
    if (!shippedName.test(file)) throw notebookNotFound(name);
    return readFile(join(shippedDir, `${file}.ipynb`));
  }

  return {
    listShipped: async () => {
      const files = await readdir(shippedDir);
      const names = files.filter((file) => file.endsWith('.ipynb')).map((file) => file.slice(0, -'.ipynb'.length));
      return names.sort().map((name) => `${shippedPrefix}${name}`);
    },
    read: async (name, field, signal) => {
      try {
        return readNotebook(await readBytes(name, field, signal), { maxBytes }).notebook;
      } catch (error) {
        if (error instanceof AppError && error.reason === 'OBJECT_TOO_LARGE') throw notebookInvalid('', error.message);
        const isMissing =
          error instanceof AppError ? error.reason === 'OBJECT_NOT_FOUND' : error instanceof Error && 'code' in error;
        if (isMissing) throw notebookNotFound(name);
        throw error;
      }
    },
  };
}

function checkKey(name: string, field: string): void {
  try {
    checkObjectKey(name);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    throw invalidField(field, error.fields[0]?.description ?? error.message);
  }
}

/** The code of an area's error that says a thing is not there. */
export function isNotFound(error: unknown): boolean {
  return error instanceof AppError && error.code === Code.NOT_FOUND;
}
