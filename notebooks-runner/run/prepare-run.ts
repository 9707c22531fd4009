import { invalidField } from '../../server/core/errors.ts';
import { kernelMissing } from '../errors.ts';
import { findKernelspec, type Kernelspec } from '../kernel/kernelspec.ts';
import type { JsonObject } from '../nbformat/json-value.ts';
import { type Cell, kernelNameOf, languageOf, type Notebook } from '../nbformat/notebook.ts';
import { checkNotebook, readNotebook } from '../nbformat/read-notebook.ts';
import { writeNotebook } from '../nbformat/write-notebook.ts';
import { injectParameters } from '../parameters/inject-parameters.ts';
import { withoutMarkers } from './error-markers.ts';
import type { RunNotebookOptions } from './run-options.ts';
import { isUnchanged, readSource, refuseSamePath, sha256Of } from './source-guard.ts';

/** A run that has passed every check which needs no kernel. */
export interface PreparedRun {
  /** Parameters in place, outputs and traces of an earlier run removed. */
  readonly notebook: Notebook;
  readonly spec: Kernelspec;
  readonly parameters: JsonObject;
  readonly sourceSha256: string;
  /** Position in the source for a position in `notebook`; undefined for an injected cell. */
  sourceIndexOf(index: number): number | undefined;
  isSourceUnchanged(): Promise<boolean>;
  readonly warnings: string[];
}

const shippedKernelOf: Readonly<Record<string, string>> = { typescript: 'deno', javascript: 'deno', python: 'python3' };

/** Reads, checks and parameterises the source. Throws before anything is written or started. */
export async function prepareRun(options: RunNotebookOptions, maxSourceBytes: number): Promise<PreparedRun> {
  const source = await loadSource(options, maxSourceBytes);
  const spec = await findKernelspec(chooseKernel(options.kernelName, source.notebook), options.kernels);
  const unmarked = { ...source.notebook, cells: withoutMarkers(source.notebook.cells) };
  const injection = injectParameters(unmarked, options.parameters ?? {}, spec.language, spec.name);
  const positions = new Map(source.notebook.cells.map((cell, index) => [cell.id, index]));
  const notebook = { ...injection.notebook, cells: injection.notebook.cells.map(withoutTraces) };
  notebook.metadata['kernelspec'] = { display_name: spec.displayName, language: spec.language, name: spec.name };
  return {
    notebook,
    spec,
    parameters: injection.parameters,
    sourceSha256: source.sha256,
    sourceIndexOf: (index) => positions.get(notebook.cells[index]?.id ?? ''),
    isSourceUnchanged: source.isUnchanged,
    warnings: [...source.warnings, ...injection.warnings],
  };
}

interface LoadedSource {
  readonly notebook: Notebook;
  readonly warnings: readonly string[];
  readonly sha256: string;
  isUnchanged(): Promise<boolean>;
}

async function loadSource(options: RunNotebookOptions, maxBytes: number): Promise<LoadedSource> {
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

function chooseKernel(wanted: string | undefined, notebook: Notebook): string {
  const language = languageOf(notebook) ?? '';
  const name = wanted ?? kernelNameOf(notebook) ?? shippedKernelOf[language];
  if (name === undefined) throw kernelMissing('', 'the notebook names no kernel; name one, e.g. "deno"');
  return name;
}

function withoutTraces(cell: Cell): Cell {
  const { papermill: _papermill, showrunner: _showrunner, execution: _execution, ...metadata } = cell.metadata;
  return cell.cell_type === 'code' ? { ...cell, metadata, outputs: [], execution_count: null } : { ...cell, metadata };
}
