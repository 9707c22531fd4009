import { invalidField } from '../../server/core/errors.ts';
import { kernelMissing } from '../errors.ts';
import { kernelNameOf, languageOf, type Notebook } from '../nbformat/notebook.ts';
import { checkNotebook, readNotebook } from '../nbformat/read-notebook.ts';
import { writeNotebook } from '../nbformat/write-notebook.ts';
import type { RunNotebookOptions } from './run-options.ts';
import { isUnchanged, readSource, refuseSamePath, sha256Of } from './source-guard.ts';

/** A source notebook, from a file or given in memory. */
export interface LoadedSource {
  readonly notebook: Notebook;
  /** What was repaired while reading it. */
  readonly warnings: readonly string[];
  /** Lower-case hex of its bytes. */
  readonly sha256: string;
  isUnchanged(): Promise<boolean>;
}

/** Reads the source of a run and refuses an output that is the source itself. */
export async function loadSource(
  options: Pick<RunNotebookOptions, 'inputPath' | 'outputPath' | 'notebook'>,
  maxBytes: number,
): Promise<LoadedSource> {
  const { inputPath, outputPath } = options;
  if ((inputPath === undefined) === (options.notebook === undefined)) {
    throw invalidField('inputPath', 'exactly one of inputPath and notebook must be given');
  }
  if (inputPath === undefined) {
    const { notebook, warnings } = checkNotebook(options.notebook);
    const sha256 = sha256Of(writeNotebook(notebook));
    return { notebook, warnings, sha256, isUnchanged: () => Promise.resolve(true) };
  }
  const source = await readSource(inputPath, maxBytes);
  if (outputPath !== undefined) await refuseSamePath(source, outputPath);
  const { notebook, warnings } = readNotebook(source.bytes, { maxBytes });
  return { notebook, warnings, sha256: source.sha256, isUnchanged: () => isUnchanged(source) };
}

const shippedKernelOf: Readonly<Record<string, string>> = { typescript: 'deno', javascript: 'deno', python: 'python3' };

/** The wanted kernel, else the notebook's own, else the usual one of its language. Throws KERNEL_MISSING. */
export function chooseKernelName(wanted: string | undefined, notebook: Notebook): string {
  const language = languageOf(notebook) ?? '';
  const name = wanted ?? kernelNameOf(notebook) ?? shippedKernelOf[language];
  if (name === undefined) throw kernelMissing('', 'the notebook names no kernel; name one, e.g. "deno"');
  return name;
}
