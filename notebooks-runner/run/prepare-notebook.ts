import { mkdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { replaceFile } from '../../server/core/replace-file.ts';
import { outputUnwritable } from '../errors.ts';
import { findKernelspec } from '../kernel/kernelspec.ts';
import type { Notebook } from '../nbformat/notebook.ts';
import { writeNotebook } from '../nbformat/write-notebook.ts';
import { injectParameters } from '../parameters/inject-parameters.ts';
import { chooseKernelName, loadSource } from './load-source.ts';
import { outputTarget } from './output-target.ts';
import { stampPrepared } from './record-metadata.ts';
import type { RunNotebookOptions } from './run-options.ts';

/**
 * Writes the notebook with its parameters in place, without running it; outputs of earlier runs stay. Gives the
 * document. Throws as runNotebook does before it starts a kernel.
 */
export async function prepareNotebook(
  options: Pick<
    RunNotebookOptions,
    'inputPath' | 'outputPath' | 'labels' | 'notebook' | 'parameters' | 'kernelName' | 'kernels'
  >,
): Promise<Notebook> {
  const source = await loadSource(options, 64 * 1_048_576);
  const spec = await findKernelspec(chooseKernelName(options.kernelName, source.notebook), options.kernels);
  const injection = injectParameters(source.notebook, options.parameters ?? {}, spec.language, spec.name);
  const { notebook } = injection;
  const { inputPath: input = '', outputPath: output = '' } = options;
  stampPrepared(notebook, { ...injection, labels: options.labels ?? { input, output } });
  notebook.metadata['kernelspec'] = { display_name: spec.displayName, language: spec.language, name: spec.name };
  if (options.outputPath === undefined) return notebook;
  const path = await outputTarget(options.outputPath);
  try {
    await mkdir(dirname(path), { recursive: true });
    const temp = join(dirname(path), `.${basename(path)}.${process.pid}-0.tmp`);
    await replaceFile(path, writeNotebook(notebook), { temp });
  } catch (error) {
    throw outputUnwritable(options.outputPath, error);
  }
  return notebook;
}
